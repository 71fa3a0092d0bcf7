"""A prompt that several completions share is read once: its keys and values are kept, and lent to each of them."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from inspect import signature
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from lmcompare.example import Example, Ids
from lmcompare.networks import Network

STEP = 16
"""Shared beginnings are cut to a multiple of so many tokens: those of almost one length are read side by side."""

LEAST = 32
"""Fewest tokens that are worth a call of their own."""


def sets_of(network: Network, examples: Sequence[Example], batch_tokens: int) -> Iterator[tuple[int, list[list[int]]]]:
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
    ...     return Example(np.arange(size), np.append(np.full(size - 1, -100), 7), visible="past")
    >>> shared([ask(40), ask(45), ask(31), ask(31)])
    {32: [[0, 1]]}
    """
    found: dict[int, dict[bytes, list[int]]] = defaultdict(lambda: defaultdict(list))
    for i, example in enumerate(examples):
        size = int(example.asked.argmax()) // STEP * STEP
        if size >= LEAST and example.visible == "past" and example.segments is None:
            found[size][example.inputs[:size].tobytes()].append(i)
    sets = {size: [places for places in heads.values() if len(places) > 1] for size, heads in found.items()}
    return {size: several for size, several in sets.items() if several}


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
    if network.role != "decoder" or "past_key_values" not in signature(transformer.forward).parameters:
        return False
    kinds = {type(layer) for layer in DynamicCache(config=transformer.config).layers}
    return kinds <= {DynamicLayer, DynamicSlidingWindowLayer} and not transformer._is_stateful


class Kept:
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
        return Cache(layers=[_Lent(layer, place.to(layer.keys.device)) for layer in layers])


class _Lent(DynamicLayer):  # type: ignore[no-untyped-call]
    """A layer's keys and values of prompts, each lent to the rows that go on from it; what those add is not kept.

    So the memory is that of the prompts and of one layer of the rows.
    """

    def __init__(self, kept: Any, place: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.keys, self.values, self.is_initialized = kept.keys, kept.values, True
        self._kept, self._place = kept, place

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Return the keys and values that the rows see: (rows, heads, p + n, size) each."""
        keys = torch.cat([self._kept.keys[self._place], key_states], dim=-2)
        return keys, torch.cat([self._kept.values[self._place], value_states], dim=-2)
