"""Infilling of many spans given as ids: their log-likelihoods and their most likely fills."""

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from lmcompare.core.example import IGNORE, Example, Ids, collate
from lmcompare.core.infilling_types import SpanInContext
from lmcompare.generation.sampling import DecodedTokens, Sampling
from lmcompare.generation.unmasking import unmask
from lmcompare.models.network import BatchTensors, evaluation_mode
from lmcompare.scoring.model_protocol import ScoredModel, ask
from lmcompare.scoring.requests import predicts_at_masks

_GAPS = 1024
"""Spans whose examples are held at once."""


def score_gaps(
    model: ScoredModel, gaps: Sequence[SpanInContext], *, whole: bool = False
) -> list[NDArray[np.float64]]:
    """Return, for each span, log p (nats) of each of its tokens: see
    ``Objective.infilling_examples``.

    With ``whole``, the sum of a row is log p of the whole text but for what does not depend on the
    span, so that spans may be ranked whatever context the model reads.
    """
    objective, special = model.objective, model.tokenizer.special
    scores = []
    for first in range(0, len(gaps), _GAPS):
        examples = [
            objective.infilling_examples(context, special, score_right=whole)
            for context in gaps[first : first + _GAPS]
        ]
        log_p = iter(ask(model, [example for group in examples for example in group]))
        scores += [np.concatenate([next(log_p) for _ in group]) for group in examples]
    return scores


def fill_gaps(
    model: ScoredModel, contexts: Sequence[tuple[Ids, Ids]], *, length: int, batch: int = 32
) -> DecodedTokens:
    """Write the best ``length`` ordinary tokens between each left and right context.

    A masked model fills its masks, the surest first (``unmasking.confidence``). All others write
    from left to right, the best token each time; how far they read the right context is up to
    ``Objective.infilling_examples``.

    Args:
        model: with any objective.
        contexts: (left, right) ids of each text.
        length: tokens of each span.
        batch: texts at a time; it changes no result.
    """
    network, special = model.network, model.tokenizer.special
    empty = np.full(length, special.ordinary[0], dtype=np.int64)
    first_examples = [
        model.objective.infilling_examples(SpanInContext(left, empty, right), special)[0]
        for left, right in contexts
    ]
    if all(predicts_at_masks(example, special) for example in first_examples):
        return unmask(network, first_examples, special, Sampling(temperature=0.0), batch=batch)
    rows: list[Ids] = [empty] * len(contexts)
    ordinary = torch.from_numpy(special.ordinary).to(network.device)
    order = sorted(range(len(contexts)), key=lambda i: len(first_examples[i].inputs))
    start = time.perf_counter()
    with evaluation_mode(network):
        for first in range(0, len(order), batch):
            group = order[first : first + batch]
            # (texts, length); no token is read before it is written.
            spans = np.tile(empty, (len(group), 1))
            for t in range(length):
                examples = [
                    _next_token(model, SpanInContext(contexts[i][0], span, contexts[i][1]), t)
                    for i, span in zip(group, spans, strict=True)
                ]
                tensors = BatchTensors.of(collate(examples, special.pad), network.device)
                # (texts, ordinary ids)
                logits = network.logits(tensors, tensors.targets != IGNORE)[:, ordinary]
                spans[:, t] = special.ordinary[logits.argmax(-1).cpu().numpy()]
            for i, span in zip(group, spans, strict=True):
                rows[i] = span
    return DecodedTokens(rows, calls=length, seconds=time.perf_counter() - start)


def _next_token(model: ScoredModel, context: SpanInContext, t: int) -> Example:
    """Return the example whose only target is token ``t`` of the span."""
    examples = model.objective.infilling_examples(context, model.tokenizer.special)
    if len(examples) == 1:  # one pass over the span: the tokens after t need not be there
        context = replace(context, span=context.span[: t + 1])
        (example,) = model.objective.infilling_examples(context, model.tokenizer.special)
        place = np.flatnonzero(example.has_target)[t]
    else:  # one example a token
        example = examples[t]
        (place,) = np.flatnonzero(example.has_target)
    targets = np.full_like(example.targets, IGNORE)
    targets[place] = example.targets[place]
    return replace(example, targets=targets)
