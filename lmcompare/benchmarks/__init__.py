"""Benchmarks of training and scoring speed, and error rates of verdicts."""
