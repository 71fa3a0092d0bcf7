"""Packs documents into sequences of equal length: what every objective reads."""

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

_VERSION = 2  # of the format: raise it when it changes, so that no old cache is read


@dataclass(frozen=True)
class PackedSequences:
    """The documents of each split, one after another, each followed by eos, cut into sequences.

    The last, incomplete sequence is left out.
    """

    train: "Dataset"
    """one column ``tokens``, ``length`` int32 a row; memory-mapped"""
    validation: "Dataset"
    """the same"""
    test: "Dataset"
    """the same"""
    unigram: NDArray[np.float64]
    """(vocab,) log-probability in nats of each id in train, with add-one smoothing"""
    fingerprint: str
    """SHA-256 of what decides the sequences: the corpus, the tokenizer, the length"""
    counts: dict[str, float]
    """for each split ``train_sequences``, ``train_tokens`` (in those), ``train_unique_tokens``
    (different ids among them), ``train_dropped_tokens``, ``train_bytes`` (UTF-8, of its documents),
    and so on; and ``unigram_nats_per_token``, the mean of -unigram over validation"""


def pack_sequences(
    corpus: Corpus, tokenizer: Tokenizer, sequence: settings.SequenceSettings, cache: Path
) -> PackedSequences:
    """Pack documents into sequences of ``sequence.length`` tokens, once: kept in the cache.

    ``sequence.packing`` changes nothing here: for 'isolated', the objectives cut a sequence at eos.
    Memory: a thousand documents.

    Raises:
        InputError: a split has fewer tokens than one sequence.
        LmcompareError: the cache cannot be written.
    """
    length = sequence.length
    fingerprint = digest(_VERSION, corpus.fingerprint, tokenizer.fingerprint, length)
    folder = cached(
        cache / f"sequences-{fingerprint[:16]}",
        lambda folder: _write_sequences(folder, corpus, tokenizer, length),
    )
    return PackedSequences(
        **{name: read_mapped(folder / f"{name}.arrow") for name in SPLITS},
        unigram=np.load(folder / "unigram.npy"),
        fingerprint=fingerprint,
        counts=json.loads((folder / "counts.json").read_text(encoding="utf-8")),
    )


def _write_sequences(folder: Path, corpus: Corpus, tokenizer: Tokenizer, length: int) -> None:
    counts: dict[str, float] = {}
    occurrences: dict[str, Ids] = {}  # (vocab,) of each split
    for name in SPLITS:
        path, documents = folder / f"{name}.arrow", getattr(corpus, name)
        occurrences[name], rows, dropped = _write_split(path, documents, tokenizer, length)
        if not rows:
            larger = "text" if name == "train" else f"text, a larger corpus.{name}"
            raise InputError(
                f"sequence.length: the {name} split has {dropped} tokens, fewer than one sequence "
                f"of {length}; wanted more {larger}, or a smaller sequence.length"
            )
        counts |= {
            f"{name}_sequences": rows,
            f"{name}_tokens": rows * length,
            f"{name}_unique_tokens": int((occurrences[name] > 0).sum()),
            f"{name}_dropped_tokens": dropped,
            f"{name}_bytes": corpus.counts[f"{name}_bytes"],
        }
    total = counts["train_tokens"] + tokenizer.size
    unigram = np.log(occurrences["train"] + 1.0) - math.log(total)
    nats = -(occurrences["validation"] @ unigram)
    counts["unigram_nats_per_token"] = float(nats / counts["validation_tokens"])
    np.save(folder / "unigram.npy", unigram)
    (folder / "counts.json").write_text(json.dumps(counts), encoding="utf-8")


def _write_split(
    path: Path, documents: "Dataset", tokenizer: Tokenizer, length: int
) -> tuple[Ids, int, int]:
    """Write the sequences of a split.

    Return how often each id occurs in them (vocab,), their number, and how many tokens are left.
    """
    import pyarrow as pa

    occurrences = np.zeros(tokenizer.size, dtype=np.int64)
    rows, rest, eos = 0, np.zeros(0, dtype=np.int32), tokenizer.special.eos

    def batches() -> Iterator[dict[str, Any]]:
        nonlocal rows, rest
        for texts in text_batches(documents):
            encoded = tokenizer.encode_batch(texts)
            streams = (np.array([*ids, eos], dtype=np.int32) for ids in encoded)
            tokens = np.concatenate([rest, *streams])
            count = len(tokens) // length
            whole, rest = tokens[: count * length], tokens[count * length :].copy()
            rows += count
            np.add(occurrences, np.bincount(whole, minlength=len(occurrences)), out=occurrences)
            yield {"tokens": pa.FixedSizeListArray.from_arrays(pa.array(whole), length)}

    write_batches(path, batches(), {"tokens": pa.list_(pa.int32(), length)})
    return occurrences, rows, len(rest)
