"""Batches, the training loop, optimiser and schedule, checkpointing, FLOP counting."""
