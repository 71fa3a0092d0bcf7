import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest

from lmcompare.core import settings
from lmcompare.core.errors import InputError
from lmcompare.data import Corpus, build_corpus
from lmcompare.data.packing import pack_sequences
from lmcompare.data.tokenizer import Tokenizer, build_tokenizer

SETTINGS = settings.TokenizerSettings(vocab_size=400, sentinels=8)
TEXTS = tuple(
    f"Review {i}: {'good ' * (i % 7)}film number {i}, with {i * i} cats." for i in range(60)
)


@dataclass(frozen=True)
class Listed:
    """Documents listed by a test."""

    texts: tuple[str, ...]
    kind: ClassVar[str] = "listed"

    def rows(self) -> Iterator[dict[str, Any]]:
        return ({"text": text} for text in self.texts)

    def fingerprint(self) -> str:
        return repr(self.texts)


def corpus_of(texts: tuple[str, ...], cache: Path) -> Corpus:
    return build_corpus(settings.CorpusSettings(Listed(texts), validation=0.2, test=0.2), cache)


def test_sequences_joined_are_the_stream_of_tokens(tmp_path: Path) -> None:
    corpus = corpus_of(TEXTS, tmp_path)
    tokenizer = build_tokenizer(corpus, SETTINGS, tmp_path)
    sequences = pack_sequences(corpus, tokenizer, settings.SequenceSettings(length=16), tmp_path)
    for name in ("train", "validation", "test"):
        stream = [i for text in getattr(corpus, name)["text"] for i in [*tokenizer.encode(text), 2]]
        rows = getattr(sequences, name)["tokens"][:]
        assert {len(row) for row in rows} == {16}
        assert [i for row in rows for i in row] == stream[: len(rows) * 16]
        assert sequences.counts[f"{name}_sequences"] == len(rows)
        assert sequences.counts[f"{name}_tokens"] == 16 * len(rows)
        assert sequences.counts[f"{name}_dropped_tokens"] == len(stream) - 16 * len(rows) < 16
        assert sequences.counts[f"{name}_unique_tokens"] == len({i for row in rows for i in row})
        assert sequences.counts[f"{name}_bytes"] == sum(
            len(text.encode()) for text in getattr(corpus, name)["text"]
        )


def test_unigram_is_counted_on_train_and_smoothed(tmp_path: Path) -> None:
    corpus = corpus_of(TEXTS, tmp_path)
    tokenizer = build_tokenizer(corpus, SETTINGS, tmp_path)
    sequences = pack_sequences(corpus, tokenizer, settings.SequenceSettings(length=16), tmp_path)
    train = np.array(sequences.train["tokens"][:]).ravel()
    assert sequences.unigram.shape == (tokenizer.size,) and np.exp(
        sequences.unigram
    ).sum() == pytest.approx(1.0)
    assert sequences.unigram[2] == pytest.approx(
        np.log(((train == 2).sum() + 1) / (len(train) + tokenizer.size))
    )
    validation = np.array(sequences.validation["tokens"][:]).ravel()
    assert sequences.counts["unigram_nats_per_token"] == pytest.approx(
        -sequences.unigram[validation].mean()
    )


def test_the_second_call_tokenizes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = corpus_of(TEXTS, tmp_path)
    tokenizer = build_tokenizer(corpus, SETTINGS, tmp_path)
    first = pack_sequences(corpus, tokenizer, settings.SequenceSettings(length=16), tmp_path)
    monkeypatch.setattr(Tokenizer, "encode_batch", None)
    monkeypatch.setattr(Tokenizer, "train", None)
    again = build_tokenizer(corpus_of(TEXTS, tmp_path), SETTINGS, tmp_path)
    assert again.fingerprint == tokenizer.fingerprint
    second = pack_sequences(
        corpus, again, settings.SequenceSettings(length=16, packing="isolated"), tmp_path
    )
    assert (second.fingerprint, second.counts) == (first.fingerprint, first.counts)
    assert (
        second.train["tokens"][:] == first.train["tokens"][:]
        and (second.unigram == first.unigram).all()
    )


def test_nothing_of_test_or_validation_reaches_what_is_fitted(tmp_path: Path) -> None:
    before = corpus_of(TEXTS, tmp_path)
    held = {*before.test["document"], *before.validation["document"]}
    changed = tuple(f"完全不同 zzz {i} qqq" if i in held else text for i, text in enumerate(TEXTS))
    after = corpus_of(changed, tmp_path)
    assert (
        after.fingerprint != before.fingerprint
        and {*after.test["document"], *after.validation["document"]} == held
    )
    fitted = [build_tokenizer(corpus, SETTINGS, tmp_path) for corpus in (before, after)]
    assert fitted[0].fingerprint == fitted[1].fingerprint
    sequences = [
        pack_sequences(c, fitted[0], settings.SequenceSettings(length=16), tmp_path)
        for c in (before, after)
    ]
    assert sequences[0].train["tokens"][:] == sequences[1].train["tokens"][:]
    assert (sequences[0].unigram == sequences[1].unigram).all()
    assert sequences[0].test["tokens"][:] != sequences[1].test["tokens"][:]


def test_a_split_shorter_than_a_sequence_is_refused(tmp_path: Path) -> None:
    corpus = corpus_of(tuple(f"text number {i}" for i in range(40)), tmp_path)
    tokenizer = build_tokenizer(corpus, SETTINGS, tmp_path)
    with pytest.raises(
        InputError,
        match="the validation split has .* fewer than one sequence of 40; .* corpus.validation",
    ):
        pack_sequences(corpus, tokenizer, settings.SequenceSettings(length=40), tmp_path)


def test_memory_does_not_grow_with_the_sequences(tmp_path: Path) -> None:
    tokenizer = Tokenizer.train(["The cat sat on the mat."] * 5, SETTINGS)

    def peak(count: int) -> int:
        # Of one length, so that a batch of a thousand is as large in the one as in the other.
        corpus = corpus_of(tuple(f"{i:06d} " * 30 for i in range(count)), tmp_path)
        pool, before = pa.proxy_memory_pool(pa.default_memory_pool()), pa.default_memory_pool()
        pa.set_memory_pool(pool)
        tracemalloc.start()
        try:
            sequences = pack_sequences(
                corpus, tokenizer, settings.SequenceSettings(length=16), tmp_path
            )
            assert sequences.counts["train_tokens"] > 50 * count
            return tracemalloc.get_traced_memory()[1] + pool.max_memory()
        finally:
            tracemalloc.stop()
            pa.set_memory_pool(before)

    peak(100)  # what is imported on first use
    small, large = peak(2_000), peak(12_000)
    assert large < small * 1.3, (small, large)
