import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcompare.report.formatting import (
    control_title,
    counted,
    engineering,
    fitting_decimals,
    interval,
    joined,
    metric_format,
    plain,
    probability,
    shortened,
    signed,
)


@pytest.mark.parametrize(
    ("value", "unit", "wanted"),
    [
        (1_234_567, "", "1.23 M"),
        (999_999, "tokens", "1.00 M tokens"),
        (999_424, "", "999 k"),
        (3.2e12, "FLOPs", "3.20 TFLOPs"),
        (512, "", "512"),
        (4, "", "4"),
        (0, "", "0"),
        (12.345, "", "12.3"),
        (0.0049, "s", "4.90 ms"),
        (1.21e9, "B", "1.21 GB"),
        (9.999, "", "10.0"),
        (float("nan"), "B", "–"),
    ],
)
def test_engineering(value: float, unit: str, wanted: str) -> None:
    assert engineering(value, unit) == wanted


@given(st.floats(1e-8, 1e20))
def test_engineering_is_right_to_three_digits(value: float) -> None:
    number, _, prefix = engineering(value).partition(" ")
    scale = {
        "n": 1e-9,
        "µ": 1e-6,
        "m": 1e-3,
        "": 1,
        "k": 1e3,
        "M": 1e6,
        "G": 1e9,
        "T": 1e12,
        "P": 1e15,
        "E": 1e18,
    }
    assert float(number) * scale[prefix] == pytest.approx(value, rel=6e-3)
    assert 1 <= float(number) < 1000


def test_numbers() -> None:
    assert plain(-0.126, 2) == "−0.13" and plain(-0.001, 1) == "0.0" and plain(math.nan, 1) == "–"
    assert (
        signed(0.126, 2) == "+0.13" and signed(-0.126, 2) == "−0.13" and signed(0.001, 2) == "0.00"
    )
    assert interval(71.23, 69.84, 72.61, 1) == "71.2 [69.8, 72.6]"
    assert interval(2.1, -0.3, 4.5, 1, sign=True) == "+2.1 [−0.3, 4.5]"
    assert interval(0.5, math.nan, math.nan, 2) == "0.50"
    assert [probability(p) for p in (0.0002, 0.0321, 0.41, 1.0, math.nan)] == [
        "< 0.001",
        "0.032",
        "0.41",
        "1.00",
        "–",
    ]


def test_decimals_fit_the_interval() -> None:
    assert fitting_decimals([1.4, 2.3], 1) == 1
    assert fitting_decimals([0.031], 3) == 3
    assert fitting_decimals([0.0031], 1) == 4
    assert fitting_decimals([37.0], 1) == 1, "a wide interval leaves the value readable"
    assert fitting_decimals([], 2) == 2 and fitting_decimals([math.nan, 0.0], 3) == 3


def test_words() -> None:
    assert joined(["a"]) == "a" and joined(["a", "b", "c"]) == "a, b and c" and joined([]) == ""
    assert counted(1, "seed") == "1 seed" and counted(1066, "item") == "1,066 items"
    assert (
        shortened("one two three", 8) == "one two …"
        and shortened("one two three", 8, keep="end") == "… three"
    )
    assert shortened(" one\n two ", 8) == "one two"
    assert control_title("tf-idf + logistic regression") == "TF-IDF + logistic regression"


def test_headings_say_unit_and_direction() -> None:
    assert (
        metric_format("accuracy").heading == "accuracy, % ↑"
        and metric_format("accuracy").points == "points"
    )
    assert metric_format("f1").heading == "F1, % ↑" and metric_format("recall").points == "points"
    assert metric_format("bits_per_byte").heading == "bits per byte ↓"
    assert metric_format("new_score", "lower").heading == "new score ↓"


def test_every_metric_of_written_texts_has_a_name_and_a_direction() -> None:
    better = {
        name: metric_format(name).better
        for name in ("chrf", "corpus_chrf", "bleu", "rougeL", "exact_match", "squad_f1")
    }
    assert set(better.values()) == {"higher"}
    assert (metric_format("chrf").title, metric_format("ter").heading) == ("chrF", "TER ↓")
