"""The corpus: three splits of clean documents without duplicates, on disk as Arrow."""

import json
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from lmcompare.core import settings
from lmcompare.core.errors import InputError, nearest
from lmcompare.data.cache import cached, digest
from lmcompare.data.cleaning import clean
from lmcompare.data.deduplication import duplicate_key, hash64, repeats
from lmcompare.data.sources.base import Row, Source

if TYPE_CHECKING:
    from datasets import Dataset

SPLITS = ("train", "validation", "test")

_VERSION = 1  # of the format and of the cleaning: raise it when either changes
_ROWS = 1000
_CHARACTERS = 4_000_000


@dataclass(frozen=True)
class Corpus:
    """The documents that every objective is trained on, split once before anything is fitted."""

    train: "Dataset"
    """columns ``document`` (int64: its row in the source, from 0) and ``text``; shuffled"""
    validation: "Dataset"
    """the same"""
    test: "Dataset"
    """the same"""
    fingerprint: str
    """SHA-256 of the source, the settings and the version of the cleaning"""
    counts: dict[str, int]
    """``documents`` read, and of these ``empty``, ``duplicates`` (the same text) and
    ``near_duplicates`` (the same but for case, spaces and punctuation) removed; then for each split
    ``train_documents``, ``train_bytes`` (UTF-8), and so on"""


def build_corpus(corpus: settings.CorpusSettings, cache: Path) -> Corpus:
    """Read, clean, deduplicate and split a corpus, once: it is kept in ``cache/corpus-<hash>``.

    The documents are shuffled with ``corpus.seed`` before they are split, so that no split depends
    on how the source is sorted. Memory: 16 bytes a document and one batch of text.

    Args:
        corpus: its ``source`` is an instance of a Source.
        cache: the root of the cache.

    Raises:
        InputError: the source cannot be read, holds no text, or too few documents for three splits.
        LmcompareError: the cache cannot be written.
    """
    if corpus.validation + corpus.test >= 1:
        got = f"got {corpus.validation} + {corpus.test}"
        raise InputError(f"corpus.validation + corpus.test: wanted less than 1, {got}")
    source = cast(Source, corpus.source)
    fingerprint = digest(
        _VERSION,
        source.fingerprint(),
        corpus.validation,
        corpus.test,
        corpus.documents,
        corpus.seed,
    )
    folder = cached(
        cache / f"corpus-{fingerprint[:16]}", lambda folder: _write_corpus(folder, source, corpus)
    )
    splits = {name: read_mapped(folder / f"{name}.arrow") for name in SPLITS}
    counts = json.loads((folder / "counts.json").read_text())
    return Corpus(**splits, fingerprint=fingerprint, counts=counts)


def _write_corpus(folder: Path, source: Source, corpus: settings.CorpusSettings) -> None:
    # Clean and hash every document, in one pass over the source.
    whole = folder / "documents.arrow"
    hashes, keys, read = _write_documents(whole, source.rows(), corpus.documents)
    near = repeats(np.frombuffer(keys, dtype=np.uint64))
    same = int(repeats(np.frombuffer(hashes, dtype=np.uint64)).sum())
    del hashes, keys
    kept = np.flatnonzero(~near)
    counts = {
        "documents": read,
        "empty": read - len(near),
        "duplicates": same,
        "near_duplicates": int(near.sum()) - same,
    }
    if not len(kept):
        got = f"got none ({read} read, {counts['empty']} empty)"
        raise InputError(f"corpus.source: wanted documents with text, {got}")

    # Split what is left.
    train, validation, test = split_sizes(len(kept), corpus.validation, corpus.test)
    if not train:
        raise InputError(
            f"corpus.source: too small: {len(kept)} different documents with corpus.validation "
            f"{corpus.validation} and corpus.test {corpus.test} leave none to train on; wanted "
            "three splits that are not empty"
        )
    np.random.default_rng(corpus.seed).shuffle(kept)
    documents = read_mapped(whole)
    # The test split comes first, so that it does not change with corpus.validation.
    parts = np.split(kept, [test, test + validation])
    for name, rows in zip(("test", "validation", "train"), parts, strict=True):
        counts[f"{name}_documents"] = len(rows)
        counts[f"{name}_bytes"] = _write_split(folder / f"{name}.arrow", documents, rows)
    del documents
    whole.unlink()
    (folder / "counts.json").write_text(json.dumps(counts), encoding="utf-8")


def _write_documents(
    path: Path, rows: Iterator[Row], limit: int | None
) -> "tuple[array[int], array[int], int]":
    """Write all clean documents that are not empty.

    Return the hashes of their texts and of their duplicate keys, and how many rows were read.
    """
    import pyarrow as pa

    hashes, keys = array("Q"), array("Q")
    read = 0

    def batches() -> Iterator[dict[str, Any]]:
        nonlocal read
        numbers: list[int] = []
        texts: list[str] = []
        characters = 0
        for row in rows:
            if limit is not None and read == limit:
                break
            text = clean(text_of(row, "text", read))
            if text:
                numbers.append(read)
                texts.append(text)
                characters += len(text)
                hashes.append(hash64(text.encode()))
                keys.append(hash64(duplicate_key(text)))
            read += 1
            if len(texts) == _ROWS or characters > _CHARACTERS:
                yield {"document": numbers, "text": texts}
                numbers, texts, characters = [], [], 0
        yield {"document": numbers, "text": texts}

    write_batches(path, batches(), {"document": pa.int64(), "text": pa.string()})
    return hashes, keys, read


def _write_split(path: Path, documents: "Dataset", rows: NDArray[np.int64]) -> int:
    """Write these rows of the documents, in this order; return the bytes of their text."""
    import pyarrow as pa

    written = 0

    def batches() -> Iterator[dict[str, Any]]:
        nonlocal written
        for start in range(0, len(rows), _ROWS):
            batch = documents[rows[start : start + _ROWS]]
            written += sum(len(text.encode()) for text in batch["text"])
            yield batch

    write_batches(path, batches(), {"document": pa.int64(), "text": pa.string()})
    return written


def text_of(row: Row, column: str, number: int) -> str:
    """Return the text of a row, '' where it has none.

    Raises:
        InputError: there is no such column, or it does not hold text.
    """
    if column not in row:
        raise InputError(f"the source has no column {column!r}{nearest(column, row)}")
    value = row[column]
    if value is None:
        return ""
    if not isinstance(value, str):
        wanted = f"wanted text in column {column!r}"
        raise InputError(f"row {number} of the source: {wanted}, got {type(value).__name__}")
    return value


def split_sizes(count: int, validation: float, test: float) -> tuple[int, int, int]:
    """Return how many of ``count`` go to train, validation and test.

    Validation and test have at least one each, so train may have none.

    >>> split_sizes(100, 0.1, 0.2), split_sizes(5, 0.02, 0.02), split_sizes(2, 0.1, 0.1)
    ((70, 10, 20), (3, 1, 1), (0, 1, 1))
    """
    held_out = max(1, round(count * validation)), max(1, round(count * test))
    return max(0, count - sum(held_out)), *held_out


def write_batches(path: Path, batches: Iterable[dict[str, Any]], types: dict[str, Any]) -> None:
    """Write batches (column -> values) as one Arrow stream of columns with these Arrow types."""
    import pyarrow as pa

    schema = pa.schema(types)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
        for batch in batches:
            writer.write_batch(pa.record_batch(batch, schema=schema))


def read_mapped(path: Path) -> "Dataset":
    """Return the data set of an Arrow stream, memory-mapped."""
    from datasets import Dataset

    return Dataset.from_file(str(path))
