"""Masked places in a text, filled by a masked language model: four orders of asking."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from lmcompare.core.errors import InputError, nearest
from lmcompare.core.example import Example, Ids, SpecialTokens, collate
from lmcompare.generation import DecodedTokens, gumbel
from lmcompare.generation.autoregressive import check
from lmcompare.models.network import BatchTensors, Network, evaluation_mode

Places = NDArray[np.bool_]
_ROWS = 64  # whose logits are turned into float64 at once: with 100,000 ids, 50 MB


@dataclass
class UnmaskingState:
    """Texts side by side while their masks are being filled. B rows, n places.

    A shifted objective answers a mask one place to its left (``objectives.masked``), where bos stands first.

    Attributes:
        network: an encoder with a masked-LM head.
        special: of its vocabulary.
        examples: the texts; what they read is replaced by ``tokens``.
        tokens: (B, n) what the network reads now.
        holes: (B, n) what had a mask at the beginning.
        scores: (B, n) log p (nats) of each token when it was last drawn.
        temperature: 0 takes the best token.
        rngs: one generator a row, so that no draw depends on its batch.
        steps: calls asked for, or None.
        calls: calls done.
        ahead: places from an answer to its mask: 1 if the objective is shifted, else 0.
    """

    network: Network
    special: SpecialTokens
    examples: Sequence[Example]
    tokens: Ids
    holes: Places
    scores: NDArray[np.float64]
    temperature: float
    rngs: list[np.random.Generator]
    steps: int | None
    calls: int = 0
    ahead: int = 0

    @property
    def sizes(self) -> Ids:
        """Return the number of holes of each row. Shape (B,)."""
        sizes: Ids = self.holes.sum(1)
        return sizes

    def draw(self, where: Places) -> tuple[Ids, NDArray[np.float64]]:
        """Ask the network once for the places (B, n); return a token for each and its log p (nats), zero elsewhere.

        The distribution is that over ordinary tokens at temperature 1; the draw is from it at ``temperature``.
        """
        rows = np.flatnonzero(where.any(1))
        drawn, log_p = np.zeros_like(self.tokens), np.zeros(self.tokens.shape)
        if not len(rows):
            return drawn, log_p
        self.calls += 1
        read = [
            replace(self.examples[i], inputs=self.tokens[i, : len(self.examples[i].inputs)])
            for i in rows.tolist()
        ]
        batch = BatchTensors.of(collate(read, self.special.pad), self.network.device)
        asked = where[rows][:, : batch.inputs.shape[1]]
        answers = np.roll(asked, -self.ahead, axis=1)
        logits = self.network.logits(batch, torch.from_numpy(answers).to(self.network.device))
        row_of, place_of = np.nonzero(asked)
        for first in range(0, len(row_of), _ROWS):
            part = slice(first, first + _ROWS)
            scores = logits[part].cpu().double().numpy()[:, self.special.ordinary]
            scores -= scores.max(-1, keepdims=True)
            noisy = scores
            if self.temperature:
                noise = [gumbel((scores.shape[1],), self.rngs[rows[row]]) for row in row_of[part]]
                noisy = scores / self.temperature + np.stack(noise)
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
        """Return the steps of each row: those asked for, at most one a hole; else ``default``. Shape (B,)."""
        return default if self.steps is None else np.minimum(self.steps, self.sizes)


def _lowest(values: NDArray[np.float64], counts: Ids) -> Places:
    """Return which places hold the ``counts`` (B,) lowest values (B, n) of their row; of equals, the first."""
    rank = np.argsort(np.argsort(values, axis=1, kind="stable"), axis=1)
    lowest: Places = rank < counts[:, None]
    return lowest


def confidence(board: UnmaskingState) -> str:
    """Keep the surest tokens first (Chang et al. 2022, section 3.2).

    In each step every masked place draws a token; those whose token was likeliest are kept, as many as leave the same
    share for each of the steps that remain; the others stay masked. One step a hole, unless ``steps`` is less.
    """
    steps = board.planned(board.sizes)
    masked = board.holes.copy()
    for step in range(int(steps.max(initial=0))):
        drawn, log_p = board.draw(masked)
        left = board.sizes * np.maximum(steps - step - 1, 0) // np.maximum(steps, 1)
        keep = masked & _lowest(np.where(masked, -log_p, np.inf), masked.sum(1) - left)
        board.write(keep, drawn, log_p)
        masked &= ~keep
    return "chain" if (steps == board.sizes).all() else "pseudo"


def mask_predict(board: UnmaskingState) -> str:
    """Fill all holes at once, then mask the least sure again, fewer each time (Ghazvininejad et al. 2019, section 3.1).

    Step t of T masks the n = N (T - t) / T tokens of lowest log p and draws them anew, given all the others; the log p
    of the others stays as it was when they were drawn. T is 10, or the number of holes if that is less.
    """
    steps = board.planned(np.minimum(board.sizes, 10))
    for step in range(int(steps.max(initial=0))):
        counts = np.where(step < steps, board.sizes * (steps - step) // np.maximum(steps, 1), 0)
        again = board.holes & _lowest(np.where(board.holes, board.scores, np.inf), counts)
        board.mask(again)
        board.write(again, *board.draw(again))
    return "chain" if (board.sizes <= 1).all() else "pseudo"


def left_to_right(board: UnmaskingState) -> str:
    """Fill the first hole, then the next, all later ones masked: how ``objective.score`` takes the chain apart.

    With fewer ``steps`` than holes, several neighbours are drawn at once.
    """
    steps = board.planned(board.sizes)
    order = np.cumsum(board.holes, axis=1) - 1
    for step in range(int(steps.max(initial=0))):
        first, last = (
            board.sizes * np.minimum(step + k, steps) // np.maximum(steps, 1) for k in (0, 1)
        )
        now = board.holes & (order >= first[:, None]) & (order < last[:, None])
        board.write(now, *board.draw(now))
    return "chain" if (steps == board.sizes).all() else "pseudo"


def gibbs(board: UnmaskingState) -> str:
    """Draw one place anew, given all the others, again and again (Wang and Cho 2019, section 3).

    All holes are masks at first; the places take turns, in an order drawn anew for each sweep. Two sweeps, or as many
    draws as ``steps`` says (Wang and Cho: 500 for 40 tokens). A masked LM's conditionals need not belong to one joint
    distribution, so this is no proper Markov chain of one (Goyal et al. 2022).
    """
    steps = np.where(board.sizes > 0, 2 * board.sizes if board.steps is None else board.steps, 0)
    places = [np.flatnonzero(row) for row in board.holes]
    order = [np.array([], dtype=np.int64)] * len(places)
    for step in range(int(steps.max(initial=0))):
        now = np.zeros_like(board.holes)
        for row, among in enumerate(places):
            if step < steps[row]:
                if step % len(among) == 0:
                    order[row] = board.rngs[row].permutation(among)
                now[row, order[row][step % len(among)]] = True
        board.mask(now)
        board.write(now, *board.draw(now))
    if (board.tokens == board.special.mask)[board.holes].any():
        rest = board.holes & (board.tokens == board.special.mask)  # fewer draws than holes
        board.write(rest, *board.draw(rest))
    return "chain" if (board.sizes <= 1).all() else "pseudo"


STRATEGIES: dict[str, Callable[[UnmaskingState], str]] = {
    "confidence": confidence,
    "mask_predict": mask_predict,
    "left_to_right": left_to_right,
    "gibbs": gibbs,
}
"""How the masks of a text are filled; each returns what the sum of the scores is: 'chain' or 'pseudo'."""


def not_masked(verb: str, kind: str, strategy: str, steps: int | None) -> None:
    """Refuse what only a masked model can be told.

    Raises:
        InputError: a strategy other than the one that stands for none, or steps.
    """
    if strategy != "confidence" or steps is not None:
        raise InputError(
            f"{verb}: strategy and steps are for a masked model, which decodes by unmasking; wanted neither for "
            f"{kind!r}, got strategy {strategy!r} and steps {steps}"
        )


def fill(
    network: Network,
    examples: Sequence[Example],
    special: SpecialTokens,
    *,
    strategy: str = "confidence",
    steps: int | None = None,
    temperature: float = 0.0,
    seed: int = 0,
    batch: int = 32,
    shifted: bool = False,
) -> DecodedTokens:
    """Fill the masks in what each example reads; one row of tokens an example, one token a mask, in their order.

    Args:
        network: an encoder with a masked-LM head.
        examples: with masks among their inputs.
        special: of the vocabulary; no special token is drawn.
        strategy: one of ``STRATEGIES``.
        steps: calls of the network; what the strategy says if None.
        temperature: 0 takes the best token, 1 samples from the network's own distribution, in float64.
        seed: row i draws from a generator of (seed, i).
        batch: examples at a time; it changes no result.
        shifted: the answer to a mask stands one place to its left.

    Raises:
        InputError: no such strategy, a network without a mask, or impossible numbers.
    """
    if strategy not in STRATEGIES:
        raise InputError(f"strategy: no such one, {strategy!r}{nearest(strategy, STRATEGIES)}")
    if network.role == "encoder-decoder" or special.mask < 0:
        got = "no mask" if special.mask < 0 else "an encoder-decoder"
        raise InputError(
            f"unmasking: wanted a masked language model and a vocabulary with a mask, got {got}"
        )
    check(1, temperature, steps, seed=seed)
    rows: list[Ids] = [np.array([], dtype=np.int64)] * len(examples)
    scores = [np.array([])] * len(examples)
    exactness, calls, start = "chain", 0, time.perf_counter()
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].inputs))
    with evaluation_mode(network):
        for first in range(0, len(order), batch):
            group = order[first : first + batch]
            begun = collate([examples[i] for i in group], special.pad)
            holes = begun.attention_mask & (begun.inputs == special.mask)
            rngs = [np.random.default_rng([seed, i]) for i in group]
            board = UnmaskingState(
                network, special, [examples[i] for i in group], begun.inputs, holes, np.zeros(holes.shape),
                temperature, rngs, steps, ahead=int(shifted),
            )  # fmt: skip
            said = STRATEGIES[strategy](board)
            exactness = said if exactness == "chain" else exactness
            calls = max(calls, board.calls)
            for row, i in enumerate(group):
                rows[i], scores[i] = board.tokens[row, holes[row]], board.scores[row, holes[row]]
    return DecodedTokens(rows, calls, time.perf_counter() - start, scores, exactness)
