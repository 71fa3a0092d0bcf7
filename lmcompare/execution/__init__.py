"""Cells: their plan and keys, the cache, local workers, progress."""
