import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcompare.adaptation.sft_examples import answer_scoring_examples, answer_training_example
from lmcompare.core.errors import InputError
from lmcompare.objectives.bart import Bart
from lmcompare.objectives.causal import Causal
from lmcompare.objectives.glm import GLM
from lmcompare.objectives.masked import Masked
from lmcompare.objectives.mixture import Mixture, Part
from lmcompare.objectives.prefix import Prefix
from lmcompare.objectives.seq2seq import Seq2Seq

WRITERS = [Causal(), Prefix(), Prefix(architecture="encoder-decoder"), GLM(), Seq2Seq(), Bart()]
TOKENS = st.lists(st.integers(32, 95), min_size=1, max_size=9).map(np.array)


@given(prompt=TOKENS, answer=TOKENS, seed=st.integers(0, 99))
@pytest.mark.parametrize(
    "objective", WRITERS, ids=lambda objective: f"{objective.kind} {objective.role}"
)
def test_the_answer_and_its_end_alone_are_asked_for(special, objective, prompt, answer, seed):
    example = answer_training_example(
        objective, prompt, answer, 12, special, np.random.default_rng(seed)
    )
    assert example.targets[example.has_target].tolist() == [*answer, special.eos]
    (scored,) = answer_scoring_examples(objective, prompt, answer, 12, special)
    assert scored.targets.tolist() == example.targets.tolist()


@given(prompt=TOKENS, answer=TOKENS, seed=st.integers(0, 99))
def test_a_masked_block_holds_the_answer_and_eos_and_its_weights_add_up_to_its_length(
    special, prompt, answer, seed
):
    example = answer_training_example(
        Masked(), prompt, answer, 12, special, np.random.default_rng(seed)
    )
    whole = np.where(example.has_target, example.targets, example.inputs)
    assert whole.tolist() == [*prompt, *answer, *[special.eos] * (12 - len(answer))]
    assert (example.inputs[example.has_target] == special.mask).all()
    assert not example.has_target[: len(prompt)].any()
    assert example.weights.sum() == pytest.approx(12)


def test_every_number_of_masks_is_as_likely(special):
    rng = np.random.default_rng(0)
    examples = [
        answer_training_example(Masked(), np.array([40]), np.array([41]), 4, special, rng)
        for _ in range(2000)
    ]
    counts = np.bincount([int(e.has_target.sum()) for e in examples])
    assert counts[0] == 0
    assert counts[1:] == pytest.approx(500, abs=80)


def test_the_chain_is_asked_in_the_block_that_was_learnt(special):
    examples = answer_scoring_examples(Masked(), np.array([40]), np.array([41]), 4, special)
    assert [e.inputs.tolist() for e in examples] == [[40, 4, 4, 4, 4], [40, 41, 4, 4, 4]]
    assert [e.targets[e.has_target].tolist() for e in examples] == [[41], [special.eos]]


def test_an_answer_longer_than_the_block_is_cut_and_has_no_end(special):
    long = np.arange(40, 50)
    for objective in (Causal(), Masked(), Seq2Seq()):
        targets = [
            e.targets[e.has_target]
            for e in answer_scoring_examples(objective, np.array([33]), long, 4, special)
        ]
        assert np.concatenate(targets).tolist() == [40, 41, 42, 43]


def test_of_several_objectives_the_one_that_answers_is_asked(special):
    mixture = Mixture((Part(Causal()), Part(Masked(shifted=True))))
    example = answer_training_example(
        mixture, np.array([40]), np.array([41]), 4, special, np.random.default_rng(0)
    )
    assert example.attention == "causal"


def test_a_shifted_masked_lm_cannot_answer(special):
    with pytest.raises(InputError, match="use a causal part for inference"):
        answer_training_example(
            Masked(shifted=True),
            np.array([40]),
            np.array([41]),
            4,
            special,
            np.random.default_rng(0),
        )
