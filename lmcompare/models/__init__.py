"""Fresh networks and checkpoints, their attention masks, pooling, and sanity checks."""
