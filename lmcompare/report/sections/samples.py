"""Generations drawn at random, side by side, and models that ignore their prompts."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from lmcompare.report.analysis import TaskAnalysis
from lmcompare.report.formatting import shortened
from lmcompare.report.results import PRETRAINED, Results
from lmcompare.report.sections.base import Section
from lmcompare.report.tables import Table, name

SHOWN = 3
"""Prompts that a report shows."""
MAX_CHARACTERS = 320
"""Of a prompt or text before it is cut."""


@dataclass(frozen=True)
class ConstantOutput:
    """A model that generated the same text for every prompt."""

    model: str
    constant_seeds: int
    seeds: int


def sections(results: Results, analyses: Sequence[TaskAnalysis]) -> list[Section]:
    """Return a few prompts of each task that generates, with what each model wrote."""
    drawn = {task.name: sampled(results, task.name) for task in results.tasks}
    return [
        Section(
            "samples",
            {
                "samples": samples,
                "constant": constant_outputs(results, task),
                "characters": MAX_CHARACTERS,
            },
            task,
        )
        for task, samples in drawn.items()
        if samples
    ]


def sampled(results: Results, task: str) -> list[dict[str, object]]:
    """Draw prompts, always the same, of those that most models answered."""
    generations: dict[str, dict[tuple[str, str], tuple[str, int]]] = {}
    references: dict[str, str] = {}
    for run in results.cells(task):
        for sample in run.samples:
            prompt = str(sample.get("prompt", ""))
            by_model = generations.setdefault(prompt, {})
            text = str(sample.get("text", ""))
            by_model.setdefault((run.model, run.condition), (text, run.seed))
            if sample.get("reference"):
                references[prompt] = str(sample["reference"])
    if not generations:
        return []
    most = max(len(by_model) for by_model in generations.values())
    prompts = sorted(p for p, by_model in generations.items() if len(by_model) == most)
    drawn = random.Random(0).sample(prompts, min(SHOWN, len(prompts)))
    return [
        {
            "prompt": shortened(prompt, MAX_CHARACTERS, keep="end"),
            "table": _table(generations[prompt], references.get(prompt)),
        }
        for prompt in drawn
    ]


def _table(generations: dict[tuple[str, str], tuple[str, int]], reference: str | None) -> Table:
    lines: list[dict[str, object]] = []
    if reference is not None:
        lines.append({"model": "reference text", "generation": _cut(reference)})
    for (model, condition), (text, seed) in generations.items():
        title = model if condition == PRETRAINED else f"{model} ({condition})"
        lines.append({"model": [name(title), f", seed {seed}"], "generation": _cut(text)})
    return Table("", pd.DataFrame(lines))


def _cut(text: str) -> str:
    return shortened(text, MAX_CHARACTERS) or "(empty)"


def constant_outputs(results: Results, task: str) -> list[ConstantOutput]:
    """Return the pretrained models that wrote one text for all prompts, with most of their seeds.

    No metric of such a model shows that it read a prompt. Prompts that expect the same answer are
    no evidence: cells whose references are not all different are left out.
    """
    seeds: Counter[str] = Counter()
    constant: Counter[str] = Counter()
    for run in results.cells(task):
        texts = [str(sample.get("text", "")).strip() for sample in run.samples]
        references = {str(sample.get("reference", "")) for sample in run.samples}
        if run.condition == PRETRAINED and len(texts) > 1 and len(references) == len(texts):
            seeds[run.model] += 1
            constant[run.model] += len(set(texts)) == 1
    return [
        ConstantOutput(model, constant[model], seeds[model])
        for model in results.models
        if 2 * constant[model] > seeds[model]
    ]
