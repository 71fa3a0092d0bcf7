"""The ``lmcompare`` command."""
