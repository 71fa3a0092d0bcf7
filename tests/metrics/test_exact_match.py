from lmcompare.metrics import load


def test_any_right_answer_will_do():
    got = load("exact_match").compute(
        predictions=["the  Rhine.", "in Oslo", "", "北 京。"],
        references=[["Main", "Rhine"], ["Oslo"], [""], ["北京"]],
        per_item=True,
    )
    assert got == {"exact_match": 0.75, "items": [1.0, 0.0, 1.0, 1.0]}


def test_texts_as_they_are():
    metric = load("exact_match")
    assert metric.compute(predictions=["Rhine"], references=["rhine"], normalize=False) == {
        "exact_match": 0.0
    }
    assert metric.compute(predictions=["rhine"], references=["rhine"], normalize=False) == {
        "exact_match": 1.0
    }
