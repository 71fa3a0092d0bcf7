import numpy as np
import pytest

from lmcompare.core.errors import InputError
from lmcompare.objectives import sequence_example
from lmcompare.objectives.causal import Causal
from lmcompare.objectives.masked import Masked
from lmcompare.objectives.mixture import Mixture, Part
from lmcompare.objectives.schedule import Schedule, Stage
from lmcompare.objectives.seq2seq import Seq2Seq

TOKENS = np.arange(40, 60)


def test_a_stage_has_its_share_of_the_steps():
    schedule = Schedule((Stage(Causal(), 0.1), Stage(Masked(), 0.2), Stage(Causal(), 0.7)))
    picked = [
        schedule.training_objective(np.random.default_rng(0), step / 10).kind for step in range(10)
    ]
    assert picked == ["causal", *["masked"] * 2, *["causal"] * 7]
    assert schedule.role == "decoder"


def test_stages_may_be_mixtures_and_parts_schedules(special):
    schedule = Schedule((Stage(Causal(), 0.5), Stage(Masked())))
    mixture = Mixture((Part(schedule), Part(Masked())))
    whole = Schedule((Stage(mixture, 0.8), Stage(Causal())))

    def seen(progress):
        rngs = [np.random.default_rng(seed) for seed in range(30)]
        return {
            sequence_example(
                whole, TOKENS, special, rng, isolated=False, progress=progress
            ).attention
            for rng in rngs
        }

    assert [seen(p) for p in (0.2, 0.6, 0.9)] == [{"causal", "full"}, {"full"}, {"causal"}]


def test_the_last_stage_answers(special):
    schedule = Schedule((Stage(Causal(), 0.5), Stage(Masked())))
    assert schedule.exactness == "chain"
    assert len(schedule.scoring_examples(TOKENS[:3], TOKENS[3:5], special)) == 2
    assert schedule.generation_prompt(TOKENS[:3], 2, special).inputs.tolist() == [40, 41, 42, 4, 4]
    assert schedule.encoding_example(TOKENS[:3], special).attention == "full"
    assert schedule.training_example(TOKENS, special, np.random.default_rng(0)).attention == "full"


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ((Stage(Causal()),), "stages: wanted at least two, got 1"),
        (
            (Stage(Causal()), Stage(Masked())),
            r"stages\.0\.share: missing; only the last stage may leave it out",
        ),
        (
            (Stage(Causal(), 0.5), Stage(Masked(), 0.4)),
            r"stages: wanted shares that add up to 1, got 0\.9",
        ),
        (
            (Stage(Causal(), 0.5), Stage(Causal(), 0.5), Stage(Masked())),
            "stages: wanted shares that leave some",
        ),
        (
            (Stage(Causal(), 0.5), Stage(Seq2Seq())),
            r"stages\.1\.objective: wanted one that shares a network",
        ),
    ],
)
def test_what_does_not_fit_is_refused(stages, said):
    with pytest.raises(InputError, match=said):
        Schedule(stages)
