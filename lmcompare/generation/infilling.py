"""Holes in a text, filled: by unmasking, by a sentinel's span, or (handicapped) from the left."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lmcompare.core.errors import InputError, not_whole
from lmcompare.core.example import Ids
from lmcompare.data.tokenizer import Tokenizer
from lmcompare.generation.autoregressive import check
from lmcompare.generation.infilling_methods import InfillingRequest
from lmcompare.generation.infilling_template import parse
from lmcompare.generation.unmasking import not_masked
from lmcompare.models.network import Network
from lmcompare.models.pretrained_objectives import PretrainedSeq2Seq
from lmcompare.objectives import Composed, Objective

FROM_THE_LEFT = "proposed from the left alone"


@dataclass(frozen=True)
class InfilledText:
    """A text whose holes are filled.

    Attributes:
        text: the whole, as typed but for the holes.
        fills: the text of each hole; neighbouring masks are one hole.
        tokens: the ids of each hole.
        score: log p (nats) of the fills, see ``exactness``.
        exactness: 'exact' (log p of what was asked), 'chain' (a proper log-likelihood in the order of filling, given
            the lengths) or 'pseudo' (none).
        handicap: what this kind of model could not do, or ''.
        calls: of the network.
    """

    text: str
    fills: list[str]
    tokens: list[Ids]
    score: float
    exactness: str
    handicap: str
    calls: int


def infill(
    network: Network,
    objective: Objective,
    tokenizer: Tokenizer,
    text: str,
    *,
    lengths: Iterable[int] = range(1, 9),
    choices: Sequence[str] | None = None,
    strategy: str = "confidence",
    steps: int | None = None,
    temperature: float = 0.0,
    seed: int = 0,
    context: int | None = None,
) -> InfilledText:
    """Fill the holes of a text; all else stays as typed.

    ``[MASK]``, ``<mask>`` and the tokenizer's own mask stand for one token each, ``<hole>`` for some. Spaces before a
    hole belong to its first token (in most vocabularies a word's token brings its space).

    - *masked*: masks, filled by ``strategy``; holes of unknown length are tried at all combinations of ``lengths``, and
      that with the best log p a token is kept. Beyond ``ways.JOINT`` combinations, one hole after another, from the
      left, is tried at each length, those to come being as short as may be: then their order counts.
    - *seq2seq* by sentinels: the decoder writes each hole's tokens after its sentinel, up to the next one or eos.
    - *glm*: the stack writes each hole after the text with holes, up to its eos.
    - *any other encoder-decoder*: the encoder reads the mask; the decoder is led along the text and is free in the
      holes. The length, one for all holes of unknown length, is that whose whole text has the highest log p.
    - *causal*: each hole is continued from its left; among ``lengths``, the one whose whole text is likeliest is kept.
      Labelled as handicapped: nothing that stands to the right has a say in which tokens are proposed.

    With ``choices`` (for a text with one hole) the hole is filled by the choice of highest log p, of causal models by
    that of the whole text: this is the fair question to all of them, if the choices have equally many tokens.

    Args:
        network: in any role.
        objective: says how the network is asked.
        tokenizer: what it reads.
        text: with at least one marker.
        lengths: tokens to try in a hole of unknown length; the largest is the most that a decoder writes.
        choices: texts to choose from.
        strategy: of the masked model, one of ``filling.STRATEGIES``.
        steps: calls of the masked model for one filling.
        temperature: 0 takes the best token, 1 samples.
        seed: of the sampling.
        context: tokens that the network may read at once; None: any number.

    Raises:
        InputError: there is no hole, the network did not learn to read one (a translator, T5Gemma), the context does
            not hold the text once its holes are filled, a choice has no tokens, no lengths, or a setting that cannot
            be or is for masked models alone.
    """
    check(1, temperature, steps, seed=seed)
    lengths = _lengths(lengths)
    special = tokenizer.special
    while isinstance(objective, Composed):
        objective = objective.inference_objective
    if isinstance(objective, PretrainedSeq2Seq) and not objective.fills:
        raise InputError(
            "infill: wanted a model that learnt to fill holes (masked, T5's sentinels, BART) or continues a text "
            "(causal), got a translator (Marian) or an encoder-decoder whose files do not tell how a hole was marked "
            "(T5Gemma); `rank` compares whole texts that its decoder may say"
        )
    if objective.role != "encoder":
        not_masked("infill", objective.kind, strategy, steps)
    typed = parse(text, getattr(tokenizer.hf_tokenizer, "mask_token", None))
    holes, sizes = typed.ids(tokenizer), typed.sizes
    ask = InfillingRequest(network, objective, special, strategy, steps, temperature, seed, context)
    if choices is not None:
        if len(sizes) != 1 or not choices:
            raise InputError(
                f"choices: wanted some, for a text with one hole; got {len(choices)} for {len(sizes)}"
            )
        spelt = [
            choice if choice.startswith(" ") else typed.spaces[0] + choice for choice in choices
        ]
        options = [[np.array(row, dtype=np.int64)] for row in tokenizer.encode_batch(spelt)]
        for i, choice in enumerate(choices):
            if not choice or not len(options[i][0]):
                raise InputError(f"choices[{i}]: wanted a text with tokens, got {choice!r}")
        fills, score, exactness, calls, handicap = ask.choose(holes, options)
    elif objective.role == "encoder":
        fills, score, exactness, calls = ask.unmask(holes, lengths)
        handicap = ""
    elif objective.kind == "seq2seq":
        fills, score, exactness, calls = ask.span(holes, max(lengths))
        handicap = ""
    elif objective.kind == "glm":
        fills, score, exactness, calls = ask.blank(holes, max(lengths))
        handicap = ""
    elif objective.role == "encoder-decoder" and objective.kind != "prefix":
        fills, score, exactness, calls = ask.led(holes, lengths)
        handicap = ""
    else:
        fills, score, exactness, calls = ask.continued(holes, lengths)
        handicap = FROM_THE_LEFT
    said = [tokenizer.decode(new.tolist()).removeprefix("##") for new in fills]
    return InfilledText(typed.filled(said), said, fills, score, exactness, handicap, calls)


def _lengths(given: Iterable[int]) -> list[int]:
    """Return the lengths to try, at least one, each of them 1 or more."""
    if not isinstance(given, Iterable):
        raise InputError(f"lengths: wanted a list of numbers of tokens, got {given!r}")
    lengths = list(given)
    problems = [
        problem
        for i, length in enumerate(lengths)
        for problem in not_whole(f"lengths[{i}]", length, 1)
    ]
    if problems or not lengths:
        raise InputError(*(problems or ["lengths: wanted at least one, got none"]))
    return lengths
