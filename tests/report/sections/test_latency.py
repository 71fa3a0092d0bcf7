from lmcompare.report import rendering
from lmcompare.report.analysis import TaskAnalysis
from lmcompare.report.results import Results
from lmcompare.report.sections import latency


def test_latency_by_length(rich: tuple[Results, list[TaskAnalysis]]) -> None:
    (section,) = latency.sections(*rich)
    text = rendering.section(section)
    assert "| model | 8 tokens, ms | 64 tokens, ms |" in text
    assert "| `masked` | 16.3 / 24.3 | 128.3 / 192.3 |" in text


def test_no_latencies_no_section(plain: tuple[Results, list[TaskAnalysis]]) -> None:
    assert latency.sections(*plain) == []
