import numpy as np
import pytest

from lmcompare.evaluation.baselines import (
    majority_class,
    nearest_neighbors,
    tfidf_classifier,
    tfidf_cosine,
)


def test_majority_gives_the_shares_of_the_training_labels():
    assert majority_class([0, 1, 1, 1], classes=3, items=2).tolist() == [
        [0.25, 0.75, 0],
        [0.25, 0.75, 0],
    ]


def test_tfidf_learns_words_and_chooses_on_validation():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 300).tolist()
    texts = [f"the film is {['bad', 'good'][label]} {rng.integers(9)}" for label in labels]
    test, validation, trials = tfidf_classifier(
        (texts[:200], labels[:200]), (texts[200:250], labels[200:250]), texts[250:]
    )
    assert test.shape == (50, 2)
    assert (test.argmax(1) == labels[250:]).all()
    assert validation.sum(1) == pytest.approx(1)
    best = max(trials.tried, key=lambda trial: trial["validation_accuracy"])
    assert trials.chosen["C"] == best["C"]


def test_tfidf_finds_words_in_a_script_without_spaces():
    # As one word between two commas, each of these texts would be unlike every other.
    labels = [i % 2 for i in range(120)]
    texts = [f"第{chr(0x4E00 + i)}本书真的很{'差好'[label]}看" for i, label in enumerate(labels)]
    test, _, _ = tfidf_classifier(
        (texts[:80], labels[:80]), (texts[80:100], labels[80:100]), texts[100:]
    )
    assert (test.argmax(1) == labels[100:]).all()


def test_the_cosine_of_tf_idf_is_of_shared_words_and_characters():
    train = ["a long film", "a short story", "北京的电影", "a dull film"]
    cosines = tfidf_cosine(
        train, [("a long film", "a long film"), ("long film", "short story"), ("北京", "北京的")]
    )
    assert cosines[0] == pytest.approx(1)
    assert 0 <= cosines[1] < cosines[2] < 1
    assert tfidf_cosine(train, [("", "film"), ("Ω", "Ω")]).tolist() == [0, 0]


def test_the_nearest_text_shares_the_rarest_words_in_any_script():
    known = ["a long film", "a short story", "北京的电影", "上海的书"]
    assert nearest_neighbors(known, ["the story of a", "film film", "看电影", "Ω"]).tolist() == [
        1,
        0,
        2,
        0,
    ]
