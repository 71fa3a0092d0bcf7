"""What every room speaks: errors, settings, ``Example`` and ``Batch``, result rows, the plug-in
registry.
"""
