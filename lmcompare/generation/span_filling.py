"""Gaps of known length, filled greedily, many texts at once."""

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from lmcompare.core.example import IGNORE, Example, Ids, SpecialTokens, collate
from lmcompare.generation import DecodedTokens
from lmcompare.generation.unmasking import fill
from lmcompare.models.network import BatchTensors, Network, evaluation_mode
from lmcompare.objectives import Objective
from lmcompare.scoring.span_requests import SpanRequest, ask_gap


def fill_gaps(
    network: Network,
    objective: Objective,
    contexts: Sequence[tuple[Ids, Ids]],
    special: SpecialTokens,
    *,
    length: int,
    batch: int = 32,
) -> DecodedTokens:
    """Write the best ``length`` ordinary tokens between what stands to the left and to the right.

    A masked model fills its masks, the surest first (``filling.confidence``). All others write from left to right,
    the best token each time; what they read of the right side is what ``gap.ask_gap`` lets them.

    Args:
        network: in any role.
        objective: says how it is asked.
        contexts: (left, right) ids of each text.
        special: of the vocabulary; no special token is written.
        length: tokens in each gap.
        batch: texts at a time; it changes no result.
    """
    empty = np.full(length, special.ordinary[0], dtype=np.int64)
    asked = [
        ask_gap(objective, SpanRequest(left, empty, right), special)[0] for left, right in contexts
    ]
    if objective.role == "encoder" and all(
        (one.inputs[one.has_target] == special.mask).all() for one in asked
    ):
        return fill(network, asked, special, batch=batch)
    rows: list[Ids] = [empty] * len(contexts)
    free = torch.from_numpy(special.ordinary)
    order = sorted(range(len(contexts)), key=lambda i: len(asked[i].inputs))
    start = time.perf_counter()
    with evaluation_mode(network):
        for first in range(0, len(order), batch):
            group = order[first : first + batch]
            said = np.zeros((len(group), 0), dtype=np.int64)
            for _ in range(length):
                gaps = [
                    SpanRequest(left, np.append(row, special.ordinary[0]), right)
                    for row, (left, right) in zip(said, (contexts[i] for i in group), strict=True)
                ]
                questions = [_next(objective, gap, length, special) for gap in gaps]
                read = BatchTensors.of(collate(questions, special.pad), network.device)
                logits = network.logits(read, read.targets != IGNORE)[:, free.to(network.device)]
                best = special.ordinary[logits.argmax(-1).cpu().numpy()]
                said = np.concatenate([said, best[:, None]], axis=1)
            for i, row in zip(group, said, strict=True):
                rows[i] = row
    return DecodedTokens(rows, calls=length, seconds=time.perf_counter() - start)


def _next(objective: Objective, gap: SpanRequest, length: int, special: SpecialTokens) -> Example:
    """Ask for the last token of the span alone, a masked model with masks for those still to come."""
    if objective.role == "encoder":
        rest = np.full(length - len(gap.span), special.ordinary[0], dtype=np.int64)
        return ask_gap(objective, replace(gap, span=np.append(gap.span, rest)), special)[
            len(gap.span) - 1
        ]
    (question,) = ask_gap(objective, gap, special)
    targets = question.targets.copy()
    targets[np.flatnonzero(question.has_target)[:-1]] = IGNORE
    return replace(question, targets=targets)
