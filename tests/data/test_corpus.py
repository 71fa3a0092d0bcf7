import errno
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from lmcompare.core import settings
from lmcompare.core.errors import InputError, LmcompareError
from lmcompare.data import build_corpus
from lmcompare.data.cache import cached
from lmcompare.data.sources.jsonl import Jsonl
from lmcompare.data.sources.text import Text


@dataclass(frozen=True)
class Listed:
    """Documents listed by a test."""

    kind: ClassVar[str] = "listed"
    texts: tuple[Any, ...]

    def rows(self) -> Iterator[dict[str, Any]]:
        return ({"text": text} for text in self.texts)

    def fingerprint(self) -> str:
        return repr(self.texts)


@dataclass(frozen=True)
class Numbered:
    """So many documents of a thousand characters, made one at a time."""

    count: int
    kind: ClassVar[str] = "numbered"

    def rows(self) -> Iterator[dict[str, Any]]:
        for i in range(self.count):
            yield {"text": f"{i} " * (1000 // (len(str(i)) + 1))}

    def fingerprint(self) -> str:
        return str(self.count)


def words(count: int) -> tuple[str, ...]:
    return tuple(f"Document number {i}." for i in range(count))


def test_every_document_is_in_one_split(tmp_path: Path) -> None:
    corpus = build_corpus(
        settings.CorpusSettings(Listed(words(100)), validation=0.1, test=0.2), tmp_path
    )
    splits = [corpus.train, corpus.validation, corpus.test]
    assert [len(split) for split in splits] == [70, 10, 20]
    assert sorted(text for split in splits for text in split["text"]) == sorted(words(100))
    assert all(row["text"] == words(100)[row["document"]] for split in splits for row in split)
    assert corpus.train["document"][:] != sorted(corpus.train["document"]), "not shuffled"
    assert corpus.counts == {
        "documents": 100, "empty": 0, "duplicates": 0, "near_duplicates": 0,
        "train_documents": 70, "validation_documents": 10, "test_documents": 20,
        **{f"{name}_bytes": sum(len(t.encode()) for t in getattr(corpus, name)["text"])
           for name in ("train", "validation", "test")},
    }  # fmt: skip


def test_duplicates_and_empty_documents_are_removed_and_counted(tmp_path: Path) -> None:
    texts = (
        *words(10),
        "DOCUMENT number 3!",
        words(10)[4],
        "  ",
        "<br />",
        None,
        words(10)[4] + " ",
        "document number3",
    )
    corpus = build_corpus(settings.CorpusSettings(Listed(texts)), tmp_path)
    texts = [
        text for split in (corpus.train, corpus.validation, corpus.test) for text in split["text"]
    ]
    assert sorted(texts) == sorted(words(10)), "the first of several is kept"
    expected = {"documents": 17, "empty": 3, "duplicates": 2, "near_duplicates": 2}
    assert {key: corpus.counts[key] for key in expected} == expected


def test_only_the_first_documents_are_read(tmp_path: Path) -> None:
    corpus = build_corpus(settings.CorpusSettings(Listed((*words(10), 5)), documents=10), tmp_path)
    assert corpus.counts["documents"] == 10


def test_the_split_depends_on_the_seed_alone(tmp_path: Path) -> None:
    def tested(seed: int, place: str) -> list[int]:
        corpus = settings.CorpusSettings(Listed(words(100)), test=0.1, seed=seed)
        return list(build_corpus(corpus, tmp_path / place).test["document"])

    assert tested(0, "a") == tested(0, "b") != tested(1, "a")


def test_the_second_call_reads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = settings.CorpusSettings(Listed(words(10)))
    first = build_corpus(corpus, tmp_path)
    monkeypatch.setattr(Listed, "rows", None)
    second = build_corpus(corpus, tmp_path)
    assert (second.fingerprint, second.counts) == (first.fingerprint, first.counts)
    assert second.train["text"][:] == first.train["text"][:]
    assert [path.suffix for path in tmp_path.iterdir() if path.is_dir()] == [""], (
        "no temporary folder is left"
    )


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ((), "wanted documents with text, got none"),
        (("", " "), "wanted documents with text, got none"),
        (("one", "two"), "too small: 2 different documents"),
        (("one", "one", "One!"), "too small: 1 different documents"),
        (("one", 2, "three"), "row 1 of the source: wanted text in column 'text', got int"),
    ],
)
def test_a_corpus_that_cannot_be_split_is_refused(
    texts: tuple[Any, ...], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        build_corpus(settings.CorpusSettings(Listed(texts)), tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()], (
        "a failure leaves nothing behind"
    )


def test_shares_that_leave_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="wanted less than 1, got 0.5 \\+ 0.5"):
        build_corpus(settings.CorpusSettings(Listed(words(10)), validation=0.5, test=0.5), tmp_path)


def test_a_source_without_text_says_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"txt": "a"}\n')
    with pytest.raises(InputError, match="no column 'text'; did you mean 'txt'"):
        build_corpus(settings.CorpusSettings(Jsonl(str(tmp_path / "a.jsonl"))), tmp_path)


def test_memory_does_not_grow_with_the_corpus(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        pool = pa.proxy_memory_pool(pa.default_memory_pool())
        before = pa.default_memory_pool()
        pa.set_memory_pool(pool)
        tracemalloc.start()
        try:
            corpus = build_corpus(settings.CorpusSettings(Numbered(count)), tmp_path)
            assert corpus.counts["train_bytes"] > 800 * count
            return tracemalloc.get_traced_memory()[1] + pool.max_memory()
        finally:
            tracemalloc.stop()
            pa.set_memory_pool(before)

    peak(100)  # what is imported on first use
    small, large = peak(2_000), peak(20_000)
    # 18 MB more of text, for which two hashes take 16 bytes a document.
    assert large - small < 18_000 * 32, (small, large)


def test_two_processes_build_one_folder(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n".join(words(50)))
    script = (
        "import sys; from pathlib import Path; from lmcompare.core import settings;"
        "from lmcompare.data import build_corpus; from lmcompare.data.sources.text import Text;"
        "corpus = settings.CorpusSettings(Text(sys.argv[1]));"
        "print(build_corpus(corpus, Path(sys.argv[2])).test['text'][:])"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "a.txt"), str(tmp_path / "cache")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    ours = build_corpus(settings.CorpusSettings(Text(str(tmp_path / "a.txt"))), tmp_path / "cache")
    assert answers == [f"{ours.test['text'][:]}\n"] * 2
    assert len([path for path in (tmp_path / "cache").iterdir() if path.is_dir()]) == 1


def test_listing_sources_loads_nothing_heavy() -> None:
    script = (
        "import sys, lmcompare.data.tokenizer; from lmcompare.data import SOURCES; list(SOURCES);"
        "heavy = {'torch', 'transformers', 'tokenizers', 'datasets', 'pandas', 'pyarrow'};"
        "heavy.add('sklearn');"
        "print(heavy & {*sys.modules})"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    assert answer == "set()\n"


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    def build(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(LmcompareError, match="No space left on device") as caught:
        cached(tmp_path / "a", build)
    assert not isinstance(caught.value, InputError)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_what_a_killed_process_left_is_built_anew(tmp_path: Path) -> None:
    (tmp_path / "a.partial").mkdir()
    (tmp_path / "a.partial" / "half").write_text("half")
    folder = cached(tmp_path / "a", lambda place: (place / "whole").write_text("whole") and None)
    assert [path.name for path in folder.iterdir()] == ["whole"]
