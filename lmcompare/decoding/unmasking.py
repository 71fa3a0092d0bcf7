"""Iterative unmasking, for masked language models."""

import time
from collections.abc import Sequence

import numpy as np

from lmcompare.decoding import Decoded, gumbel
from lmcompare.example import Ids, Special, collate
from lmcompare.networks import Network, Tensors, evaluating
from lmcompare.objectives import Objective


def unmasking(
    network: Network,
    objective: Objective,
    prompts: Sequence[Ids],
    special: Special,
    *,
    length: int,
    steps: int | None = None,
    temperature: float = 1.0,
    seed: int = 0,
    batch: int = 32,
) -> Decoded:
    """Continue each prompt by ``length`` ordinary tokens, the surest first (Chang et al. 2022, section 3.2).

    In each step every masked place draws a token; those whose token was likeliest are kept, as many as leave the same
    share for each of the steps that remain, and the others stay masked.

    Args:
        network: an encoder with a masked-LM head.
        objective: says how decoding begins.
        prompts: (n,) tokens each; they may differ in length.
        special: of the vocabulary; no special token is drawn.
        length: new tokens.
        steps: calls of the network; one for each new token if None.
        temperature: 0 takes the best token, 1 samples from the network's own distribution.
        seed: of the sampling.
        batch: prompts at a time.
    """
    steps = min(steps or length, length)
    rng = np.random.default_rng(seed)
    rows: list[Ids] = [np.array([], dtype=np.int64)] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    start = time.perf_counter()
    with evaluating(network):
        for first in range(0, len(order), batch):
            group = order[first : first + batch]
            begun = collate([objective.begin(prompts[i], length, special) for i in group], special.pad)
            masked = begun.inputs == special.mask
            for step in range(steps):
                tensors = Tensors.of(begun, network.device)
                where = masked & (begun.inputs == special.mask)
                logits = network.logits(tensors, tensors.inputs == special.mask)
                scores = logits.double().cpu().numpy()[:, special.ordinary]
                scores -= scores.max(-1, keepdims=True)
                noisy = scores / temperature + gumbel(scores.shape, rng) if temperature else scores
                drawn = noisy.argmax(-1)
                log_p = scores[np.arange(len(drawn)), drawn] - np.log(np.exp(scores).sum(-1))
                sure = np.full(where.shape, -np.inf)
                sure[where] = log_p
                tokens = begun.inputs.copy()
                tokens[where] = special.ordinary[drawn]
                left = length * (steps - step - 1) // steps
                keep = np.argsort(-sure, axis=1, kind="stable")[:, : int(where[0].sum()) - left]
                np.put_along_axis(begun.inputs, keep, np.take_along_axis(tokens, keep, axis=1), axis=1)
            for row, i in enumerate(group):
                rows[i] = begun.inputs[row, masked[row]]
    return Decoded(rows, calls=steps, seconds=time.perf_counter() - start)
