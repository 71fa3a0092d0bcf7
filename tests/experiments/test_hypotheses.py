import pytest

from lmcompare.experiments.hypotheses import Hypothesis, build

ARMS = {
    "causal": ("sentiment", "continuation"),
    "masked": ("sentiment", "continuation"),
    "idle": (),
}
CONDITIONS = {"sentiment": ("pretrained", "scratch"), "continuation": ("pretrained",)}
GOOD = {"claim": "c", "task": "sentiment", "first": "masked", "second": "causal"}

PRETRAINING = {"task": "pretraining", "metric": "validation_rise", "smallest_effect": 0.1}


def problems(given: object) -> list[str]:
    said: list[str] = []
    build({"H1": given}, ARMS, CONDITIONS, said)
    return said


def test_a_claim_and_its_defaults() -> None:
    said: list[str] = []
    found = build(
        {"H1": GOOD, "H2": {**GOOD, "second": None, "of": "gain"}}, ARMS, CONDITIONS, said
    )
    assert not said and list(found) == ["H1", "H2"]
    assert found["H1"] == Hypothesis("c", "sentiment", "masked", "causal")
    assert (found["H1"].says, found["H1"].of, found["H1"].smallest_effect) == (
        "better",
        "pretrained",
        None,
    )
    assert build(None, ARMS, CONDITIONS, said) == {} and not said


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"first": "maskd"}, "hypotheses.H1.first: no such model; did you mean 'masked'"),
        ({"task": "sentimnt"}, "hypotheses.H1.task: no such task; did you mean 'sentiment'"),
        ({"second": "masked"}, "hypotheses.H1.second: wanted another model than the first"),
        ({"second": None}, "hypotheses.H1.second: missing"),
        (
            {"control": "majority"},
            "hypotheses.H1.control: wanted one of second and control, got both",
        ),
        (
            {"task": "continuation", "of": "gain"},
            "hypotheses.H1.of: the task continuation does not measure",
        ),
        (
            {"second": None, "control": "majority", "of": "gain"},
            "hypotheses.H1.control: wanted none with `of: gain`",
        ),
        ({"says": "bettr"}, "hypotheses.H1.says: "),
        ({"smallest_effect": 0}, "hypotheses.H1.smallest_effect: "),
        (
            {"second": "idle"},
            "hypotheses.H1.second: the model 'idle' is not given the task sentiment",
        ),
        (
            {**PRETRAINING, "metric": None},
            "hypotheses.H1.metric: wanted one of margin, validation_rise, got nothing",
        ),
        ({**PRETRAINING, "smallest_effect": None}, "hypotheses.H1.smallest_effect: missing"),
        (
            {**PRETRAINING, "of": "gain"},
            "hypotheses.H1.second: wanted a model: pretraining has no controls",
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
    assert len(problems({**GOOD, "first": "x", "task": "y"})) == 2
    said: list[str] = []
    build(["H1"], ARMS, CONDITIONS, said)
    assert said[0].startswith("hypotheses: wanted a mapping by name, got ") and len(said) == 1
