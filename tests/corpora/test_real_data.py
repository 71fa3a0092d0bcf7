"""Real data sets, where LMCOMPARE_DATA says that they lie; they are not part of the package."""

import os
from pathlib import Path

import numpy as np
import pytest

from lmcompare import settings
from lmcompare.blocks import build_blocks
from lmcompare.corpora import SOURCES, build_corpus, build_labelled
from lmcompare.vocabulary import build_vocabulary

DATA = Path(os.environ.get("LMCOMPARE_DATA") or "/nowhere")
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="LMCOMPARE_DATA names no folder of data sets")


def test_shakespeare_comes_back_from_its_blocks(tmp_path):
    source = SOURCES["text"](path=str(DATA / "tinyshakespeare" / "input.txt"), documents="paragraphs")
    corpus = build_corpus(settings.Corpus(source=source, validation=0.05, test=0.05), tmp_path)
    vocabulary = build_vocabulary(corpus, settings.Vocabulary(size=1024), tmp_path)
    blocks = build_blocks(corpus, vocabulary, settings.Blocks(length=64), tmp_path)
    assert corpus.counts["documents"] > 7000
    stream = np.concatenate(blocks.validation[:]["tokens"])
    texts = np.split(stream, np.flatnonzero(stream == vocabulary.special.eos) + 1)[:-1]
    assert [vocabulary.decode(text) for text in texts] == corpus.validation[: len(texts)]["text"]


def test_chinese_reviews_are_cleaned_and_split_without_overlap():
    source = SOURCES["csv"](path=str(DATA / "chnsenticorp_hotel" / "ChnSentiCorp_htl_all.csv"), column="review")
    data = build_labelled(source, text="review", label="label", validation=0.1, test=0.1, items=None, seed=0)
    assert data.labels == ("0", "1")
    assert data.counts["items"] == 7766
    kept = sum(len(part) for part in (data.train, data.validation, data.test))
    removed = sum(data.counts[name] for name in ("empty", "duplicates", "conflicting"))
    assert kept == 7766 - removed
    texts = [{item.text for item in part} for part in (data.train, data.validation, data.test)]
    assert not texts[0] & texts[1] and not texts[0] & texts[2] and not texts[1] & texts[2]
    share = [np.mean([item.label for item in part]) for part in (data.train, data.validation, data.test)]
    assert max(share) - min(share) < 0.01
