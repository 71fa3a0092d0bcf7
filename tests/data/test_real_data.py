"""Real data sets, where LMCOMPARE_DATA says that they lie; they are not part of the package."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from lmcompare.core import settings
from lmcompare.data import SOURCES, build_corpus, build_item_splits, build_labeled_splits
from lmcompare.data.packing import pack_sequences
from lmcompare.data.tokenizer import build_tokenizer

DATA = Path(os.environ.get("LMCOMPARE_DATA") or "/nowhere")
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="LMCOMPARE_DATA names no folder of data sets"
)


def test_shakespeare_comes_back_from_its_sequences(tmp_path):
    source = SOURCES["text"](
        path=str(DATA / "tinyshakespeare" / "input.txt"), documents="paragraphs"
    )
    corpus = build_corpus(
        settings.CorpusSettings(source=source, validation=0.05, test=0.05), tmp_path
    )
    tokenizer = build_tokenizer(corpus, settings.TokenizerSettings(vocab_size=1024), tmp_path)
    sequences = pack_sequences(corpus, tokenizer, settings.SequenceSettings(length=64), tmp_path)
    assert corpus.counts["documents"] > 7000
    stream = np.concatenate(sequences.validation[:]["tokens"])
    texts = np.split(stream, np.flatnonzero(stream == tokenizer.special.eos) + 1)[:-1]
    assert [tokenizer.decode(text) for text in texts] == corpus.validation[: len(texts)]["text"]


def test_chinese_reviews_are_cleaned_and_split_without_overlap():
    source = SOURCES["csv"](
        path=str(DATA / "chnsenticorp_hotel" / "ChnSentiCorp_htl_all.csv"), column="review"
    )
    data = build_labeled_splits(
        source, text="review", label="label", validation=0.1, test=0.1, items=None, seed=0
    )
    assert data.labels == ("0", "1")
    assert data.counts["items"] == 7766
    kept = sum(len(part) for part in (data.train, data.validation, data.test))
    removed = sum(data.counts[name] for name in ("empty", "duplicates", "conflicting"))
    assert kept == 7766 - removed
    texts = [{item.text for item in part} for part in (data.train, data.validation, data.test)]
    assert not texts[0] & texts[1] and not texts[0] & texts[2] and not texts[1] & texts[2]
    share = [
        np.mean([item.label for item in part]) for part in (data.train, data.validation, data.test)
    ]
    assert max(share) - min(share) < 0.01


def test_sst2_lines_hold_their_label():
    source = SOURCES["text"](
        path=str(DATA / "sst2" / "train.txt"), pattern=r"(?P<label>[01]) (?P<text>.*)"
    )
    data = build_labeled_splits(
        source, text="text", label="label", validation=0.1, test=0.1, items=None, seed=0
    )
    assert data.counts["items"] == 6920 and data.labels == ("0", "1")
    assert not any(item.text[:2] in ("0 ", "1 ") and "\n" in item.text for item in data.train)


@pytest.mark.parametrize(
    ("name", "sentences", "words", "people"),
    [
        ("wnut17train.conll", 3394, 62_730, 660),
        ("emerging.dev.conll", 1009, 15_733, 470),
        ("emerging.test.annotated", 1287, 23_394, 429),
    ],
)
def test_wnut17_has_as_many_sentences_as_published(name, sentences, words, people):
    rows = list(SOURCES["conll"](path=str(DATA / "wnut17" / name)).rows())
    assert len(rows) == sentences and sum(len(row["tokens"]) for row in rows) == words
    assert sum(row["tags"].count("B-person") for row in rows) == people
    assert (
        len({tag.rpartition("-")[2] if tag != "O" else "" for row in rows for tag in row["tags"]})
        == 7
    )


def test_xquad_articles_stay_in_one_split():
    source = SOURCES["squad"](path=str(DATA / "xquad" / "xquad.en.json"))
    items = build_item_splits(
        source,
        ("context", "question", "answers", "starts", "document"),
        validation=0.1,
        test=0.2,
        items=None,
        seed=0,
        unique=("context", "question"),
        group="document",
        verbatim=("context",),
    )
    assert items.counts["items"] == 1190 and items.counts["groups"] == 48
    titles = [
        {entry.fields["document"] for entry in part}
        for part in (items.train, items.validation, items.test)
    ]
    assert sum(map(len, titles)) == 48
    for entry in items.test:
        for answer, start in zip(entry.fields["answers"], entry.fields["starts"], strict=True):
            assert entry.fields["context"][start:].startswith(answer)


def test_brown_has_500_documents_of_15_genres():
    rows = list(SOURCES["brown"](path=str(DATA / "brown")).rows())
    assert len(rows) == 57_340 and sum(len(row["tokens"]) for row in rows) == 1_161_192
    assert (
        len({row["document"] for row in rows}) == 500 and len({row["genre"] for row in rows}) == 15
    )
    assert len({tag for row in rows for tag in row["tags"]}) == 472
    based = SOURCES["brown"](path=str(DATA / "brown" / "brown.tar.gz"), tags="base").rows()
    assert len({tag for row in based for tag in row["tags"]}) == 104


def test_blimp_has_a_thousand_pairs_a_paradigm():
    rows = list(SOURCES["blimp"](path=str(DATA / "blimp")).rows())
    paradigms = Counter(row["paradigm"] for row in rows)
    assert len(paradigms) == 34 and {*paradigms.values()} == {1000}
    assert all(row["field"] and row["phenomenon"] for row in rows)
    assert sum(row["good"] == row["bad"] for row in rows) == 7, (
        "pairs that the data set itself gives without a difference"
    )
    items = build_item_splits(
        SOURCES["blimp"](path=str(DATA / "blimp")),
        ("good", "bad", "paradigm"),
        validation=0,
        test=1,
        items=None,
        seed=0,
    )
    assert items.counts["test_items"] == 34_000


def test_tables_without_a_header_are_read():
    tatoeba = {"separator": "\t", "names": ("en", "zh"), "quotes": False}
    pairs = list(SOURCES["csv"](path=str(DATA / "tatoeba_en_zh" / "cmn.txt"), **tatoeba).rows())
    assert len(pairs) == 21_116 and pairs[0] == {"en": "Hi.", "zh": "嗨。"}
    for language in ("en", "zh"):
        path = str(DATA / "stsb" / f"stsb-{language}-dev.csv")
        rows = list(SOURCES["csv"](path=path, names=("one", "two", "score")).rows())
        assert len(rows) == 1500 and all(0 <= float(row["score"]) <= 5 for row in rows)


def test_packed_files_are_read():
    lines = list(SOURCES["text"](path=str(DATA / "childes_cds")).rows())
    assert len(lines) == 193_971 and sum(len(row["text"].split()) for row in lines) == 994_022
    lists = list(SOURCES["jsonl"](path=str(DATA / "asr_nbest")).rows())
    assert len(lists) == 300 and all(1 <= len(row["nbest"]) <= 20 for row in lists)
    items = build_item_splits(
        SOURCES["jsonl"](path=str(DATA / "asr_nbest")),
        ("ref", "nbest"),
        validation=0.3,
        test=0.7,
        items=None,
        seed=0,
        unique=("ref",),
    )
    assert (
        items.counts["test_items"] + items.counts["validation_items"]
        == 300 - items.counts["duplicates"]
    )


def test_dialogues_keep_their_turns():
    source = SOURCES["jsonl"](path=str(DATA / "dialogsum"))
    items = build_item_splits(
        source, ("dialogue", "summary"), validation=0.1, test=0.1, items=None, seed=0
    )
    assert items.counts["items"] == 500 and all(
        "\n#Person2#:" in entry.fields["dialogue"] for entry in items.test
    )
