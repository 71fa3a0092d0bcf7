import doctest

from lmcompare.tasks import _few_shot as shots


def test_the_examples_in_the_docstrings_hold():
    results = doctest.testmod(shots)
    assert results.attempted and not results.failed
