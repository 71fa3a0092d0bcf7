import pytest
import sacrebleu
from sacrebleu.metrics import CHRF

from lmcompare.core.errors import InputError
from lmcompare.metrics import load

SYSTEM = ["The dog bit the man.", "It wasn't surprising.", "", "今天天气真好"]
REFERENCES = [
    ["The dog bit a man.", "The dog had bit the man."],
    ["It was not unexpected."],
    ["Yes."],
    ["今天天气很好"],
]


@pytest.mark.parametrize("word_order", [0, 2])
@pytest.mark.parametrize("lowercase", [False, True])
def test_it_equals_the_library(word_order, lowercase):
    options = {"word_order": word_order, "lowercase": lowercase}
    got = load("chrf").compute(predictions=SYSTEM, references=REFERENCES, per_item=True, **options)
    theirs = CHRF(**options)
    streams = [[right[0] for right in REFERENCES], [REFERENCES[0][1], None, None, None]]
    assert got["chrf"] == pytest.approx(theirs.corpus_score(SYSTEM, streams).score, abs=1e-6)
    each = [
        theirs.sentence_score(text, right).score
        for text, right in zip(SYSTEM, REFERENCES, strict=True)
    ]
    assert got["items"] == pytest.approx(each, abs=1e-6)
    case = "lc" if lowercase else "mixed"
    settings = f"nrefs:var|case:{case}|eff:yes|nc:6|nw:{word_order}|space:no"
    expected = f"{settings}|version:{sacrebleu.__version__}"
    assert got["signature"] == expected


def test_chinese_without_spaces_needs_no_option():
    # Five of six characters are shared, four of five are not a run: by hand, orders 1 to 6 of a
    # text of six.
    got = load("chrf").compute(predictions=["今天天气真好"], references=["今天天气很好"])
    assert got["chrf"] == pytest.approx(100 * (5 / 6 + 3 / 5 + 2 / 4 + 1 / 3 + 0 + 0) / 6, abs=1e-6)


def test_an_order_below_zero_is_an_error():
    with pytest.raises(InputError, match="chrf: word_order: wanted 0 or more, got -1"):
        load("chrf").compute(predictions=["a"], references=["a"], word_order=-1)
