"""A batch as tensors on a device, and its attention masks."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lmcompare.core.errors import InputError
from lmcompare.core.example import Batch
from lmcompare.objectives import Role


def check_device(device: str) -> None:
    """Refuse a device that torch cannot put numbers on.

    Raises:
        InputError: it is absent, torch was not built for it, or it holds no numbers ('meta').
    """
    try:
        torch.empty(1, device=device).tolist()
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"device: wanted one that is there, such as cpu, got {device!r} ({reason})"
        ) from error


@dataclass(frozen=True)
class BatchTensors:
    """A ``Batch`` on a device, with the same fields and shapes, but for the weights."""

    inputs: Tensor
    attention_mask: Tensor
    targets: Tensor
    decoder_inputs: Tensor | None
    prefix_lengths: Tensor
    segments: Tensor | None
    decoder_segments: Tensor | None
    branches: Tensor | None = None

    @classmethod
    def of(cls, batch: Batch, device: torch.device | str = "cpu") -> "BatchTensors":
        """Copy a batch to ``device``."""

        def move(array: Any) -> Tensor | None:
            return None if array is None else torch.from_numpy(array).to(device, non_blocking=True)

        return cls(**{name: move(getattr(batch, name)) for name in cls.__dataclass_fields__})  # type: ignore[arg-type]

    def self_attention_mask(self, role: Role, dtype: torch.dtype) -> Tensor | None:
        """Return the mask over ``inputs`` that a network of that role needs.

        None or the padding (B, n) where the network's own mask does the rest; otherwise 4D, see
        ``float_mask``.
        """
        own_prefix = 0 if role == "decoder" else self.inputs.shape[1]
        plain = self.segments is None and self.branches is None
        if plain and bool((self.prefix_lengths == own_prefix).all()):
            # A causal mask hides the padding, which is on the right.
            return None if role == "decoder" else self._padding()
        return float_mask(self._attended(), dtype)

    def position_ids(self) -> Tensor | None:
        """Return the positions (B, n) of ``inputs``; None if each row counts from 0.

        Every branch continues the positions of the prefix.
        """
        return None if self.branches is None else self._attended().sum(-1).clamp(min=1) - 1

    def decoder_attention_mask(self, dtype: torch.dtype) -> Tensor | None:
        """Return the decoder's self-attention mask: ones (B, m), or 4D for isolated documents."""
        assert self.decoder_inputs is not None
        if self.decoder_segments is None:
            return torch.ones_like(self.decoder_inputs)
        position = torch.arange(self.decoder_inputs.shape[1], device=self.inputs.device)
        same = self.decoder_segments[:, :, None] == self.decoder_segments[:, None, :]  # (B, m, m)
        return float_mask((position <= position[:, None]) & same, dtype)

    def cross_attention_mask(self, dtype: torch.dtype) -> Tensor | None:
        """Return the mask of the decoder over ``inputs``: None, the padding (B, n), or 4D."""
        if self.decoder_segments is None or self.segments is None:
            return self._padding()
        same = self.decoder_segments[:, :, None] == self.segments[:, None, :]  # (B, m, n)
        return float_mask(same & self.attention_mask[:, None, :], dtype)

    def _padding(self) -> Tensor | None:
        """Return the padding mask (B, n); None if there is no padding."""
        return None if bool(self.attention_mask.all()) else self.attention_mask.long()

    def _attended(self) -> Tensor:
        """Return whether input i attends to input j. Shape (B, n, n)."""
        position = torch.arange(self.inputs.shape[1], device=self.inputs.device)
        causal = position <= position[:, None]  # (n, n)
        attended = causal | (position < self.prefix_lengths[:, None, None])
        attended = attended & self.attention_mask[:, None, :]
        if self.segments is not None:
            attended = attended & (self.segments[:, :, None] == self.segments[:, None, :])
        if self.branches is not None:
            same = self.branches[:, :, None] == self.branches[:, None, :]
            attended = attended & (same | (self.branches == 0)[:, None, :])
        return attended


def float_mask(attended: Tensor, dtype: torch.dtype) -> Tensor:
    """Turn a boolean mask (B, queries, keys) into what attention adds. Shape (B, 1, queries, keys).

    Eager attention would add a boolean 4D mask as 0 and 1. A query that attends to nothing
    (padding) attends to everything instead, so that no softmax is over an empty set.

    >>> float_mask(torch.tensor([[[True, False], [False, False]]]), torch.float16).tolist()
    [[[[0.0, -65504.0], [0.0, 0.0]]]]
    """
    empty = ~attended.any(-1, keepdim=True)
    mask = torch.zeros(attended.shape, dtype=dtype, device=attended.device)
    return mask.masked_fill(~(attended | empty), torch.finfo(mask.dtype).min)[:, None]
