import logging

import pytest
import sacrebleu

from lmcompare.core.errors import InputError
from lmcompare.metrics import load

# The example of sacreBLEU's README, section "Using SacreBLEU from Python": the scores it prints
# there.
SYSTEM = ["The dog bit the man.", "It wasn't surprising.", "The man had just bitten him."]
REFERENCES = [
    ["The dog bit the man.", "The dog had bit the man."],
    ["It was not unexpected.", "No one was surprised."],
    ["The man bit him first.", "The man had bitten the dog."],
]


def test_the_published_example():
    got = load("bleu").compute(predictions=SYSTEM, references=REFERENCES)
    assert got["bleu"] == pytest.approx(48.530827009929865, abs=1e-6)
    assert (
        got["signature"]
        == f"nrefs:2|case:mixed|eff:no|tok:13a|smooth:exp|version:{sacrebleu.__version__}"
    )


def test_items_are_the_librarys_sentence_bleu(caplog):
    with caplog.at_level(logging.WARNING):
        items = load("bleu").compute(predictions=SYSTEM, references=REFERENCES, per_item=True)[
            "items"
        ]
    theirs = [
        sacrebleu.sentence_bleu(text, right).score
        for text, right in zip(SYSTEM, REFERENCES, strict=True)
    ]
    assert items == pytest.approx(theirs, abs=1e-6)
    assert not caplog.records


def test_chinese_asks_for_its_tokenizer():
    given = {"predictions": ["今天天气真好"], "references": ["今天天气很好"]}
    metric = load("bleu")
    assert metric.compute(**given)["bleu"] == 0
    got = metric.compute(**given, tokenize="zh")
    theirs = sacrebleu.corpus_bleu(given["predictions"], [given["references"]], tokenize="zh")
    assert got["bleu"] == pytest.approx(theirs.score, abs=1e-6)
    assert 30 < got["bleu"] < 60 and "tok:zh" in got["signature"]


def test_references_may_be_variably_many():
    got = load("bleu").compute(predictions=SYSTEM, references=[*REFERENCES[:2], REFERENCES[2][:1]])
    assert got["signature"].startswith("nrefs:var|")
    theirs = sacrebleu.corpus_bleu(
        SYSTEM, [[r[0] for r in REFERENCES], [REFERENCES[0][1], REFERENCES[1][1], None]]
    )
    assert got["bleu"] == pytest.approx(theirs.score, abs=1e-6)


def test_case():
    metric = load("bleu")
    given = {"predictions": ["THE CAT SAT DOWN"], "references": ["the cat sat down"]}
    assert metric.compute(**given)["bleu"] == 0
    assert metric.compute(**given, lowercase=True)["bleu"] == pytest.approx(100, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "message"), [("zhh", "got 'zhh'; did you mean 'zh'"), ("flores200", "wanted one of")]
)
def test_a_tokenizer_that_is_not_at_hand(name, message):
    with pytest.raises(InputError, match=f"bleu: tokenize: .*{message}"):
        load("bleu").compute(predictions=["a"], references=["a"], tokenize=name)
