import pytest

from lmcompare.experiments.hypotheses import Hypothesis, build

ARMS = {
    "causal": ("sentiment", "continuation"),
    "masked": ("sentiment", "continuation"),
    "idle": (),
}
CONDITIONS = {"sentiment": ("pretrained", "scratch"), "continuation": ("pretrained",)}
GOOD = {"claim": "c", "task": "sentiment", "model": "masked", "reference": "causal"}

PRETRAINING = {"task": "pretraining", "metric": "validation_rise", "smallest_effect": 0.1}


def problems(given: object) -> list[str]:
    said: list[str] = []
    build({"H1": given}, ARMS, CONDITIONS, said)
    return said


def test_a_claim_and_its_defaults() -> None:
    said: list[str] = []
    found = build(
        {"H1": GOOD, "H2": {**GOOD, "reference": None, "of": "gain"}}, ARMS, CONDITIONS, said
    )
    assert not said and list(found) == ["H1", "H2"]
    assert found["H1"] == Hypothesis("c", "sentiment", "masked", "causal")
    assert (found["H1"].test, found["H1"].of, found["H1"].smallest_effect) == (
        "superiority",
        "pretrained",
        None,
    )
    assert build(None, ARMS, CONDITIONS, said) == {} and not said


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"model": "maskd"}, "hypotheses.H1.model: no such model; did you mean 'masked'"),
        ({"task": "sentimnt"}, "hypotheses.H1.task: no such task; did you mean 'sentiment'"),
        ({"reference": "masked"}, "hypotheses.H1.reference: wanted another model than `model`"),
        ({"reference": None}, "hypotheses.H1.reference: missing"),
        (
            {"control": "majority"},
            "hypotheses.H1.control: wanted one of second and control, got both",
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
    said: list[str] = []
    found = build({"H1": {**GOOD, **PRETRAINING}}, ARMS, CONDITIONS, said)
    assert not said and found["H1"].direction == "lower"


def test_all_problems_at_once() -> None:
    assert len(problems({**GOOD, "model": "x", "task": "y"})) == 2
    said: list[str] = []
    build(["H1"], ARMS, CONDITIONS, said)
    assert said[0].startswith("hypotheses: wanted a mapping by name, got ") and len(said) == 1
