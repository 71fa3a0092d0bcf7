"""Sources of text and labelled items, one a file, found by their YAML word."""
