"""Answers generated to prompts: tokenized pairs, text metrics, and bits per byte of real
answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lmcompare.core.example import Ids
from lmcompare.tasks._prompts import PromptedItem, TruncationSide, fit, length_for
from lmcompare.tasks.base import (
    SPECIAL_TOKENS,
    TaskOutcome,
    bits_per_byte,
    generation,
    item_outcomes,
    sampled,
    whole_outcomes,
)

if TYPE_CHECKING:
    from lmcompare.evaluation.harness import Harness

OPTIONS: dict[str, dict[str, Any]] = {
    "rouge": {"tokenizer": "any"},
    "bleu": {"tokenize": "zh"},
    "ter": {"chinese": True},
}
"""How texts are cut into words: by ROUGE in any script alike, by the others where texts are
Chinese."""
ROUGE_L = 2
"""Its place among an item's ROUGE scores."""


@dataclass(frozen=True)
class TokenizedAnswers:
    """The answers of each split in tokens, and what of the context is left for prompts."""

    rows: dict[str, list[Ids]]
    max_new_tokens: int
    room: int
    """tokens of a prompt, at most"""

    def longer(self, splits: Sequence[str], eos: int) -> dict[str, int]:
        """Return how many answers of each split, ``eos`` tokens added, are longer than is
        generated.
        """
        return {
            split: sum(len(row) + eos > self.max_new_tokens for row in self.rows[split])
            for split in splits
        }


def tokenize_answers(
    harness: "Harness", items: Mapping[str, Sequence[PromptedItem]], max_new_tokens: int | None
) -> TokenizedAnswers:
    """Encode the answers; ``max_new_tokens`` is what 95% of the training answers need if it is
    None.
    """
    rows = {
        split: harness.encode([item.target for item in part], target=True)
        for split, part in items.items()
    }
    length = (
        min(max_new_tokens, harness.context // 2)
        if max_new_tokens
        else length_for(rows["train"], harness.context)
    )
    return TokenizedAnswers(rows, length, harness.context - length - SPECIAL_TOKENS)


@dataclass(frozen=True)
class TokenizedPairs:
    """Prompts and answers of each split."""

    pairs: dict[str, list[tuple[Ids, Ids]]]
    prompts: dict[str, list[str]]
    cut: dict[str, int]
    """prompts that were cut"""


def tokenize_pairs(
    harness: "Harness",
    items: Mapping[str, Sequence[PromptedItem]],
    answers: TokenizedAnswers,
    side: TruncationSide,
    examples: str = "",
) -> TokenizedPairs:
    """Render and encode the prompts, after ``examples``, and pair them with their answers."""
    prompts, cut, pairs = {}, {}, {}
    for split, part in items.items():
        fitted = [
            fit(
                harness,
                lambda text, item=item: examples + item.render(text),  # type: ignore[misc]
                item.prompt,
                answers.room,
                side,
            )
            for item in part
        ]
        prompts[split] = [text for text, _ in fitted]
        cut[split] = sum(was_cut for _, was_cut in fitted)
        pairs[split] = list(zip(harness.encode(prompts[split]), answers.rows[split], strict=True))
    return TokenizedPairs(pairs, prompts, cut)


def score_texts(
    harness: "Harness",
    ids: Sequence[str],
    texts: Sequence[str],
    references: Sequence[Sequence[str]],
    metrics: Sequence[str],
    chinese: bool = False,
    model: str = "",
) -> tuple[list[TaskOutcome], dict[str, str]]:
    """Return the metrics of the texts, item by item for the first one, and their signatures.

    Args:
        harness: computes the metrics.
        ids: of the items.
        texts: what was generated, one an item.
        references: of each item, the right answers.
        metrics: which; of 'rouge' the first one is called 'rougeL'.
        chinese: cut texts into words as Chinese where a metric has words.
        model: name of a control.
    """
    outcomes: list[TaskOutcome] = []
    signatures: dict[str, str] = {}
    for name in dict.fromkeys(metrics):
        options = OPTIONS.get(name, {}) if chinese or name == "rouge" else {}
        first = name == metrics[0]
        if first:
            options = {**options, "per_item": True}
        inputs = {"predictions": list(texts), "references": list(references)}
        values = dict(harness.metric(name, **inputs, **options))
        if "signature" in values:
            signatures[name] = str(values.pop("signature"))
        if first:
            primary = "rougeL" if name == "rouge" else name
            items = [row[ROUGE_L] if name == "rouge" else row for row in values.pop("items")]
            outcomes += item_outcomes(primary, ids, items, model=model)
            if name == "chrf":
                values["corpus_chrf"] = values[name]
            values[primary] = np.mean(items)
        outcomes += whole_outcomes(values, model=model)
    return outcomes, signatures


def answer_bits(
    harness: "Harness", ids: Sequence[str], rows: Sequence[Ids], nats: Sequence[Any], length: int
) -> list[TaskOutcome]:
    """Return bits and bytes of each real answer (of its first ``length`` tokens), and bits per
    byte.
    """
    sizes = [harness.byte_length(row[:length]) for row in rows]
    return bits_per_byte(ids, nats, sizes, exactness=harness.model.objective.exactness)


def answer_costs(calls: float, seconds: float, answers: int) -> list[TaskOutcome]:
    """Return what generating an answer cost."""
    return whole_outcomes({"calls_per_answer": calls, "seconds_per_generation": seconds / answers})


def draw_samples(
    seed: int,
    count: int,
    items: Sequence[PromptedItem],
    prompts: Sequence[str],
    texts: Sequence[str],
) -> list[dict[str, Any]]:
    """Return generations for the report, drawn at random."""
    return [
        generation(items[i].id, prompts[i], texts[i], items[i].answers[0])
        for i in sampled(seed, len(items), count)
    ]
