"""What every metric of pairs promises, whatever it counts."""

import pytest

from lmcompare.core.errors import InputError
from lmcompare.metrics import load

TEXTS = ["bleu", "cer", "chrf", "exact_match", "rouge", "squad_f1", "ter", "wer"]
ERRORS = {"cer", "ter", "wer"}
SEVERAL = [name for name in TEXTS if name not in {"cer", "wer"}]
BEST = {"bleu": 100, "chrf": 100, "cer": 0, "ter": 0, "wer": 0}
WORST = {"cer": 1, "ter": 100, "wer": 1}


def score(name, predictions, references, **options):
    got = load(name).compute(predictions=predictions, references=references, **options)
    return got["rougeL" if name == "rouge" else name]


@pytest.mark.parametrize("name", TEXTS)
def test_the_right_texts_score_the_best_there_is(name):
    texts = ["the cat sat on the mat", "ten birds flew over a hill"]
    assert score(name, texts, texts) == pytest.approx(BEST.get(name, 1), abs=1e-9)


@pytest.mark.parametrize("name", TEXTS)
def test_empty_predictions_score_the_worst_without_a_warning(name):
    assert score(name, ["", ""], ["one two", "three"]) == WORST.get(name, 0)


@pytest.mark.parametrize("name", TEXTS)
def test_one_word_texts(name):
    right, wrong = score(name, ["Rhine"], ["Rhine"]), score(name, ["Oslo"], ["Rhine"])
    if name == "bleu":  # of a corpus without 4-grams it is 0: what the library says
        assert right == wrong == 0
    else:
        assert right == pytest.approx(BEST.get(name, 1), abs=1e-9)
        assert wrong > right if name in ERRORS else wrong < right


@pytest.mark.parametrize("name", TEXTS)
def test_items_of_equal_texts_are_the_best(name):
    items = load(name).compute(
        predictions=["a b c d e"] * 2, references=["a b c d e"] * 2, per_item=True
    )["items"]
    reference = {"rouge": [1.0] * 3, "wer": [0, 5], "cer": [0, 9], "ter": [0, 5.0]}.get(
        name, BEST.get(name, 1)
    )
    assert items == [pytest.approx(reference, abs=1e-9)] * 2


@pytest.mark.parametrize("name", SEVERAL)
def test_of_several_references_the_nearest_counts(name):
    predictions = ["the cat sat on the mat"]
    alone = score(name, predictions, ["a dog"])
    both = score(name, predictions, [["a dog", "the cat sat on the mat"]])
    assert both < alone if name in ERRORS else both > alone
    assert both == pytest.approx(BEST.get(name, 1), abs=1e-9)


@pytest.mark.parametrize("name", SEVERAL)
def test_items_may_differ_in_how_many_references_they_have(name):
    references = [["a b c d e", "f g h i j"], ["f g h i j"]]
    assert score(name, ["f g h i j"] * 2, references) == pytest.approx(BEST.get(name, 1), abs=1e-9)


@pytest.mark.parametrize("name", ["cer", "wer"])
def test_error_rates_take_one_reference(name):
    with pytest.raises(InputError, match=f"{name}: item 1: wanted one reference, got 2"):
        score(name, ["a", "b"], [["a"], ["a", "b"]])
    with pytest.raises(
        InputError, match=f"{name}: wanted references of one .* got only empty ones"
    ):
        score(name, ["a"], [" "])


@pytest.mark.parametrize("name", [*TEXTS, "pearson", "seqeval", "spearman"])
def test_counts_that_differ_are_an_error_that_leaves_nothing_behind(name):
    metric = load(name)
    given = {"seqeval": ["O"], "pearson": 0.5, "spearman": 0.5}.get(name, "a")
    with pytest.raises(
        InputError, match=f"{name}: wanted as many references as predictions, got 2 .* and 1 ref"
    ):
        metric.compute(predictions=[given] * 2, references=[given])
    with pytest.raises(
        InputError, match=f"{name}: wanted predictions and references, got only one"
    ):
        metric.compute(predictions=[given])
    assert metric.compute(predictions=[given] * 2, references=[given] * 2)


@pytest.mark.parametrize("name", TEXTS)
def test_what_is_no_text_is_an_error(name):
    with pytest.raises(InputError, match=f"{name}: item 1: wanted a text, got int"):
        score(name, ["a", 3], ["a", "b"])
    with pytest.raises(
        InputError, match=f"{name}: item 1: references: wanted one text or more, got \\[\\]"
    ):
        score(name, ["a", "b"], [["a"], []])
    with pytest.raises(
        InputError, match=f"{name}: item 0: references: wanted one text or more, got \\[None\\]"
    ):
        score(name, ["a"], [[None]])


@pytest.mark.parametrize("name", TEXTS)
def test_pairs_that_are_added_one_by_one_count_as_well(name):
    metric = load(name)
    metric.add(prediction="the cat sat on the mat", reference="the cat sat on the mat")
    metric.add(prediction="a b c d", reference=["a b c e"])
    texts = ["the cat sat on the mat", "a b c d"], ["the cat sat on the mat", "a b c e"]
    assert metric.compute() == load(name).compute(predictions=texts[0], references=texts[1])


@pytest.mark.parametrize("name", TEXTS)
def test_line_ends_of_windows_change_no_words(name):
    if name in {"bleu", "chrf", "exact_match", "rouge", "squad_f1", "ter", "wer"}:
        predictions, reference = "the cat sat\r\non the mat\r\n", "the cat sat on the mat"
        options = {"tokenize": "none"} if name == "bleu" else {}
        assert score(name, [predictions], [reference], **options) == pytest.approx(
            BEST.get(name, 1), abs=1e-9
        )
