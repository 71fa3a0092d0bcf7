"""Prefix caching: a prefix that several examples share is read once by a decoder.

A long one by itself: its KV cache is kept and reused for each continuation. A short one in one row
with them: it is the trunk, which all of them attend to, and each is a branch, which no other
attends to (tree attention, as in Cai et al. 2024, Medusa, section 3.1.2).
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
"""Shared prefixes are cut to a multiple of so many tokens: those of almost one length are read side
by side.
"""

LEAST_CACHED = 32
"""Fewest tokens that are worth a forward pass of their own."""

LEAST_TRUNK = 3
"""Fewest tokens that are worth a mask of their own."""

WIDEST = 128
"""Most tokens of a row with branches: none attends to another, yet attention computes each with
each.
"""

_READS_BRANCHES: WeakKeyDictionary[Network, bool] = WeakKeyDictionary()


def prefix_groups(
    network: Network, examples: Sequence[Example], batch_tokens: int
) -> Iterator[tuple[int, list[list[int]]]]:
    """Yield groups of examples that share a prefix, if the network has a KV cache: its tokens,
    places of each group.

    The prefixes yielded together are cached together: in all layers their keys and values take
    about the memory of a pass over ``batch_tokens`` positions.
    """
    groups_of = shared_prefixes(examples)
    if not groups_of or not has_kv_cache(network):
        return
    layers = network.transformer.config.num_hidden_layers
    for size, groups in groups_of.items():
        most = max(1, 4 * batch_tokens // (layers * size))
        for first in range(0, len(groups), most):
            yield size, groups[first : first + most]


def shared_prefixes(examples: Sequence[Example]) -> dict[int, list[list[int]]]:
    """Return which causal examples begin alike before their first target: tokens of the prefix,
    places of each group.

    >>> def of_length(size):
    ...     targets = np.append(np.full(size - 1, -100), 7)
    ...     return Example(np.arange(size), targets, attention="causal")
    >>> shared_prefixes([of_length(size) for size in (40, 45, 31, 31)])
    {32: [[0, 1]]}
    """
    heads_of: dict[int, dict[bytes, list[int]]] = defaultdict(lambda: defaultdict(list))
    for i, example in enumerate(examples):
        size = _prefix_size(example) // STEP * STEP
        if size >= LEAST_CACHED:
            heads_of[size][example.inputs[:size].tobytes()].append(i)
    groups_of = {
        size: [places for places in heads.values() if len(places) > 1]
        for size, heads in heads_of.items()
    }
    return {size: groups for size, groups in groups_of.items() if groups}


def _prefix_size(example: Example) -> int:
    """Return how many inputs are read before the first target, if attention is causal; else 0."""
    causal = example.attention == "causal" and example.segments is None
    return int(example.has_target.argmax()) if causal else 0


def merge_rows(
    network: Network, examples: Sequence[Example], places: Sequence[int]
) -> list[tuple[Example, list[int]]]:
    """Return rows that hold the examples at ``places``, and the places of the examples of each row,
    in order.

    Those that share a prefix share rows, if the network can read such rows.
    """
    heads: dict[int | bytes, list[int]] = defaultdict(list)
    for i in places:
        size = _prefix_size(examples[i])
        heads[examples[i].inputs[:size].tobytes() if size >= LEAST_TRUNK else i].append(i)
    if len(heads) == len(places) or not (widest := _widest_row(network)):
        return [(examples[i], [i]) for i in places]
    rows = []
    for group in heads.values():
        size = _prefix_size(examples[group[0]])
        row, width = list[int](), size
        for i in group:
            branch = len(examples[i].inputs) - size
            if row and width + branch > widest:
                rows.append((merge_examples([examples[j] for j in row], size), row))
                row, width = [], size
            row.append(i)
            width += branch
        rows.append((merge_examples([examples[j] for j in row], size), row))
    return rows


def merge_examples(examples: Sequence[Example], size: int) -> Example:
    """Put examples whose first ``size`` inputs are alike into one row, in which these stand once.

    >>> long = Example(np.array([1, 5, 6]), np.array([-100, 6, 7]), attention="causal")
    >>> short = Example(np.array([1, 5]), np.array([-100, 8]), attention="causal")
    >>> row = merge_examples([long, short], 1)
    >>> row.inputs.tolist(), row.targets.tolist(), row.branches.tolist()
    ([1, 5, 6, 5], [-100, 6, 7, 8], [0, 1, 1, 2])
    """
    if len(examples) == 1:
        return examples[0]
    branches = [np.full(len(example.inputs) - size, 1 + i) for i, example in enumerate(examples)]
    return Example(
        np.concatenate([examples[0].inputs[:size], *(e.inputs[size:] for e in examples)]),
        np.concatenate([np.full(size, IGNORE), *(e.targets[size:] for e in examples)]),
        attention="causal",
        branches=np.concatenate([np.zeros(size, dtype=np.int64), *branches]),
    )


def _widest_row(network: Network) -> int:
    """Return the most tokens of a row with branches; 0 if the network takes no positions of ours,
    or no mask.

    In a row no wider than a layer's window, the window hides nothing: our mask is the whole truth.
    """
    transformer = network.transformer
    if not has_kv_cache(network) or "position_ids" not in signature(transformer.forward).parameters:
        return 0
    if transformer.config._attn_implementation not in ("eager", "sdpa", FUSED):
        return 0
    windows: list[int] = [
        getattr(layer, "sliding_window", WIDEST)
        for layer in DynamicCache(config=transformer.config).layers
    ]
    # GPT-Neo's window, of which the cache knows nothing.
    own = getattr(transformer.config, "window_size", None)
    widest = min(WIDEST, *windows, own if isinstance(own, int) else WIDEST)
    return widest if reads_branches(network) else 0


def reads_branches(network: Network) -> bool:
    """Return whether a network gives a row with branches the logits of each text alone: measured,
    once a network.

    RoBERTa counts positions from its padding, Falcon's alibi wants a mask of its own shape: no
    config tells of all.
    """
    if network not in _READS_BRANCHES:
        _READS_BRANCHES[network] = _measure_branches(network)
    return _READS_BRANCHES[network]


def _measure_branches(network: Network) -> bool:
    # Two texts of 5 ids that share 3; ids from the middle of the table, where padding seldom is.
    size = len(network.transformer.get_input_embeddings().weight)
    ids = (size // 2 + np.arange(7)) % size
    texts = [
        Example(text, np.append([IGNORE] * 2, text[2:]), attention="causal")
        for text in (np.concatenate([ids[:3], rest]) for rest in (ids[3:5], ids[5:7]))
    ]
    try:
        with evaluation_mode(network):
            alone, together = (
                torch.cat(
                    [network(BatchTensors.of(collate([row], 0), network.device)) for row in rows]
                )
                for rows in (texts, [merge_examples(texts, 2)])
            )
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError):
        return False
    rounding = max(1e-4, 8 * torch.finfo(network.transformer.dtype).eps)
    return bool((alone - together).abs().max() <= rounding * alone.abs().max())


def after_prefix(example: Example, size: int) -> Example:
    """Return what is left of an example when its first ``size`` inputs have been read."""
    return replace(example, inputs=example.inputs[size:], targets=example.targets[size:])


def has_kv_cache(network: Network) -> bool:
    """Return whether what a network has read can be cached and reused: a decoder whose layers keep
    keys and values alone.

    The library is asked which cache it makes for the config. Recurrent states (Mamba, RWKV, the
    linear attention of Qwen3-Next and MiniMax) and compressed or indexed keys (DeepSeek-V3.2) are
    more than keys and values; such networks, and stacks that are no decoders by themselves, read a
    prefix once for each example.
    """
    transformer = network.transformer
    takes_cache = "past_key_values" in signature(transformer.forward).parameters
    if network.role != "decoder" or not takes_cache:
        return False
    kinds = {type(layer) for layer in DynamicCache(config=transformer.config).layers}
    return kinds <= {DynamicLayer, DynamicSlidingWindowLayer} and not transformer._is_stateful


class PrefixCache:
    """The KV cache of some prefixes, (U, p) ids, that a decoder (``has_kv_cache``) has read."""

    def __init__(self, network: Network, prefixes: Ids) -> None:
        # Without a config every layer keeps all: a sliding window is then up to the mask alone.
        self._cache = DynamicCache()
        ids = torch.from_numpy(prefixes).to(network.device)
        network.transformer.base_model(input_ids=ids, past_key_values=self._cache, use_cache=True)

    def for_rows(self, rows: Sequence[int]) -> Cache:
        """Return the cache of a batch whose row i goes on from prefix ``rows[i]``."""
        place, layers = torch.tensor(rows), list[Any](self._cache.layers)
        return Cache(
            layers=[_SharedPrefixLayer(layer, place.to(layer.keys.device)) for layer in layers]
        )


class _SharedPrefixLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """A layer's keys and values of prefixes, reused by the rows that go on from them; what those
    add is not kept.

    So the memory is that of the prefixes and of one layer of the rows.
    """

    def __init__(self, prefixes: Any, place: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.keys, self.values, self.is_initialized = prefixes.keys, prefixes.values, True
        self._prefixes, self._place = prefixes, place

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Return the keys and values of prefix and row: (rows, heads, p + n, head size) each."""
        keys = torch.cat([self._prefixes.keys[self._place], key_states], dim=-2)
        return keys, torch.cat([self._prefixes.values[self._place], value_states], dim=-2)
