"""Sources of text and labeled items, one a file, found by their YAML word."""
