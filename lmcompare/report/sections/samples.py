"""Generations drawn at random, side by side for the same prompt; and who wrote one text under every prompt."""

import random
from collections import Counter
from dataclasses import dataclass

import pandas as pd

from lmcompare.report.formatting import counted, joined, shortened
from lmcompare.report.markdown import Table, code, escape
from lmcompare.report.results import PRETRAINED, Results

SHOWN = 3
"""Prompts a report shows."""
LONGEST = 320
"""Characters of a prompt or text before it is cut."""


@dataclass(frozen=True)
class Sample:
    """One prompt and what followed it.

    Attributes:
        prompt: the end of the prompt, safe for markdown.
        table: who wrote what.
    """

    prompt: str
    table: Table


def sampled(rows: Results, task: str) -> list[Sample]:
    """Draw prompts (the same draw at every rebuild), of those that most models answered, with every model's first seed."""
    texts: dict[str, dict[str, tuple[str, int]]] = {}
    references: dict[str, str] = {}
    for run in rows.cells(task):
        for sample in run.samples:
            prompt = str(sample.get("prompt", ""))
            answers = texts.setdefault(prompt, {})
            answers.setdefault(
                _who(run.model, run.condition), (str(sample.get("text", "")), run.seed)
            )
            if sample.get("reference"):
                references[prompt] = str(sample["reference"])
    if not texts:
        return []
    most = max(len(answers) for answers in texts.values())
    prompts = sorted(prompt for prompt, answers in texts.items() if len(answers) == most)
    drawn = random.Random(0).sample(prompts, min(SHOWN, len(prompts)))
    found = []
    for number, prompt in enumerate(drawn, 1):
        lines = [
            [f"{code(name)}, seed {seed}", _safe(text)]
            for name, (text, seed) in texts[prompt].items()
        ]
        if prompt in references:
            lines.insert(0, ["*the real text*", _safe(references[prompt])])
        table = Table(f"samples-{number}", ["who", "continuation"], lines, pd.DataFrame())
        found.append(Sample(escape(shortened(prompt, LONGEST, keep="end")), table))
    return found


def constant(rows: Results, task: str) -> dict[str, str]:
    """Find the pretrained models that wrote one and the same text under every prompt kept, with most of their seeds.

    What such a model writes is a constant, so that no measure of it shows that a prompt was read. Prompts that want the
    same answer are no evidence: cells whose references are not all different are left out.

    Returns:
        how many of its seeds did, by model, in the order of the YAML file: '5 of 6 seeds'.
    """
    asked: Counter[str] = Counter()
    same: Counter[str] = Counter()
    for run in rows.cells(task):
        texts = [str(sample.get("text", "")).strip() for sample in run.samples]
        wanted = {str(sample.get("reference", "")) for sample in run.samples}
        if run.condition == PRETRAINED and len(texts) > 1 and len(wanted) == len(texts):
            asked[run.model] += 1
            same[run.model] += len(set(texts)) == 1
    return {
        model: f"{same[model]} of {counted(asked[model], 'seed')}"
        for model in rows.models
        if 2 * same[model] > asked[model]
    }


def warned(rows: Results, task: str) -> str:
    """Say which models wrote one text under every prompt; '' if none did."""
    of = [f"{code(model)} ({seeds})" for model, seeds in constant(rows, task).items()]
    if not of:
        return ""
    return (
        f"**One text under every prompt** of the samples below: {joined(of)}. What is written there is a constant, and "
        "no measure of it shows that a prompt was read."
    )


def _who(model: str, condition: str) -> str:
    return model if condition == PRETRAINED else f"{model} ({condition})"


def _safe(text: str) -> str:
    return escape(shortened(text, LONGEST)) or "*(nothing)*"
