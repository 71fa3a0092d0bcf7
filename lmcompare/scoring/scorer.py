"""The one scorer: examples in, log-probabilities of their targets out, batched by length."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from transformers import Cache

from lmcompare.core.example import IGNORE, Example, Ids, SpecialTokens, collate
from lmcompare.models.network import BatchTensors, Network, evaluation_mode
from lmcompare.objectives import Objective
from lmcompare.scoring import prefix_sharing as sharing
from lmcompare.scoring.likelihood import Method
from lmcompare.scoring.requests import ScoringRequest, TokenizedPair, ask_pair

LOGITS = {"cpu": 2**22, "other": 2**26}
"""Most logits of one forward pass over several examples: 16 MiB in float32 on a CPU, whose caches hold no more."""

AHEAD = 64
"""How many full batches of examples are made before they are asked: more are sorted better, fewer take less memory."""


def ask(
    network: Network, special: SpecialTokens, examples: Sequence[Example], batch_tokens: int
) -> list[NDArray[np.float64]]:
    """Return log p (nats) of the targets of each example, in order. No answer depends on its batch neighbours.

    A prompt that several examples share is read once (``sharing``), by an encoder once in each batch.

    Memory: one pass holds at most ``batch_tokens`` positions and ``LOGITS`` logits, or one row: an example, or
    several that share.
    """
    most = LOGITS["cpu" if network.device.type == "cpu" else "other"]
    asked = np.array([np.count_nonzero(example.targets != IGNORE) for example in examples])
    answers: list[NDArray[np.float64]] = [np.array([])] * len(examples)

    def grouped(rows: Sequence[Example]) -> list[list[int]]:
        return groups(rows, batch_tokens, len(special.word_starts), most)

    def answer(places: Sequence[int], rows: Sequence[Example], past: Cache | None = None) -> None:
        """Ask rows; their targets are those of the examples at ``places``, one after another."""
        batch = collate(rows, special.pad)
        losses = network(BatchTensors.of(batch, network.device), past).double().cpu().numpy()
        ends = np.cumsum(asked[places])
        for i, end in zip(places, ends.tolist(), strict=True):
            answers[i] = -losses[end - asked[i] : end]

    alone = set(range(len(examples)))
    with evaluation_mode(network):
        for size, sets in sharing.sets_of(network, examples, batch_tokens):
            kept = sharing.PrefixCache(
                network, np.stack([examples[places[0]].inputs[:size] for places in sets])
            )
            prompt = [(i, number) for number, places in enumerate(sets) for i in places]
            rests = [sharing.after(examples[i], size) for i, _ in prompt]
            for group in grouped([examples[i] for i, _ in prompt]):
                places = [prompt[j][0] for j in group]
                answer(places, [rests[j] for j in group], kept.lent([prompt[j][1] for j in group]))
            alone.difference_update(i for i, _ in prompt)
        rows = sharing.branched(network, examples, sorted(alone))
        # A row with branches needs a mask, which would hide the windows of a long row beside it.
        for part in (
            [one for one in rows if len(one[1]) > 1],
            [one for one in rows if len(one[1]) == 1],
        ):
            for group in grouped([row for row, _ in part]):
                answer([i for j in group for i in part[j][1]], [part[j][0] for j in group])
    return answers


def groups(
    examples: Sequence[Example], batch_tokens: int, vocabulary: int = 0, most: int = LOGITS["cpu"]
) -> list[list[int]]:
    """Group examples of like length so that a batch holds at most ``batch_tokens`` positions and ``most`` logits.

    Padding counts as positions; ``vocabulary`` logits are computed for each target.

    >>> groups([Example(np.arange(n), np.arange(n)) for n in (5, 2, 2)], 4, 100)
    [[1, 2], [0]]
    """
    lengths = [
        len(e.inputs) + (0 if e.decoder_inputs is None else len(e.decoder_inputs)) for e in examples
    ]
    wanted = [int((e.targets != IGNORE).sum()) * vocabulary for e in examples]
    found: list[list[int]] = []
    logits = 0
    for i in sorted(range(len(examples)), key=lengths.__getitem__):
        logits += wanted[i]
        if found and (len(found[-1]) + 1) * lengths[i] <= batch_tokens and logits <= most:
            found[-1].append(i)
        else:
            found.append([i])
            logits = wanted[i]
    return found


def score(
    network: Network,
    objective: Objective,
    special: SpecialTokens,
    pairs: Sequence[TokenizedPair],
    *,
    batch_tokens: int,
    method: Method | None = None,
    draws: int = 16,
    seed: int = 0,
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return, for each pair, the nats of each token of its completion, and what each example gave to their sum.

    Examples are made as they are needed: what a method asks about one text may be many times the text.
    """
    tokens = [np.zeros(len(pair.completion)) for pair in pairs]
    parts: list[list[float]] = [[] for _ in pairs]

    def asked() -> Iterator[tuple[int, ScoringRequest]]:
        for i, pair in enumerate(pairs):
            rng = np.random.default_rng([seed, i]) if method == "bound" else None
            for one in ask_pair(objective, pair, special, method, draws=draws, rng=rng):
                yield i, one

    for several in _chunks(asked(), AHEAD * batch_tokens):
        answers = ask(network, special, [one.example for _, one in several], batch_tokens)
        for (i, one), answer in zip(several, answers, strict=True):
            tokens[i][one.places] += one.weight * answer
            parts[i].append(one.weight * float(answer.sum()))
    return [(nats, np.array(part)) for nats, part in zip(tokens, parts, strict=True)]


def _chunks(
    asked: Iterable[tuple[int, ScoringRequest]], size: int
) -> Iterator[list[tuple[int, ScoringRequest]]]:
    """Cut a stream into lists of about ``size`` positions."""
    found: list[tuple[int, ScoringRequest]] = []
    held = 0
    for i, one in asked:
        found.append((i, one))
        held += len(one.example.inputs)
        if held >= size:
            yield found
            found, held = [], 0
    if found:
        yield found


def reading(
    network: Network, special: SpecialTokens, examples: Sequence[Example], batch_tokens: int
) -> Iterator[tuple[list[int], BatchTensors]]:
    """Yield batches of examples of like length with their places, the network in evaluation."""
    with evaluation_mode(network):
        for group in groups(examples, batch_tokens):
            yield (
                group,
                BatchTensors.of(collate([examples[i] for i in group], special.pad), network.device),
            )


def ids_of(rows: Iterable[Sequence[int]]) -> list[Ids]:
    """Return lists of ids as arrays."""
    return [np.array(row, dtype=np.int64) for row in rows]
