import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import accuracy_score, f1_score, precision_score, recall_score
from seqeval.scheme import IOB2

from lmcompare.core.errors import InputError
from lmcompare.metrics import load

# The example of seqeval's README.
TRUE = [["O", "O", "O", "B-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]
SAID = [["O", "O", "B-MISC", "I-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]
TAGS = st.sampled_from(["O", "B-A", "I-A", "B-B", "I-B"])
TEXTS = st.lists(st.lists(st.tuples(TAGS, TAGS), max_size=6), min_size=1, max_size=4).filter(any)


def test_the_published_example():
    got = load("seqeval").compute(predictions=SAID, references=TRUE, per_type=True, per_item=True)
    assert got["f1"] == 0.5 and got["accuracy"] == 0.8
    assert got["f1_MISC"] == 0 and got["f1_PER"] == 1
    assert got["items"] == [[0, 1, 1], [1, 1, 1]]


@pytest.mark.parametrize("scheme", [None, "IOB2"])
@settings(deadline=None, max_examples=50)
@given(texts=TEXTS)
def test_it_equals_the_library_and_items_add_up(scheme, texts):
    predictions, references = ([[pair[side] for pair in text] for text in texts] for side in (0, 1))
    got = load("seqeval").compute(
        predictions=predictions, references=references, scheme=scheme, per_item=True
    )
    strict = {"mode": "strict", "scheme": IOB2} if scheme else {}
    for name, score in (("f1", f1_score), ("precision", precision_score), ("recall", recall_score)):
        assert got[name] == pytest.approx(
            score(references, predictions, zero_division=0, **strict), abs=1e-9
        )
    assert got["accuracy"] == pytest.approx(accuracy_score(references, predictions), abs=1e-9)
    hits, predicted, true = (sum(column) for column in zip(*got["items"], strict=True))
    assert got["f1"] == pytest.approx(
        2 * hits / (predicted + true) if predicted + true else 0, abs=1e-9
    )


def test_a_perfect_tagger_and_one_that_finds_nothing():
    metric = load("seqeval")
    assert metric.compute(predictions=TRUE, references=TRUE)["f1"] == 1
    got = metric.compute(predictions=[["O"] * 7, ["O"] * 3], references=TRUE)
    assert (got["f1"], got["precision"], got["recall"], got["accuracy"]) == (0, 0, 0, 0.5)


def test_texts_without_an_entity_or_a_word_and_of_one_word():
    got = load("seqeval").compute(
        predictions=[["O"], []], references=[["O"], []], per_type=True, per_item=True
    )
    assert got == {
        "f1": 0,
        "precision": 0,
        "recall": 0,
        "accuracy": 1,
        "items": [[0, 0, 0], [0, 0, 0]],
    }


def test_an_entity_that_nothing_began_counts_unless_a_scheme_is_named():
    given = {"predictions": [["I-PER", "O"]], "references": [["B-PER", "O"]]}
    assert load("seqeval").compute(**given)["f1"] == 1
    assert load("seqeval").compute(**given, scheme="IOB2")["f1"] == 0


def test_a_type_that_is_only_predicted():
    got = load("seqeval").compute(
        predictions=[["B-NEW", "O"]], references=[["O", "B-LOC"]], per_type=True
    )
    assert got["f1_NEW"] == got["f1_LOC"] == got["f1"] == 0


@pytest.mark.parametrize(
    ("predictions", "references", "options", "message"),
    [
        ([["O"], ["O", "O"]], [["O"], ["O"]], {}, "item 1: wanted 1 tags, as many as words, got 2"),
        (
            [["NOUN"]],
            [["O"]],
            {},
            "item 0: wanted O or a tag that begins with B-, I-, E-, S-, got 'NOUN'",
        ),
        ([[""]], [["O"]], {}, "item 0: wanted O or a tag .*, got ''"),
        ([["S-PER"]], [["O"]], {"scheme": "IOB2"}, "begins with B-, I-, got 'S-PER'"),
        ([["O"]], [["O"]], {"scheme": "IOB"}, "scheme: wanted one of .* got 'IOB'; did you mean"),
        ([[]], [[]], {}, "wanted texts of one word or more"),
    ],
)
def test_what_cannot_be(predictions, references, options, message):
    with pytest.raises(InputError, match=f"seqeval: {message}" if ":" in message[:8] else message):
        load("seqeval").compute(predictions=predictions, references=references, **options)
