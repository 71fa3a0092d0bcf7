from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmcompare.report import rendering
from lmcompare.report.analysis import TaskAnalysis, analyze
from lmcompare.report.results import Results, read
from lmcompare.report.sections import seed_variance


def test_four_seeds_or_more_have_a_section(
    synthetic: Callable[..., Any], plain: tuple[Results, list[TaskAnalysis]], tmp_path: Path
) -> None:
    assert seed_variance.sections(*plain) == []
    results = read(synthetic(items=40, seeds=(1, 2, 3, 4, 5)).write(tmp_path / "five"))
    analyses = [analyze(results, task) for task in results.tasks]
    sections = seed_variance.sections(results, analyses)
    for analysis, section in zip(analyses, sections, strict=True):
        frame = section.facts["table"].numbers.set_index(["model", "other"])
        causal, masked = (
            np.array(analysis.measured[model, "pretrained"].per_seed)
            for model in ("causal", "masked")
        )
        middle = np.sort(causal)[1:-1].mean()
        assert frame["iqm"]["causal", "masked"] == pytest.approx(middle)
        differences = causal[:, None] - masked
        differences *= 1 if analysis.task.better == "higher" else -1
        improvement = frame["probability_of_improvement"]
        share = (np.sign(differences).mean() + 1) / 2
        assert improvement["causal", "masked"] == pytest.approx(share)
        both = improvement["causal", "masked"] + improvement["masked", "causal"]
        assert both == pytest.approx(1)
        assert "At least 5 seeds of each model." in rendering.section(section)
