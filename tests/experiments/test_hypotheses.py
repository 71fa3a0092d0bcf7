from types import SimpleNamespace
from typing import Any

import pytest

from lmcompare.core.errors import Problem
from lmcompare.core.settings import ModelSettings
from lmcompare.experiments.hypotheses import Hypothesis, build_hypotheses

MODELS = {
    "causal": ModelSettings(objective="causal"),
    "masked": ModelSettings(objective="masked", tasks=("sentiment", "continuation")),
    "idle": ModelSettings(objective="masked", tasks=()),
}
TASKS: dict[str, Any] = {
    "sentiment": SimpleNamespace(conditions=("pretrained", "scratch")),
    "continuation": SimpleNamespace(conditions=("pretrained",)),
}
GOOD = {"claim": "c", "task": "sentiment", "model": "masked", "reference": "causal"}

PRETRAINING = {"task": "pretraining", "metric": "validation_rise", "smallest_effect": 0.1}


def problems(given: object) -> list[str]:
    said: list[Problem] = []
    build_hypotheses({"H1": given}, MODELS, TASKS, said)
    return list(map(str, said))


def test_a_claim_and_its_defaults() -> None:
    said: list[Problem] = []
    found = build_hypotheses(
        {"H1": GOOD, "H2": {**GOOD, "reference": None, "of": "gain"}}, MODELS, TASKS, said
    )
    assert not said and list(found) == ["H1", "H2"]
    assert found["H1"] == Hypothesis("c", "sentiment", "masked", "causal")
    assert (found["H1"].test, found["H1"].of, found["H1"].smallest_effect) == (
        "superiority",
        "pretrained",
        None,
    )
    assert build_hypotheses(None, MODELS, TASKS, said) == {} and not said


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"model": "maskd"}, "hypotheses.H1.model: no such model; did you mean 'masked'"),
        ({"task": "sentimnt"}, "hypotheses.H1.task: no such task; did you mean 'sentiment'"),
        ({"reference": "masked"}, "hypotheses.H1.reference: wanted another model than `model`"),
        ({"reference": None}, "hypotheses.H1.reference: missing"),
        (
            {"control": "majority"},
            "hypotheses.H1.control: wanted one of reference and control, got both",
        ),
        (
            {"task": "continuation", "of": "gain"},
            "hypotheses.H1.of: the task continuation does not measure",
        ),
        (
            {"reference": None, "control": "majority", "of": "gain"},
            "hypotheses.H1.control: wanted none with `of: gain`",
        ),
        ({"test": "bettr"}, "hypotheses.H1.test: "),
        ({"smallest_effect": 0}, "hypotheses.H1.smallest_effect: "),
        (
            {"reference": "idle"},
            "hypotheses.H1.reference: the model 'idle' is not given the task sentiment",
        ),
        (
            {**PRETRAINING, "metric": None},
            "hypotheses.H1.metric: wanted one of margin, validation_rise, got nothing",
        ),
        ({**PRETRAINING, "smallest_effect": None}, "hypotheses.H1.smallest_effect: missing"),
        (
            {**PRETRAINING, "of": "gain"},
            "hypotheses.H1.reference: wanted a model: pretraining has no controls",
        ),
        ({"clam": 1}, "hypotheses.H1.clam: no such key; did you mean 'claim'"),
    ],
)
def test_what_is_wrong_is_said_with_its_path(change: dict[str, object], wanted: str) -> None:
    (said,) = problems({**GOOD, **change})
    assert said.startswith(wanted)


def test_pretraining_itself_may_decide() -> None:
    said: list[Problem] = []
    found = build_hypotheses({"H1": {**GOOD, **PRETRAINING}}, MODELS, TASKS, said)
    assert not said and found["H1"].direction == "lower"


def test_all_problems_at_once() -> None:
    assert len(problems({**GOOD, "model": "x", "task": "y"})) == 2
    said: list[Problem] = []
    build_hypotheses(["H1"], MODELS, TASKS, said)
    assert str(said[0]).startswith("hypotheses: wanted a mapping by name, got ") and len(said) == 1
