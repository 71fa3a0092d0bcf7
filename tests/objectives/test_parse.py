"""Objectives of objectives survive the trip to JSON; wrong keys are named by their path."""

import json

import pytest

from lmcompare.core.errors import InputError
from lmcompare.core.settings import plain
from lmcompare.objectives import OBJECTIVES, parse_objective
from lmcompare.objectives.causal import Causal
from lmcompare.objectives.masked import Masked
from lmcompare.objectives.mixture import Mixture, Part
from lmcompare.objectives.schedule import Schedule, Stage

NESTED = Schedule(
    (
        Stage(Causal(), 0.25),
        Stage(Mixture((Part(Masked("uniform"), 2.0, "all"), Part(Causal())), "all")),
    )
)


@pytest.mark.parametrize("objective", [NESTED, Causal(), Masked(0.3, shifted=True)])
def test_there_and_back(objective):
    assert parse_objective(json.loads(json.dumps(plain(objective)))) == objective


@pytest.mark.parametrize("kind", [k for k in OBJECTIVES if k not in ("mixture", "schedule")])
def test_every_objective_says_what_it_is(kind):
    objective = parse_objective(kind)
    assert objective.role in ("decoder", "encoder", "encoder-decoder")
    assert objective.family in ("autoregressive", "denoising")
    assert objective.exactness in ("exact", "chain")
    assert parse_objective(plain(objective)) == objective


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kind": "masked", "rte": 3}, r"^objective\.rte: "),
        ({"rate": 3}, r"^objective\.kind: wanted one of bart, causal, glm, masked, "),
        ("causl", "no objective 'causl'; did you mean 'causal'"),
        ({"kind": "masked", "mask_token_share": 0.9, "random_token_share": 0.9}, "wanted a sum"),
        (
            {"kind": "mixture", "parts": [{"objective": {"kind": "glm", "rte": 1}}]},
            r"^objective\.parts\.0\.obj.*\.rte",
        ),
    ],
)  # fmt: skip
def test_wrong_keys_are_named(given, said):
    with pytest.raises(InputError, match=said):
        parse_objective(given)
