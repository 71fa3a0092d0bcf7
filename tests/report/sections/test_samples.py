from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from lmcompare.report import rendering
from lmcompare.report.analysis import analyze
from lmcompare.report.results import read
from lmcompare.report.sections import hypothesis_cards, samples
from lmcompare.report.sections.samples import ConstantOutput


def test_one_text_for_every_prompt_is_a_constant_output(
    synthetic: Callable[..., Any], tmp_path: Path
) -> None:
    made = synthetic(items=40)
    claim = {"claim": "It is better.", "task": "continuation", "reference": "causal"}
    models = ("masked", "seq2seq")
    made.settings["hypotheses"] = {model: {**claim, "model": model} for model in models}
    results = read(made.write(tmp_path / "rows"))
    analyses = [analyze(results, task) for task in results.tasks]
    constant = [ConstantOutput("seq2seq", 2, 2)]
    assert samples.constant_outputs(results, "continuation") == constant
    assert samples.constant_outputs(results, "sentiment") == []
    (section,) = samples.sections(results, analyses)
    text = rendering.section(section)
    assert text.count("**Constant output:** `seq2seq` generated the same text for every") == 1
    _, cards = hypothesis_cards.sections(results, analyses)
    expected = "the same text for every prompt of its samples, with 2 of 2 seeds."
    assert rendering.section(cards).count(expected) == 1

    def of_seq2seq(
        changed: Callable[[dict[str, Any]], dict[str, Any]], seeds: tuple[int, ...]
    ) -> list[ConstantOutput]:
        runs = [
            replace(run, samples=[changed(sample) for sample in run.samples])
            if (run.model, run.task) == ("seq2seq", "continuation") and run.seed in seeds
            else run
            for run in results.runs
        ]
        return samples.constant_outputs(replace(results, runs=runs), "continuation")

    by_prompt = of_seq2seq(lambda sample: sample | {"text": sample["prompt"]}, (1,))
    assert by_prompt == [], "no more than half of the seeds"
    same_reference = of_seq2seq(lambda sample: sample | {"reference": "yes"}, (1, 2))
    assert same_reference == [], "where one answer is right"


def test_foreign_text_is_escaped_and_prompts_are_drawn_alike(
    synthetic: Callable[..., Any], tmp_path: Path
) -> None:
    results = read(synthetic(items=4).write(tmp_path / "rows"))
    (section,) = samples.sections(results, [])
    text = rendering.section(section)
    assert "<b>" not in text and "reference text" in text
    (again,) = samples.sections(results, [])
    assert rendering.section(again) == text
