"""A prompt that several completions share is read once by a decoder.

A long one by itself: its keys and values are kept, and lent to each completion. A short one in one row with them: it is
the trunk, which all of them see, and each is a branch, which no other sees (as in Cai et al. 2024, Medusa, section
3.1.2).
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from inspect import signature
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from lmcompare.core.example import IGNORE, Example, Ids, collate
from lmcompare.models.network import FUSED, BatchTensors, Network, evaluation_mode

STEP = 16
"""Shared beginnings are cut to a multiple of so many tokens: those of almost one length are read side by side."""

LEAST = 32
"""Fewest tokens that are worth a call of their own."""

TRUNK = 3
"""Fewest tokens that are worth a mask of their own."""

WIDEST = 128
"""Most tokens of a row with branches: none sees another, yet attention reckons each with each."""

_BRANCHES: WeakKeyDictionary[Network, bool] = WeakKeyDictionary()
"""What ``branches`` found."""


def sets_of(
    network: Network, examples: Sequence[Example], batch_tokens: int
) -> Iterator[tuple[int, list[list[int]]]]:
    """Yield sets of examples that begin alike, if the network can lend: tokens of the beginning, places of each set.

    The beginnings yielded together are kept together: in all layers their keys and values take about the memory of a
    pass over ``batch_tokens`` positions.
    """
    found = shared(examples)
    if not found or not lends(network):
        return
    layers = network.transformer.config.num_hidden_layers
    for size, sets in found.items():
        most = max(1, 4 * batch_tokens // (layers * size))
        for first in range(0, len(sets), most):
            yield size, sets[first : first + most]


def shared(examples: Sequence[Example]) -> dict[int, list[list[int]]]:
    """Return which causal examples begin alike before anything is asked: tokens of the beginning, places of each set.

    >>> def ask(size):
    ...     return Example(np.arange(size), np.append(np.full(size - 1, -100), 7), attention="causal")
    >>> shared([ask(40), ask(45), ask(31), ask(31)])
    {32: [[0, 1]]}
    """
    found: dict[int, dict[bytes, list[int]]] = defaultdict(lambda: defaultdict(list))
    for i, example in enumerate(examples):
        size = _before(example) // STEP * STEP
        if size >= LEAST:
            found[size][example.inputs[:size].tobytes()].append(i)
    sets = {
        size: [places for places in heads.values() if len(places) > 1]
        for size, heads in found.items()
    }
    return {size: several for size, several in sets.items() if several}


def _before(example: Example) -> int:
    """Return how many inputs are read before anything is asked, if they see the past alone; else 0."""
    return (
        int(example.has_target.argmax())
        if example.attention == "causal" and example.segments is None
        else 0
    )


def branched(
    network: Network, examples: Sequence[Example], places: Sequence[int]
) -> list[tuple[Example, list[int]]]:
    """Return rows that ask the examples at ``places``, and the places of the examples that each row asks, in order.

    Those that begin alike before anything is asked share rows, if the network can read such rows.
    """
    heads: dict[int | bytes, list[int]] = defaultdict(list)
    for i in places:
        size = _before(examples[i])
        heads[examples[i].inputs[:size].tobytes() if size >= TRUNK else i].append(i)
    if len(heads) == len(places) or not (widest := _widest(network)):
        return [(examples[i], [i]) for i in places]
    rows = []
    for several in heads.values():
        size, row = _before(examples[several[0]]), list[int]()
        for i in several:
            if (
                row
                and len(examples[i].inputs) + sum(len(examples[j].inputs) - size for j in row)
                > widest
            ):
                rows.append((tree([examples[j] for j in row], size), row))
                row = []
            row.append(i)
        rows.append((tree([examples[j] for j in row], size), row))
    return rows


def tree(examples: Sequence[Example], size: int) -> Example:
    """Put examples whose first ``size`` inputs are alike into one row, in which these stand once.

    >>> one = Example(np.array([1, 5, 6]), np.array([-100, 6, 7]), attention="causal")
    >>> two = Example(np.array([1, 5]), np.array([-100, 8]), attention="causal")
    >>> row = tree([one, two], 1)
    >>> row.inputs.tolist(), row.targets.tolist(), row.branches.tolist()
    ([1, 5, 6, 5], [-100, 6, 7, 8], [0, 1, 1, 2])
    """
    if len(examples) == 1:
        return examples[0]
    numbers = [np.full(len(example.inputs) - size, 1 + i) for i, example in enumerate(examples)]
    return Example(
        np.concatenate(
            [examples[0].inputs[:size], *(example.inputs[size:] for example in examples)]
        ),
        np.concatenate([np.full(size, IGNORE), *(example.targets[size:] for example in examples)]),
        attention="causal",
        branches=np.concatenate([np.zeros(size, dtype=np.int64), *numbers]),
    )


def _widest(network: Network) -> int:
    """Return the most tokens of a row with branches; 0 if the network takes no positions of ours, or no mask.

    In a row no wider than a layer's window, the window hides nothing: our mask is the whole truth.
    """
    transformer = network.transformer
    if not lends(network) or "position_ids" not in signature(transformer.forward).parameters:
        return 0
    if transformer.config._attn_implementation not in ("eager", "sdpa", FUSED):
        return 0
    windows: list[int] = [
        getattr(layer, "sliding_window", WIDEST)
        for layer in DynamicCache(config=transformer.config).layers
    ]
    own = getattr(
        transformer.config, "window_size", None
    )  # GPT-Neo's, of which the cache knows nothing
    return (
        min(WIDEST, *windows, own if isinstance(own, int) else WIDEST) if branches(network) else 0
    )


def branches(network: Network) -> bool:
    """Return whether a network says of a row with branches what it says of each text alone: asked of it, once.

    RoBERTa counts positions from its padding, Falcon's alibi wants a mask of its own shape: no config tells of all.
    """
    if network not in _BRANCHES:
        _BRANCHES[network] = _tried(network)
    return _BRANCHES[network]


def _tried(network: Network) -> bool:
    size = len(network.transformer.get_input_embeddings().weight)
    ids = (size // 2 + np.arange(7)) % size  # padding is seldom in the middle
    read = (np.concatenate([ids[:3], rest]) for rest in (ids[3:5], ids[5:7]))
    texts = [Example(text, np.append([IGNORE] * 2, text[2:]), attention="causal") for text in read]
    try:
        with evaluation_mode(network):
            alone, together = (
                torch.cat(
                    [network(BatchTensors.of(collate([row], 0), network.device)) for row in rows]
                )
                for rows in (texts, [tree(texts, 2)])
            )
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError):
        return False
    rounding = max(1e-4, 8 * torch.finfo(network.transformer.dtype).eps)
    return bool((alone - together).abs().max() <= rounding * alone.abs().max())


def after(example: Example, size: int) -> Example:
    """Return what is left of an example when its first ``size`` inputs have been read."""
    return replace(example, inputs=example.inputs[size:], targets=example.targets[size:])


def lends(network: Network) -> bool:
    """Return whether what a network has read can be kept and lent: a decoder whose layers keep keys and values alone.

    Of that the library itself is asked: which cache it makes for the config. Recurrent states (Mamba, RWKV, the linear
    attention of Qwen3-Next and MiniMax) and compressed or indexed keys (DeepSeek-V3.2) are more than keys and values;
    such networks, and stacks that are no decoders by themselves, read a prompt as often as it is given.
    """
    transformer = network.transformer
    if (
        network.role != "decoder"
        or "past_key_values" not in signature(transformer.forward).parameters
    ):
        return False
    kinds = {type(layer) for layer in DynamicCache(config=transformer.config).layers}
    return kinds <= {DynamicLayer, DynamicSlidingWindowLayer} and not transformer._is_stateful


class PrefixCache:
    """Prompts that a decoder has read: their keys and values. U prompts, p tokens each.

    Args:
        network: one that ``lends``.
        prompts: (U, p) ids.
    """

    def __init__(self, network: Network, prompts: Ids) -> None:
        # Without a config every layer keeps all: a sliding window is then the mask's affair alone.
        self._cache = DynamicCache()
        ids = torch.from_numpy(prompts).to(network.device)
        network.transformer.base_model(input_ids=ids, past_key_values=self._cache, use_cache=True)

    def lent(self, rows: Sequence[int]) -> Cache:
        """Return the cache of a batch whose row i goes on from prompt ``rows[i]``."""
        place, layers = torch.tensor(rows), list[Any](self._cache.layers)
        return Cache(
            layers=[_SharedPrefixLayer(layer, place.to(layer.keys.device)) for layer in layers]
        )


class _SharedPrefixLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """A layer's keys and values of prompts, each lent to the rows that go on from it; what those add is not kept.

    So the memory is that of the prompts and of one layer of the rows.
    """

    def __init__(self, kept: Any, place: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.keys, self.values, self.is_initialized = kept.keys, kept.values, True
        self._kept, self._place = kept, place

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Return the keys and values that the rows see: (rows, heads, p + n, size) each."""
        keys = torch.cat([self._kept.keys[self._place], key_states], dim=-2)
        return keys, torch.cat([self._kept.values[self._place], value_states], dim=-2)
