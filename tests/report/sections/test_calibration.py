import pytest

from lmcompare.report.analysis import TaskAnalysis
from lmcompare.report.results import Results
from lmcompare.report.sections import calibration


def test_bins_are_those_of_ece() -> None:
    # The example of the metric: bins (0.4667, 0.5333], (0.7333, 0.8], (0.9333, 1]; its ECE is 0.25.
    frame = calibration.binned([1.0, 0.75, 0.75, 0.5], [1, 0, 1, 1])
    assert (frame["items"] * (frame["accuracy"] - frame["confidence"]).abs()).sum() / 4 == 0.25


def test_confidence_against_accuracy(rich: tuple[Results, list[TaskAnalysis]]) -> None:
    (section,) = calibration.sections(*rich)
    table = section.facts["table"]
    assert section.facts["figure"] is not None and section.task == "sentiment"
    frame = table.numbers
    pooled = frame[
        (frame["model"] == "causal") & (frame["condition"] == "scratch") & frame["seed"].isna()
    ]
    # Correct answers have a confidence of 0.95, wrong ones of 0.62: two bins.
    assert pooled["accuracy"].tolist() == [0.0, 1.0]
    assert pooled["confidence"].tolist() == pytest.approx([0.62, 0.95])
    assert pooled["items"].sum() == 80
    assert "| `causal` | scratch | 0.933 to 1.000 |" in table.markdown


def test_no_confidence_no_section(plain: tuple[Results, list[TaskAnalysis]]) -> None:
    assert calibration.sections(*plain) == []
