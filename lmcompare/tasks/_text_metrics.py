"""Answers to prompts, judged: what was written beside what was wanted, and what that costs a
network in bits."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lmcompare.core.example import Ids
from lmcompare.data.items import TaskItem
from lmcompare.tasks.base import TaskOutcome

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


def score_texts(
    harness: "Harness",
    ids: Sequence[str],
    texts: Sequence[str],
    references: Sequence[Sequence[str]],
    metrics: Sequence[str],
    chinese: bool = False,
    arm: str = "",
) -> tuple[list[TaskOutcome], dict[str, str]]:
    """Return the metrics of the texts, item by item for the first one; and the signatures of those
    that sign.

    Args:
        harness: has the metrics.
        ids: of the items.
        texts: what was written, one an item.
        references: of each item, the answers that are right.
        metrics: which; of 'rouge' the first one is called 'rougeL'.
        chinese: cut texts into words as Chinese where a metric has words.
        arm: name of a control.
    """
    outcomes: list[TaskOutcome] = []
    signatures: dict[str, str] = {}
    for name in dict.fromkeys(metrics):
        first = name == metrics[0]
        options = OPTIONS.get(name, {}) if chinese or name == "rouge" else {}
        if first:
            options = {**options, "per_item": True}
        found = dict(
            harness.metric(name, predictions=list(texts), references=list(references), **options)
        )
        if "signature" in found:
            signatures[name] = str(found.pop("signature"))
        if first:
            primary = "rougeL" if name == "rouge" else name
            values = [row[ROUGE_L] if name == "rouge" else row for row in found.pop("items")]
            outcomes += [
                TaskOutcome(primary, float(value), one, model=arm)
                for one, value in zip(ids, values, strict=True)
            ]
            if name == "chrf":
                found["corpus_chrf"] = found[name]
            found[primary] = np.mean(values)
        outcomes += [TaskOutcome(key, float(value), model=arm) for key, value in found.items()]
    return outcomes, signatures


def bits_of(
    harness: "Harness",
    items: Sequence[TaskItem],
    answers: Sequence[Ids],
    nats: Sequence[Any],
    length: int,
    exactness: str,
) -> list[TaskOutcome]:
    """Return bits and bytes of each real answer (of what of it fits into ``length``), and bits per
    byte of all.

    Args:
        harness: tells bytes.
        items: whose answers they are.
        answers: their tokens.
        nats: of each answer, log p of each of its tokens (and of its end, if that was asked).
        length: tokens of an answer that were asked.
        exactness: of the likelihoods.
    """
    bits = [-float(row.sum()) / np.log(2) for row in nats]
    size = [harness.byte_length(answer[:length]) for answer in answers]
    outcomes = [TaskOutcome("bits_per_byte", sum(bits) / sum(size), exactness=exactness)]
    for item, item_bits, item_bytes in zip(items, bits, size, strict=True):
        outcomes.append(TaskOutcome("bits", item_bits, item.id, exactness=exactness))
        outcomes.append(TaskOutcome("bytes", item_bytes, item.id, exactness=exactness))
    return outcomes
