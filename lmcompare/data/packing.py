"""Documents as rows of tokens of equal length: what every objective reads."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lmcompare.core import settings
from lmcompare.core.errors import InputError
from lmcompare.core.example import Ids
from lmcompare.data import Corpus
from lmcompare.data.cache import cached, digest
from lmcompare.data.corpus import SPLITS, read_mapped, write_batches
from lmcompare.data.tokenizer import Tokenizer, text_batches

if TYPE_CHECKING:
    from datasets import Dataset

_VERSION = 1  # of the format: raise it when it changes, so that no old cache is read


@dataclass(frozen=True)
class PackedSequences:
    """The documents as rows of tokens of equal length: what every objective reads.

    A split is its documents one after another, each followed by eos, cut into rows; the last, incomplete row is left
    out.

    Attributes:
        train: one column ``tokens``, ``length`` int32 a row; memory-mapped.
        validation: the same.
        test: the same.
        unigram: (V,) float64: log-probability in nats of each id among the train rows, with add-one smoothing.
        fingerprint: SHA-256 of what decides the rows: the corpus, the vocabulary, the length.
        counts: for each split ``train_sequences``, ``train_tokens`` (in those rows), ``train_unique_tokens`` (different
            ids among them), ``train_dropped_tokens``, ``train_bytes`` (UTF-8, of its documents), and so on; and
            ``unigram_nats_per_token``, the mean of -unigram over the validation rows.
    """

    train: "Dataset"
    validation: "Dataset"
    test: "Dataset"
    unigram: NDArray[np.float64]
    fingerprint: str
    counts: dict[str, float]


def pack_sequences(
    corpus: Corpus, tokenizer: Tokenizer, blocks: settings.SequenceSettings, cache: Path
) -> PackedSequences:
    """Turn documents into rows of ``sequence.length`` tokens, once: a second call finds ``cache/blocks-<hash>``.

    ``sequence.packing`` changes no row: for 'isolated', the objectives cut a row at eos. Memory: a thousand documents.

    Raises:
        InputError: a split has fewer tokens than one row.
        LmcompareError: the cache cannot be written.
    """
    length = blocks.length
    fingerprint = digest(_VERSION, corpus.fingerprint, tokenizer.fingerprint, length)

    def build(folder: Path) -> None:
        counts: dict[str, float] = {}
        seen: dict[str, Ids] = {}
        for name in SPLITS:
            path = folder / f"{name}.arrow"
            seen[name], rows, rest = _write_rows(path, getattr(corpus, name), tokenizer, length)
            if not rows:
                raise InputError(
                    f"sequence.length: the {name} split has {rest} tokens, fewer than one block of {length}; wanted more "
                    + ("text" if name == "train" else f"text, a larger corpus.{name}")
                    + ", or a smaller sequence.length"
                )
            counts |= {
                f"{name}_sequences": rows,
                f"{name}_tokens": rows * length,
                f"{name}_unique_tokens": int((seen[name] > 0).sum()),
                f"{name}_dropped_tokens": rest,
                f"{name}_bytes": corpus.counts[f"{name}_bytes"],
            }
        unigram = np.log(seen["train"] + 1.0) - math.log(counts["train_tokens"] + tokenizer.size)
        counts["unigram_nats_per_token"] = float(
            -(seen["validation"] @ unigram) / counts["validation_tokens"]
        )
        np.save(folder / "unigram.npy", unigram)
        (folder / "counts.json").write_text(json.dumps(counts), encoding="utf-8")

    folder = cached(cache / f"blocks-{fingerprint[:16]}", build)
    return PackedSequences(
        **{name: read_mapped(folder / f"{name}.arrow") for name in SPLITS},
        unigram=np.load(folder / "unigram.npy"),
        fingerprint=fingerprint,
        counts=json.loads((folder / "counts.json").read_text(encoding="utf-8")),
    )


def _write_rows(
    path: Path, documents: "Dataset", tokenizer: Tokenizer, length: int
) -> tuple[Ids, int, int]:
    """Write the rows of a split; return how often each id occurs in them, shape (V,), the rows, and the tokens left."""
    import pyarrow as pa

    seen = np.zeros(tokenizer.size, dtype=np.int64)
    rows, rest, eos = 0, np.zeros(0, dtype=np.int32), tokenizer.special.eos

    def batches() -> Iterator[dict[str, Any]]:
        nonlocal rows, rest
        for texts in text_batches(documents):
            streams = (
                np.array([*ids, eos], dtype=np.int32) for ids in tokenizer.encode_batch(texts)
            )
            tokens = np.concatenate([rest, *streams])
            count = len(tokens) // length
            whole, rest = tokens[: count * length], tokens[count * length :].copy()
            rows += count
            np.add(seen, np.bincount(whole, minlength=len(seen)), out=seen)
            yield {"tokens": pa.FixedSizeListArray.from_arrays(pa.array(whole), length)}

    write_batches(path, batches(), {"tokens": pa.list_(pa.int32(), length)})
    return seen, rows, len(rest)
