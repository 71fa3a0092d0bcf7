"""A gap in a text: what each kind of network is asked about its tokens, given both sides or as many as it reads."""

from dataclasses import dataclass

import numpy as np

from lmcompare.core.example import IGNORE, Example, Ids, SpecialTokens
from lmcompare.objectives import Composed, Objective


@dataclass(frozen=True)
class SpanRequest:
    """A text in tokens, cut in three.

    Attributes:
        left: (l,) ids before the gap; there may be none.
        span: (n,) ids in the gap, at least one.
        right: (r,) ids after the gap; there may be none.
    """

    left: Ids
    span: Ids
    right: Ids


def answering(objective: Objective) -> Objective:
    """Return the part of a composed objective that answers, or the objective itself."""
    while isinstance(objective, Composed):
        objective = objective.inference_objective
    return objective


def reads_right(objective: Objective, special: SpecialTokens) -> bool:
    """Return whether a network so asked reads what stands to the right of a gap before it says what is in it.

    Masked models, those that write spans after sentinels (seq2seq, T5, glm) and other encoder-decoders with a mask
    (bart) do. Causal and prefix models do not: they can only weigh what they have said by how the text goes on.

    >>> from lmcompare.objectives.causal import Causal
    >>> from lmcompare.objectives.masked import Masked
    >>> from lmcompare.objectives.seq2seq import Seq2Seq
    >>> [reads_right(objective, special) for objective in (Causal(), Masked(), Seq2Seq())]
    [False, True, True]
    """
    objective = answering(objective)
    if objective.role == "encoder" or objective.kind in ("seq2seq", "glm"):
        return True
    return objective.role == "encoder-decoder" and objective.kind != "prefix" and special.mask >= 0


def ask_gap(objective: Objective, gap: SpanRequest, special: SpecialTokens) -> list[Example]:
    """Return examples whose targets, in order, are the tokens of the span.

    Their log p add up to log p(span given left and right) if ``reads_right``, else to log p(span given left). Masked:
    the chain, the later tokens of the span masked, nothing right of it (as ``pll-word-l2r`` asks a word; proper given
    the number of tokens). By sentinels: the encoder, or GLM's Part A, reads the text with one hole, and the span is
    written after the hole's name; that it ends there is not asked. Other encoder-decoders: the encoder reads the text
    with a mask for the hole, the decoder is led along the left side.

    With 5 to the left, 8 to the right and 6 7 in the gap; bos 1, mask 4, sentinel 9:

    >>> from lmcompare.objectives.masked import Masked
    >>> from lmcompare.objectives.seq2seq import Seq2Seq
    >>> gap = SpanRequest(np.array([5]), np.array([6, 7]), np.array([8]))
    >>> [one.inputs.tolist() for one in ask_gap(Masked(), gap, special)]
    [[5, 4, 4, 8], [5, 6, 4, 8]]
    >>> (one,) = ask_gap(Seq2Seq(), gap, special)
    >>> one.inputs.tolist(), one.decoder_inputs.tolist(), one.targets.tolist()
    ([5, 9, 8], [1, 9, 6], [-100, 6, 7])
    """
    objective = answering(objective)
    if not reads_right(objective, special):
        return objective.scoring_examples(gap.left, gap.span, special)
    if objective.role == "encoder":
        return _masked(objective, gap, special)
    if objective.kind in ("seq2seq", "glm"):
        return [_spanned(objective, gap, special)]
    return [_led(objective, gap, gap.span, special)]


def ask_whole(objective: Objective, gap: SpanRequest, special: SpecialTokens) -> list[Example]:
    """Return examples whose log p add up to log p(left, span, right), but for what does not depend on the span.

    So the span of the highest sum is the likeliest one given both sides, whoever is asked: a causal model is asked
    for span and right given left, a decoder led along the text too; the others for the span given both.
    """
    objective = answering(objective)
    both = np.concatenate([gap.span, gap.right]).astype(np.int64)
    if not reads_right(objective, special):
        return objective.scoring_examples(gap.left, both, special)
    if objective.role == "encoder" or objective.kind in ("seq2seq", "glm"):
        return ask_gap(objective, gap, special)
    return [_led(objective, gap, both, special)]


def _masked(objective: Objective, gap: SpanRequest, special: SpecialTokens) -> list[Example]:
    whole = np.concatenate([gap.span, gap.right]).astype(np.int64)
    template = objective.scoring_examples(gap.left, whole, special)[0]
    first = int(np.flatnonzero(template.has_target)[0])
    # A shifted objective asks one place to the left of the mask, and does not read the last token.
    start = first + int(template.inputs[first] != special.mask)
    count = len(whole) - (start - first)
    examples = []
    for t in range(len(gap.span)):
        inputs, targets = (
            template.inputs.copy(),
            np.full(len(template.inputs), IGNORE, dtype=np.int64),
        )
        read = whole.copy()
        read[t : len(gap.span)] = special.mask
        inputs[start : start + count] = read[:count]
        targets[first + t] = gap.span[t]
        examples.append(Example(inputs, targets, attention=template.attention))
    return examples


def _spanned(objective: Objective, gap: SpanRequest, special: SpecialTokens) -> Example:
    begun = objective.generation_prompt(gap.left, len(gap.span), special)
    hole = int(np.flatnonzero(begun.inputs == special.sentinels[0])[0])
    inputs = np.insert(begun.inputs, hole + 1, gap.right).astype(np.int64)
    if begun.decoder_inputs is not None:
        targets = np.concatenate([np.full(len(begun.decoder_inputs) - 1, IGNORE), gap.span]).astype(
            np.int64
        )
        return Example(
            inputs, targets, np.concatenate([begun.decoder_inputs, gap.span[:-1]]).astype(np.int64)
        )
    visible = len(inputs) - 1
    targets = np.concatenate([np.full(visible, IGNORE), gap.span]).astype(np.int64)
    return Example(
        np.concatenate([inputs, gap.span[:-1]]).astype(np.int64), targets, attention=visible
    )


def _led(objective: Objective, gap: SpanRequest, asked: Ids, special: SpecialTokens) -> Example:
    start = objective.generation_prompt(gap.left[:0], 1, special).decoder_inputs
    assert start is not None
    holed = np.concatenate([gap.left, [special.mask], gap.right]).astype(np.int64)
    head = np.concatenate([start, gap.left]).astype(np.int64)
    targets = np.concatenate([np.full(len(head) - 1, IGNORE), asked]).astype(np.int64)
    return Example(
        objective.encoding_example(holed, special).inputs,
        targets,
        np.concatenate([head, asked[:-1]]).astype(np.int64),
    )
