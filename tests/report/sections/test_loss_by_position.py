from lmcompare.report import rendering
from lmcompare.report.analysis import TaskAnalysis
from lmcompare.report.results import Results
from lmcompare.report.sections import loss_by_position


def test_scores_that_are_not_probabilities_are_left_out(
    rich: tuple[Results, list[TaskAnalysis]],
) -> None:
    (section,) = loss_by_position.sections(*rich)
    text = rendering.section(section)
    assert "| model | likelihood | tokens 1-4 | tokens 5-16 | tokens 17-32 |" in text
    assert section.facts["table"].markdown.splitlines()[2:] == [
        "| `causal` | exact | 8.15 | 7.15 | 6.15 |",
        "| `seq2seq` | exact | 10.15 | 9.15 | 8.15 |",
    ]
    assert "since their scores are not probabilities: `masked`." in text
    assert section.facts["figure"] is not None


def test_no_positions_no_section(plain: tuple[Results, list[TaskAnalysis]]) -> None:
    assert loss_by_position.sections(*plain) == []
