"""What tasks measure with, baselines, and the work of a cell."""
