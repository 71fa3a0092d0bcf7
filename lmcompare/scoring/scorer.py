"""The one scorer: examples in, log-probabilities of their targets out, batched by length."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from transformers import Cache

from lmcompare.core.example import IGNORE, Example, Ids, SpecialTokens, collate
from lmcompare.models.network import BatchTensors, Network, evaluation_mode
from lmcompare.objectives import Objective
from lmcompare.scoring.prefix_sharing import PrefixCache, after_prefix, merge_rows, prefix_groups
from lmcompare.scoring.requests import ScoringRequest, TokenizedPair, scoring_requests
from lmcompare.scoring.score_types import Method

MOST_LOGITS = {"cpu": 2**22, "other": 2**26}
"""Most logits of one forward pass over several examples: 16 MiB in float32 on a CPU, whose caches
hold no more.
"""

BATCHES_AHEAD = 64
"""How many full batches of examples are made before they are scored: more are sorted better, fewer
take less memory.
"""


def score_examples(
    network: Network, special: SpecialTokens, examples: Sequence[Example], batch_tokens: int
) -> list[NDArray[np.float64]]:
    """Return log p (nats) of the targets of each example, in order. No answer depends on its batch
    neighbors.

    A prefix that several examples share is read once (``prefix_sharing``), by an encoder once in
    each batch.

    Memory: one pass holds at most ``batch_tokens`` positions and ``MOST_LOGITS`` logits, or one
    row: an example, or several that share a prefix.
    """
    most = MOST_LOGITS["cpu" if network.device.type == "cpu" else "other"]
    counts = np.array([np.count_nonzero(example.targets != IGNORE) for example in examples])
    log_p: list[NDArray[np.float64]] = [np.array([])] * len(examples)

    def batches(rows: Sequence[Example]) -> list[list[int]]:
        return group_by_length(rows, batch_tokens, len(special.word_starts), most)

    def score(places: Sequence[int], rows: Sequence[Example], past: Cache | None = None) -> None:
        """Score rows whose targets are those of the examples at ``places``, one after another."""
        batch = collate(rows, special.pad)
        # (targets of all rows,)
        losses = network(BatchTensors.of(batch, network.device), past).double().cpu().numpy()
        ends = np.cumsum(counts[places])
        for i, end in zip(places, ends.tolist(), strict=True):
            log_p[i] = -losses[end - counts[i] : end]

    unscored = set(range(len(examples)))
    with evaluation_mode(network):
        # Long shared prefixes: read each once, then only what comes after it, from its KV cache.
        for size, groups in prefix_groups(network, examples, batch_tokens):
            prefixes = np.stack([examples[places[0]].inputs[:size] for places in groups])
            cache = PrefixCache(network, prefixes)
            members = [(i, number) for number, places in enumerate(groups) for i in places]
            rests = [after_prefix(examples[i], size) for i, _ in members]
            for batch in batches([examples[i] for i, _ in members]):
                past = cache.for_rows([members[j][1] for j in batch])
                score([members[j][0] for j in batch], [rests[j] for j in batch], past)
            unscored.difference_update(i for i, _ in members)

        # All others; short shared prefixes stand once in a row with their continuations. A row with
        # branches needs a mask, which would hide the windows of a long row beside it: those are
        # batched apart.
        rows = merge_rows(network, examples, sorted(unscored))
        merged, single = (
            [row for row in rows if (len(row[1]) > 1) == several] for several in (True, False)
        )
        for part in (merged, single):
            for batch in batches([row for row, _ in part]):
                score([i for j in batch for i in part[j][1]], [part[j][0] for j in batch])
    return log_p


def group_by_length(
    examples: Sequence[Example],
    batch_tokens: int,
    vocab_size: int = 0,
    most_logits: int = MOST_LOGITS["cpu"],
) -> list[list[int]]:
    """Group examples of like length so that a batch holds at most ``batch_tokens`` positions and so
    many logits.

    Padding counts as positions; ``vocab_size`` logits are computed for each target.

    >>> examples = [Example(np.arange(n), np.arange(n)) for n in (5, 2, 2)]
    >>> group_by_length(examples, batch_tokens=4, vocab_size=100)
    [[1, 2], [0]]
    """
    lengths = [
        len(e.inputs) + (0 if e.decoder_inputs is None else len(e.decoder_inputs)) for e in examples
    ]
    logits_of = [int((e.targets != IGNORE).sum()) * vocab_size for e in examples]
    groups: list[list[int]] = []
    logits = 0
    for i in sorted(range(len(examples)), key=lengths.__getitem__):
        logits += logits_of[i]
        if groups and (len(groups[-1]) + 1) * lengths[i] <= batch_tokens and logits <= most_logits:
            groups[-1].append(i)
        else:
            groups.append([i])
            logits = logits_of[i]
    return groups


def score_pairs(
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
    """Return, for each pair, the nats of each token of its completion, and what each example gave
    to their sum.

    Examples are made as they are needed: those of one method for one text may be many times the
    text.
    """
    tokens = [np.zeros(len(pair.completion)) for pair in pairs]
    parts: list[list[float]] = [[] for _ in pairs]

    def requests() -> Iterator[tuple[int, ScoringRequest]]:
        for i, pair in enumerate(pairs):
            rng = np.random.default_rng([seed, i]) if method == "bound" else None
            for request in scoring_requests(objective, pair, special, method, draws=draws, rng=rng):
                yield i, request

    for chunk in _chunks(requests(), BATCHES_AHEAD * batch_tokens):
        log_p = score_examples(
            network, special, [request.example for _, request in chunk], batch_tokens
        )
        for (i, request), nats in zip(chunk, log_p, strict=True):
            tokens[i][request.places] += request.weight * nats
            parts[i].append(request.weight * float(nats.sum()))
    return [(nats, np.array(part)) for nats, part in zip(tokens, parts, strict=True)]


def _chunks(
    requests: Iterable[tuple[int, ScoringRequest]], positions: int
) -> Iterator[list[tuple[int, ScoringRequest]]]:
    """Cut a stream into lists of about so many positions."""
    chunk: list[tuple[int, ScoringRequest]] = []
    size = 0
    for i, request in requests:
        chunk.append((i, request))
        size += len(request.example.inputs)
        if size >= positions:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def batches_by_length(
    network: Network, special: SpecialTokens, examples: Sequence[Example], batch_tokens: int
) -> Iterator[tuple[list[int], BatchTensors]]:
    """Yield batches of examples of like length with their places; the network is in evaluation."""
    with evaluation_mode(network):
        for group in group_by_length(examples, batch_tokens):
            batch = collate([examples[i] for i in group], special.pad)
            yield group, BatchTensors.of(batch, network.device)


def as_ids(rows: Iterable[Sequence[int]]) -> list[Ids]:
    """Return lists of ids as arrays."""
    return [np.array(row, dtype=np.int64) for row in rows]
