"""``python -m lmcompare.benchmarks.training``, ``.scoring`` and ``.verdicts``: speed and error rates, measured."""
