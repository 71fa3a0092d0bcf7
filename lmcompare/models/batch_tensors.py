"""A batch on a device, and what each of its positions may see."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lmcompare.core.errors import InputError
from lmcompare.core.example import Batch
from lmcompare.objectives import Role


def check_device(device: str) -> None:
    """Refuse a device that is not there.

    Raises:
        InputError: it is not, torch was not built for it, or it holds no numbers ('meta').
    """
    try:
        torch.empty(1, device=device).tolist()
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        said = str(error).strip().splitlines()[0]
        raise InputError(
            f"device: wanted one that is there, such as cpu, got {device!r} ({said})"
        ) from error


@dataclass(frozen=True)
class BatchTensors:
    """A Batch on a device: shapes as there."""

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
        """Return what ``inputs`` may see: None or the padding (B, n) if the network's own mask does the rest; or 4D.

        Args:
            role: of the network, which says what it sees by itself.
            dtype: of the network, and of the mask.
        """
        length = self.inputs.shape[1]
        own = 0 if role == "decoder" else length
        if (
            self.segments is None
            and self.branches is None
            and bool((self.prefix_lengths == own).all())
        ):
            # On the right of a causal mask, padding is out of sight.
            return (
                None
                if role == "decoder" or bool(self.attention_mask.all())
                else self.attention_mask.long()
            )
        return float_mask(self._seen(), dtype)

    def positions(self) -> Tensor | None:
        """Return the positions (B, n) of ``inputs``, if they are not those of the row: each branch goes on from 0's."""
        return None if self.branches is None else self._seen().sum(-1).clamp(min=1) - 1

    def _seen(self) -> Tensor:
        """Return which of ``inputs`` each of them sees. Shape (B, n, n)."""
        place = torch.arange(self.inputs.shape[1], device=self.inputs.device)
        seen = (place <= place[:, None]) | (place < self.prefix_lengths[:, None, None])
        seen = seen & self.attention_mask[:, None, :]
        if self.segments is not None:
            seen = seen & (self.segments[:, :, None] == self.segments[:, None, :])
        if self.branches is not None:
            own = self.branches[:, :, None] == self.branches[:, None, :]
            seen = seen & (own | (self.branches == 0)[:, None, :])
        return seen

    def decoder_attention_mask(self, dtype: torch.dtype) -> Tensor | None:
        """Return what ``decoder_inputs`` may see of one another: ones (B, m), or 4D where documents are isolated."""
        assert self.decoder_inputs is not None
        if self.decoder_segments is None:
            return torch.ones_like(self.decoder_inputs)
        place = torch.arange(self.decoder_inputs.shape[1], device=self.inputs.device)
        same = self.decoder_segments[:, :, None] == self.decoder_segments[:, None, :]
        return float_mask((place <= place[:, None]) & same, dtype)

    def cross_attention_mask(self, dtype: torch.dtype) -> Tensor | None:
        """Return what ``decoder_inputs`` may see of ``inputs``: None for all, the padding (B, n), or 4D."""
        if self.decoder_segments is None or self.segments is None:
            return None if bool(self.attention_mask.all()) else self.attention_mask.long()
        same = self.decoder_segments[:, :, None] == self.segments[:, None, :]
        return float_mask(same & self.attention_mask[:, None, :], dtype)


def float_mask(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """Turn 'who sees whom' (B, queries, keys) into what attention adds. Shape (B, 1, queries, keys).

    A boolean 4D mask would be added as 0 and 1 by eager attention. A row that sees nothing (padding) sees itself
    or all, so that no softmax is over an empty set.

    >>> float_mask(torch.tensor([[[True, False], [False, False]]]), torch.float16).tolist()
    [[[[0.0, -65504.0], [0.0, 0.0]]]]
    """
    blind = ~seen.any(-1, keepdim=True)
    mask = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
    return mask.masked_fill(~(seen | blind), torch.finfo(mask.dtype).min)[:, None]
