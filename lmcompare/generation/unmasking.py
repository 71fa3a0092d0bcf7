"""Confidence-ordered unmasking and its relatives: masks in a text, filled by a masked language
model.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from lmcompare.core.errors import InputError, nearest
from lmcompare.core.example import Example, Ids, SpecialTokens, collate
from lmcompare.generation.sampling import DecodedTokens, Sampling, gumbel
from lmcompare.models.network import BatchTensors, Network, evaluation_mode
from lmcompare.objectives import Objective

Places = NDArray[np.bool_]
_ROWS = 64  # whose logits are turned into float64 at once: with 100,000 ids, 50 MB


@dataclass
class UnmaskingState:
    """Texts side by side while their masks are being filled. B rows, n places."""

    network: Network
    special: SpecialTokens
    examples: Sequence[Example]
    """the texts; their inputs are replaced by ``tokens``"""
    tokens: Ids
    """(B, n) the inputs as they are now"""
    masked: Places
    """(B, n) where a mask stood at the beginning"""
    scores: NDArray[np.float64]
    """(B, n) log p (nats) of each token when it was last drawn"""
    sampling: Sampling
    rngs: list[np.random.Generator]
    """one a row, so that no draw depends on its batch"""
    shift: int = 0
    """places from where a token is predicted to its mask: 1 if the objective is shifted, else 0"""
    calls: int = 0
    """forward passes done"""

    @property
    def counts(self) -> Ids:
        """Return the number of masks that each row had. Shape (B,)."""
        counts: Ids = self.masked.sum(1)
        return counts

    def draw(self, where: Places) -> tuple[Ids, NDArray[np.float64]]:
        """Draw a token for each of the places (B, n) in one forward pass; return tokens and their
        log p (nats).

        The distribution is that over ordinary tokens at temperature 1; the draw is from it at the
        temperature. Elsewhere both are zero.
        """
        rows = np.flatnonzero(where.any(1))
        drawn, log_p = np.zeros_like(self.tokens), np.zeros(self.tokens.shape)
        if not len(rows):
            return drawn, log_p

        # One pass over the rows that have such a place; logits of those places alone: (places,
        # vocab).
        self.calls += 1
        read = [
            replace(self.examples[i], inputs=self.tokens[i, : len(self.examples[i].inputs)])
            for i in rows.tolist()
        ]
        batch = BatchTensors.of(collate(read, self.special.pad), self.network.device)
        places = where[rows][:, : batch.inputs.shape[1]]
        predicted_at = torch.from_numpy(np.roll(places, -self.shift, axis=1))
        logits = self.network.logits(batch, predicted_at.to(self.network.device))
        row_of, place_of = np.nonzero(places)

        # In parts, so that float64 logits over the vocabulary stay small.
        for first in range(0, len(row_of), _ROWS):
            part = slice(first, first + _ROWS)
            scores = logits[part].cpu().double().numpy()[:, self.special.ordinary]
            scores -= scores.max(-1, keepdims=True)
            noisy = scores
            if self.sampling.temperature:
                noise = [gumbel((scores.shape[1],), self.rngs[rows[row]]) for row in row_of[part]]
                noisy = scores / self.sampling.temperature + np.stack(noise)
            best = noisy.argmax(-1)
            at = rows[row_of[part]], place_of[part]
            drawn[at] = self.special.ordinary[best]
            log_p[at] = scores[np.arange(len(best)), best] - np.log(np.exp(scores).sum(-1))
        return drawn, log_p

    def write(self, where: Places, drawn: Ids, log_p: NDArray[np.float64]) -> None:
        """Put tokens and their log p at the places (B, n)."""
        self.tokens[where] = drawn[where]
        self.scores[where] = log_p[where]

    def mask(self, where: Places) -> None:
        """Put masks at the places (B, n)."""
        self.tokens[where] = self.special.mask

    def planned(self, default: Ids) -> Ids:
        """Return the steps of each row: as many as set, at most one a mask; else ``default``. Shape
        (B,).
        """
        steps = self.sampling.steps
        return default if steps is None else np.minimum(steps, self.counts)


def _lowest(values: NDArray[np.float64], counts: Ids) -> Places:
    """Return which places hold the ``counts`` (B,) lowest values (B, n) of their row; of equals,
    the first.
    """
    rank = np.argsort(np.argsort(values, axis=1, kind="stable"), axis=1)
    lowest: Places = rank < counts[:, None]
    return lowest


def confidence(state: UnmaskingState) -> str:
    """Keep the surest tokens first (Chang et al. 2022, section 3.2).

    In each step every masked place draws a token; those whose token was likeliest are kept, as many
    as leave the same share for each of the steps that remain; the others stay masked. One step a
    mask, unless ``steps`` is less.
    """
    steps = state.planned(state.counts)
    left = state.masked.copy()
    for step in range(int(steps.max(initial=0))):
        drawn, log_p = state.draw(left)
        later = state.counts * np.maximum(steps - step - 1, 0) // np.maximum(steps, 1)
        keep = left & _lowest(np.where(left, -log_p, np.inf), left.sum(1) - later)
        state.write(keep, drawn, log_p)
        left &= ~keep
    return "chain" if (steps == state.counts).all() else "pseudo"


def mask_predict(state: UnmaskingState) -> str:
    """Fill all masks at once, then mask the least sure again, fewer each time (Ghazvininejad et al.
    2019, section 3.1).

    Step t of T masks the n = N (T - t) / T tokens of lowest log p and draws them anew, given all
    the others; the log p of the others stays as it was when they were drawn. T is 10, or the number
    of masks if that is less.
    """
    steps = state.planned(np.minimum(state.counts, 10))
    for step in range(int(steps.max(initial=0))):
        counts = np.where(step < steps, state.counts * (steps - step) // np.maximum(steps, 1), 0)
        again = state.masked & _lowest(np.where(state.masked, state.scores, np.inf), counts)
        state.mask(again)
        state.write(again, *state.draw(again))
    return "chain" if (state.counts <= 1).all() else "pseudo"


def left_to_right(state: UnmaskingState) -> str:
    """Fill the first mask, then the next, all later ones masked: the chain of
    ``Masked.scoring_examples``.

    With fewer ``steps`` than masks, several neighbors are drawn at once.
    """
    steps = state.planned(state.counts)
    order = np.cumsum(state.masked, axis=1) - 1
    for step in range(int(steps.max(initial=0))):
        first, last = (
            state.counts * np.minimum(step + k, steps) // np.maximum(steps, 1) for k in (0, 1)
        )
        now = state.masked & (order >= first[:, None]) & (order < last[:, None])
        state.write(now, *state.draw(now))
    return "chain" if (steps == state.counts).all() else "pseudo"


def gibbs(state: UnmaskingState) -> str:
    """Draw one place anew, given all the others, again and again (Wang and Cho 2019, section 3).

    The places take turns, in an order drawn anew for each sweep. Two sweeps, or as many draws as
    ``steps`` says (Wang and Cho: 500 for 40 tokens). A masked LM's conditionals need not belong to
    one joint distribution, so this is no proper Markov chain of one (Goyal et al. 2022).
    """
    steps = 2 * state.counts if state.sampling.steps is None else state.sampling.steps
    steps = np.where(state.counts > 0, steps, 0)
    places = [np.flatnonzero(row) for row in state.masked]
    order = [np.array([], dtype=np.int64)] * len(places)
    for step in range(int(steps.max(initial=0))):
        now = np.zeros_like(state.masked)
        for row, among in enumerate(places):
            if step < steps[row]:
                if step % len(among) == 0:
                    order[row] = state.rngs[row].permutation(among)
                now[row, order[row][step % len(among)]] = True
        state.mask(now)
        state.write(now, *state.draw(now))
    if (state.tokens == state.special.mask)[state.masked].any():
        rest = state.masked & (state.tokens == state.special.mask)  # fewer draws than masks
        state.write(rest, *state.draw(rest))
    return "chain" if (state.counts <= 1).all() else "pseudo"


STRATEGIES: dict[str, Callable[[UnmaskingState], str]] = {
    "confidence": confidence,
    "mask_predict": mask_predict,
    "left_to_right": left_to_right,
    "gibbs": gibbs,
}
"""How the masks of a text are filled; each returns what the sum of the scores is: 'chain' or
'pseudo'.
"""


def unmask(
    network: Network,
    examples: Sequence[Example],
    special: SpecialTokens,
    sampling: Sampling,
    *,
    batch: int = 32,
    shift: int = 0,
) -> DecodedTokens:
    """Fill the masks among the inputs of each example; one row of tokens an example, one token a
    mask, in order.

    Args:
        network: an encoder with a masked-LM head.
        examples: with masks among their inputs.
        special: no special token is drawn.
        sampling: strategy, steps, temperature and seed are read.
        batch: examples at a time; it changes no result.
        shift: a mask is predicted so many places to its left.

    Raises:
        InputError: no such strategy, or a network without a mask.
    """
    strategy = sampling.strategy
    if strategy not in STRATEGIES:
        raise InputError(f"strategy: no such one, {strategy!r}{nearest(strategy, STRATEGIES)}")
    if network.role == "encoder-decoder" or special.mask < 0:
        got = "no mask" if special.mask < 0 else "an encoder-decoder"
        raise InputError(
            f"unmasking: wanted a masked language model and a vocabulary with a mask, got {got}"
        )
    rows: list[Ids] = [np.array([], dtype=np.int64)] * len(examples)
    scores = [np.array([])] * len(examples)
    exactness, calls, start = "chain", 0, time.perf_counter()
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].inputs))
    with evaluation_mode(network):
        for first in range(0, len(order), batch):
            group = order[first : first + batch]
            collated = collate([examples[i] for i in group], special.pad)
            masked = collated.attention_mask & (collated.inputs == special.mask)
            state = UnmaskingState(
                network,
                special,
                [examples[i] for i in group],
                collated.inputs,
                masked,
                np.zeros(masked.shape),
                sampling,
                [sampling.rng(i) for i in group],
                shift,
            )
            group_exactness = STRATEGIES[strategy](state)
            exactness = group_exactness if exactness == "chain" else exactness
            calls = max(calls, state.calls)
            for row, i in enumerate(group):
                rows[i], scores[i] = state.tokens[row, masked[row]], state.scores[row, masked[row]]
    return DecodedTokens(rows, calls, time.perf_counter() - start, scores, exactness)


def continue_by_unmasking(
    network: Network,
    objective: Objective,
    prompts: Sequence[Ids],
    special: SpecialTokens,
    sampling: Sampling,
    *,
    lengths: Sequence[int] | None = None,
    batch: int = 32,
) -> DecodedTokens:
    """Continue each prompt by ``sampling.length`` ordinary tokens.

    With ``lengths``, each prompt is continued by each of them, and the one whose tokens have the
    highest mean log p (nats) when drawn is kept: a masked LM says nothing of the length itself, and
    this mean favors texts that are easy to guess. The calls are then those of all lengths together.

    Raises:
        InputError: no lengths, or as ``unmask``.
    """
    if lengths is not None and not lengths:
        raise InputError("length: wanted a number, or some to choose from; got none")
    candidates = []
    for length in [sampling.length] if lengths is None else lengths:
        masked = [objective.generation_prompt(prompt, length, special) for prompt in prompts]
        candidates.append(unmask(network, masked, special, sampling, batch=batch))
    best = [
        max(candidates, key=lambda decoded: float(decoded.scores[i].mean()))  # noqa: B023
        for i in range(len(prompts))
    ]
    proper = all(decoded.exactness == "chain" for decoded in candidates)
    return DecodedTokens(
        tokens=[decoded.tokens[i] for i, decoded in enumerate(best)],
        calls=sum(decoded.calls for decoded in candidates),
        seconds=sum(decoded.seconds for decoded in candidates),
        scores=[decoded.scores[i] for i, decoded in enumerate(best)],
        exactness="chain" if proper else "pseudo",
    )
