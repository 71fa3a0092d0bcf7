import pytest
import sacrebleu
from sacrebleu.metrics import TER

from lmcompare.metrics import load

SYSTEM = ["on the mat sat the cat", "It wasn't surprising.", "a b"]
REFERENCES = [["the cat sat on the mat"], ["It was not unexpected.", "It was no surprise."], [""]]


def test_it_equals_the_library():
    got = load("ter").compute(predictions=SYSTEM, references=REFERENCES, per_item=True)
    streams = [[right[0] for right in REFERENCES], [None, REFERENCES[1][1], None]]
    theirs = TER().corpus_score(SYSTEM, streams)
    assert got["ter"] == pytest.approx(theirs.score, abs=1e-6)
    expected = (
        f"nrefs:var|case:lc|tok:tercom|norm:no|punct:yes|asian:no|version:{sacrebleu.__version__}"
    )
    assert got["signature"] == expected


def test_a_phrase_that_moves_is_one_edit_and_items_add_up():
    got = load("ter").compute(predictions=SYSTEM, references=REFERENCES, per_item=True)
    edits, lengths = zip(*got["items"], strict=True)
    assert got["items"][0] == [2, 6.0] and got["items"][2] == [2, 0.0]
    assert got["ter"] == pytest.approx(100 * sum(edits) / sum(lengths), abs=1e-9)


def test_the_paper():
    # Snover et al. (2006), section 3: a shift, two substitutions and an insertion in a reference of
    # 13 words, 31%.
    got = load("ter").compute(
        predictions=["THIS WEEK THE SAUDIS denied information published in the new york times"],
        references=[
            "SAUDI ARABIA denied THIS WEEK information published in the AMERICAN new york times"
        ],
        per_item=True,
    )
    assert got["items"] == [[4, 13.0]]
    assert got["ter"] == pytest.approx(100 * 4 / 13, abs=1e-6)


def test_chinese_asks_for_its_option():
    given = {"predictions": ["今天天汽好"], "references": ["今天天气很好"]}
    assert load("ter").compute(**given)["ter"] == 100
    got = load("ter").compute(**given, chinese=True)
    assert got["ter"] == pytest.approx(100 * 2 / 6, abs=1e-6)
    assert "norm:yes" in got["signature"] and "asian:yes" in got["signature"]


def test_case():
    given = {"predictions": ["The cat"], "references": ["the cat"]}
    assert load("ter").compute(**given)["ter"] == 0
    assert load("ter").compute(**given, case_sensitive=True)["ter"] == 50
