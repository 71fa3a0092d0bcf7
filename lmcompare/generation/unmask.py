"""Iterative unmasking of what follows a prompt, for masked language models."""

from collections.abc import Sequence

from lmcompare.core.errors import InputError
from lmcompare.core.example import Ids, SpecialTokens
from lmcompare.generation import DecodedTokens
from lmcompare.generation.autoregressive import check
from lmcompare.generation.unmasking import STRATEGIES, fill
from lmcompare.models.network import Network
from lmcompare.objectives import Objective

__all__ = ["STRATEGIES", "unmasking"]


def unmasking(
    network: Network,
    objective: Objective,
    prompts: Sequence[Ids],
    special: SpecialTokens,
    *,
    length: int | Sequence[int],
    strategy: str = "confidence",
    steps: int | None = None,
    temperature: float = 1.0,
    seed: int = 0,
    batch: int = 32,
) -> DecodedTokens:
    """Continue each prompt by ``length`` ordinary tokens, by default the surest first.

    With several lengths, each prompt is continued by each of them, and the one whose tokens have the highest mean log
    p (nats) when drawn is kept: a masked LM says nothing of the length itself, and this mean favours texts that are
    easy to guess. The calls are then those of all lengths together.

    Args:
        network: an encoder with a masked-LM head.
        objective: says how decoding begins.
        prompts: (n,) tokens each; they may differ in length.
        special: of the vocabulary; no special token is drawn.
        length: new tokens, or the lengths to choose from.
        strategy: one of ``STRATEGIES``.
        steps: calls of the network; what the strategy says if None.
        temperature: 0 takes the best token, 1 samples from the network's own distribution.
        seed: of the sampling; row i draws from a generator of (seed, i).
        batch: prompts at a time; it changes no result.

    Raises:
        InputError: no such strategy, or impossible numbers.
    """
    lengths = list(length) if isinstance(length, Sequence) else [length]
    if not lengths:
        raise InputError("length: wanted a number, or some to choose from; got none")
    tried = []
    for size in lengths:
        check(size, temperature, steps, seed=seed)
        begun = [objective.generation_prompt(prompt, size, special) for prompt in prompts]
        tried.append(
            fill(network, begun, special, strategy=strategy, steps=steps, temperature=temperature, seed=seed,
                 batch=batch)
        )  # fmt: skip
    best = [max(tried, key=lambda one: float(one.scores[i].mean())) for i in range(len(prompts))]  # noqa: B023
    return DecodedTokens(
        tokens=[one.tokens[i] for i, one in enumerate(best)],
        calls=sum(one.calls for one in tried),
        seconds=sum(one.seconds for one in tried),
        scores=[one.scores[i] for i, one in enumerate(best)],
        exactness="chain" if all(one.exactness == "chain" for one in tried) else "pseudo",
    )
