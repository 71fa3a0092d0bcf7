import numpy as np
import pytest

from lmcompare.report import rendering
from lmcompare.report.analysis import TaskAnalysis
from lmcompare.report.results import Results
from lmcompare.report.sections import quality_per_flop


def test_gain_per_flop(plain: tuple[Results, list[TaskAnalysis]]) -> None:
    results, analyses = plain
    (section,) = quality_per_flop.sections(results, analyses)
    assert section.facts["figure"] is not None
    frame = section.facts["table"].numbers.set_index(["task", "model"])
    gain = {comparison.first: comparison.difference.value for comparison in analyses[0].gains}
    over_scratch = frame["over_scratch_per_tflop"]
    assert over_scratch["sentiment", "masked"] == pytest.approx(gain["masked"] / 7.05)
    assert np.isnan(over_scratch["continuation", "masked"])
    assert frame["floor"]["continuation", "causal"] == "unigram"
    assert "read the figure first" in rendering.section(section)


def test_many_tasks_have_no_figure(plain: tuple[Results, list[TaskAnalysis]]) -> None:
    results, analyses = plain
    many = [*analyses, *([analyses[0]] * quality_per_flop.PANELS)]
    (section,) = quality_per_flop.sections(results, many)
    assert section.facts["figure"] is None and "figure" not in rendering.section(section)


def test_no_pretraining_no_section(plain: tuple[Results, list[TaskAnalysis]]) -> None:
    results, analyses = plain
    bare = Results(results.settings, [], results.records)
    assert quality_per_flop.sections(bare, analyses) == []
