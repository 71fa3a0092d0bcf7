import numpy as np

from lmcompare.objectives.causal import Causal

TOKENS = np.array([5, 6, 7])


def test_score_asks_for_the_completion_alone(special):
    (example,) = Causal().scoring_examples(np.array([5]), np.array([6, 7]), special)
    assert example.inputs.tolist() == [1, 5, 6]
    assert example.targets.tolist() == [-100, 6, 7]


def test_begin_and_read(special):
    assert Causal().generation_prompt(TOKENS, 4, special).inputs.tolist() == [1, 5, 6, 7]
    assert Causal().encoding_example(TOKENS, special).inputs.tolist() == [1, 5, 6, 7, 2]
