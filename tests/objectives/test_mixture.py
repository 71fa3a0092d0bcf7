import numpy as np
import pytest

from lmcompare.core.errors import InputError
from lmcompare.objectives import sequence_example
from lmcompare.objectives.bart import Bart
from lmcompare.objectives.causal import Causal
from lmcompare.objectives.glm import GLM
from lmcompare.objectives.masked import Masked
from lmcompare.objectives.mixture import Mixture, Part
from lmcompare.objectives.prefix import Prefix
from lmcompare.objectives.seq2seq import Seq2Seq

TOKENS = np.arange(40, 60)


def test_a_part_asks_as_often_as_its_weight_says(special):
    mixture = Mixture((Part(Causal(), weight=3), Part(Masked())))
    rng = np.random.default_rng(0)
    causal = [
        mixture.training_example(TOKENS, special, rng).attention == "causal" for _ in range(2000)
    ]
    assert np.mean(causal) == pytest.approx(0.75, abs=0.03)


def test_the_first_part_answers_unless_another_is_named(special):
    parts = (Part(Prefix()), Part(Masked(), name="bert"), Part(GLM()))
    prompt, completion = TOKENS[:4], TOKENS[4:6]
    for answer, objective in (("", Prefix()), ("bert", Masked()), ("glm", GLM())):
        mixture = Mixture(parts, answer)
        assert (mixture.role, mixture.exactness) == (objective.role, objective.exactness)
        ours, theirs = (
            mixture.scoring_examples(prompt, completion, special),
            objective.scoring_examples(prompt, completion, special),
        )
        assert [e.inputs.tolist() for e in ours] == [e.inputs.tolist() for e in theirs]
        assert (
            mixture.generation_prompt(prompt, 2, special).inputs.tolist()
            == objective.generation_prompt(prompt, 2, special).inputs.tolist()
        )
        assert (
            mixture.encoding_example(prompt, special).inputs.tolist()
            == objective.encoding_example(prompt, special).inputs.tolist()
        )


def test_one_part_asks_about_all_documents_of_a_block(special):
    mixture = Mixture(
        (Part(Causal()), Part(Masked(mask_rate=0.9, mask_token_share=1, random_token_share=0)))
    )
    block = np.array([40, 41, 2, 50, 51, 2, 60])
    for seed in range(20):
        example = sequence_example(
            mixture, block, special, np.random.default_rng(seed), isolated=True
        )
        causal = example.attention == "causal"
        assert (example.inputs == special.mask).any() != causal
        assert (example.inputs == special.bos).sum() == (3 if causal else 0)


def test_what_one_network_cannot_serve_is_refused():
    Mixture((Part(Seq2Seq()), Part(Bart()), Part(Prefix("encoder-decoder"))))
    with pytest.raises(
        InputError,
        match=r"^parts\.1\.objective: wanted one that shares a network with causal \(dec",
    ):
        Mixture((Part(Causal()), Part(Bart())))
    with pytest.raises(
        InputError, match=r"^parts\.0\.objective: wanted an objective, got 'causal'"
    ):
        Mixture((Part("causal"), Part(Bart())))
    with pytest.raises(InputError, match="^parts: wanted at least two, got 1"):
        Mixture((Part(Causal()),))


def test_answers_of_no_or_of_many_parts_are_refused():
    with pytest.raises(InputError, match=r"^inference: no part 'mask'; did you mean 'masked'\?"):
        Mixture((Part(Causal()), Part(Masked())), inference="mask")
    with pytest.raises(
        InputError, match="^inference: wanted the name of one part, got 'masked', which 2 have"
    ):
        Mixture((Part(Masked(0.1)), Part(Masked(0.5))), inference="masked")
    assert Mixture(
        (Part(Masked(0.1)), Part(Masked(0.5), name="much")), inference="much"
    ).inference_objective == Masked(0.5)
