import pytest
from rouge_score.rouge_scorer import RougeScorer

from lmcompare.core.errors import InputError
from lmcompare.metrics import load

TYPES = ["rouge1", "rouge2", "rougeL"]
SYSTEM = ["The quick brown dog jumps on the log.", "friends were meeting", ""]
REFERENCES = [
    ["The quick brown fox jumps over the lazy dog", "A dog jumped."],
    ["the friends had a meeting", "a friend met"],
    ["silence"],
]


@pytest.mark.parametrize("stem", [False, True])
def test_it_equals_the_library(stem):
    got = load("rouge").compute(predictions=SYSTEM, references=REFERENCES, stem=stem, per_item=True)
    scorer = RougeScorer(TYPES, use_stemmer=stem)
    each = [scorer.score_multi(right, text) for text, right in zip(SYSTEM, REFERENCES, strict=True)]
    for column, kind in enumerate(TYPES):
        theirs = [best[kind].fmeasure for best in each]
        assert [item[column] for item in got["items"]] == pytest.approx(theirs, abs=1e-6)
        assert got[kind] == pytest.approx(sum(theirs) / 3, abs=1e-6)


def test_lins_example():
    # Lin (2004), section 3.1: S1 "police killed the gunman", S2 and S3; ROUGE-L 0.75 and 0.5.
    s1 = "police killed the gunman"
    got = load("rouge").compute(
        predictions=["police kill the gunman", "the gunman kill police"],
        references=[s1, s1],
        per_item=True,
    )
    assert [item[2] for item in got["items"]] == [0.75, 0.5]


@pytest.mark.parametrize("tokenizer", ["latin", "any"])
def test_english_is_the_same_by_either_tokenizer(tokenizer):
    got = load("rouge").compute(predictions=SYSTEM, references=REFERENCES, tokenizer=tokenizer)
    assert got == load("rouge").compute(predictions=SYSTEM, references=REFERENCES)


def test_chinese_characters_are_words():
    got = load("rouge").compute(
        predictions=["今天天气真好。"], references=["今天天气很好"], tokenizer="any"
    )
    assert got == pytest.approx({"rouge1": 5 / 6, "rouge2": 3 / 5, "rougeL": 5 / 6}, abs=1e-9)


def test_a_tokenizer_that_would_drop_the_text_is_an_error():
    with pytest.raises(
        InputError,
        match="rouge: item 1: wanted a reference in Latin letters, got '2024年北京'.*'any'",
    ):
        load("rouge").compute(predictions=["a", "2024"], references=["a", "2024年北京"])


def test_options_that_cannot_be():
    with pytest.raises(InputError, match="rouge: tokenizer: .* got 'latn'; did you mean 'latin'"):
        load("rouge").compute(predictions=["a"], references=["a"], tokenizer="latn")
    with pytest.raises(InputError, match="rouge: stem: wanted tokenizer 'latin'"):
        load("rouge").compute(predictions=["a"], references=["a"], tokenizer="any", stem=True)
