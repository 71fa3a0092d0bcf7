"""The training loop: batches, optimizer and schedule, checkpoints, costs."""
