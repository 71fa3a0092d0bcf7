from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmcompare.core.records import Record
from lmcompare.report import rendering
from lmcompare.report.analysis import analyze
from lmcompare.report.results import read
from lmcompare.report.sections.base import Section
from lmcompare.report.sections.hypothesis_cards import HypothesisCard, cards, sections

PLAIN = {
    "claim": "c",
    "task": "sentiment",
    "model": "masked",
    "reference": "causal",
    "of": "pretrained",
    "test": "superiority",
}


@pytest.fixture
def judged(
    synthetic: Callable[..., Any], tmp_path: Path
) -> Callable[..., dict[str, HypothesisCard]]:
    def make(
        gate: float = 0.9, seeds: tuple[int, ...] = (1, 2, 3, 4, 5, 6), **hypotheses: Any
    ) -> dict[str, HypothesisCard]:
        made = synthetic(items=400, seeds=seeds, gate=gate)
        made.settings["hypotheses"] = {name: {**PLAIN, **said} for name, said in hypotheses.items()}
        rows = read(made.write(tmp_path / "h"))
        return {
            card.name: card for card in cards(rows, [analyze(rows, task) for task in rows.tasks])
        }

    return make


BITS = {"task": "continuation", "model": "causal", "reference": "masked"}


def test_a_true_claim_and_its_opposite(judged: Callable[..., dict[str, HypothesisCard]]) -> None:
    """The causal model's bits per byte are lower by 0.2; lower is better."""
    found = judged(right=BITS, wrong={**BITS, "model": "masked", "reference": "causal"})
    assert found["right"].verdict.word == "SUPPORTED" and found["wrong"].verdict.word == "REFUTED"
    right, wrong = found["right"].difference, found["wrong"].difference
    assert right is not None and wrong is not None
    assert right.value == pytest.approx(-wrong.value) and 0.15 < right.value < 0.3
    assert (right.seeds, right.items) == (6, 400)


def test_no_worse_and_equal_go_by_the_smallest_effect(
    judged: Callable[..., dict[str, HypothesisCard]],
) -> None:
    found = judged(
        by_much={
            **BITS,
            "model": "masked",
            "reference": "causal",
            "test": "non_inferiority",
            "smallest_effect": 0.5,
        },
        by_little={
            **BITS,
            "model": "masked",
            "reference": "causal",
            "test": "non_inferiority",
            "smallest_effect": 0.05,
        },
        near={**BITS, "test": "equivalence", "smallest_effect": 0.5},
        far={**BITS, "test": "equivalence", "smallest_effect": 0.05},
    )
    words = {name: card.verdict.word for name, card in found.items()}
    assert words == {
        "by_much": "SUPPORTED",
        "by_little": "REFUTED",
        "near": "SUPPORTED",
        "far": "REFUTED",
    }
    assert all(card.holm < 0.05 for card in found.values())


def test_what_pretraining_added(judged: Callable[..., dict[str, HypothesisCard]]) -> None:
    found = judged(
        alone={"of": "gain", "reference": None},
        more={"of": "gain", "model": "masked", "reference": "causal"},
        over={"model": "causal", "reference": None, "control": "majority"},
    )
    assert found["alone"].verdict.word == "SUPPORTED" and found["over"].verdict.word == "SUPPORTED"
    one = found["more"].difference
    assert one is not None and 0 < one.value < 0.2
    text = rendering.section(Section("hypothesis_cards", {"cards": list(found.values())}))
    assert "over `causal` on sentiment, accuracy, % ↑, gain of pretraining over scratch" in text
    assert "**Contrast:** `causal` over majority class on sentiment" in text


def test_holm_is_over_all_claims(judged: Callable[..., dict[str, HypothesisCard]]) -> None:
    alone = judged(one={**BITS, "metric": "bits_per_byte"})["one"]
    many = judged(one=BITS, **{f"other{n}": PLAIN for n in range(9)})["one"]
    assert alone.difference == many.difference
    assert many.holm == pytest.approx(min(1, 10 * alone.holm))


def test_few_seeds_and_networks_that_did_not_converge_support_nothing(
    judged: Callable[..., dict[str, HypothesisCard]],
) -> None:
    assert judged(seeds=(1, 2, 3), one=BITS)["one"].verdict.word == "WEAKLY SUPPORTED"
    stuck = judged(gate=0.05, one=BITS)["one"]
    assert stuck.verdict.word == "INCONCLUSIVE" and not stuck.converged
    text = rendering.section(Section("hypothesis_cards", {"cards": [stuck]}))
    assert "**Convergence check:** **not passed**." in text


@pytest.mark.parametrize(
    ("gate", "rises", "word"),
    [
        (0.9, (0.5, 0.1), "SUPPORTED"),
        (0.25, (0.5, 0.1), "SUPPORTED"),
        (0.25, (0.1, 0.02), "INCONCLUSIVE"),
    ],
)
def test_pretraining_is_judged_by_its_lowest_validation_loss(
    synthetic: Callable[..., Any],
    tmp_path: Path,
    gate: float,
    rises: tuple[float, float],
    word: str,
) -> None:
    """The convergence check is of the lowest loss, not of where it ended."""
    made = synthetic(items=20, seeds=(1, 2, 3, 4, 5, 6), gate=gate)
    for model, rise in zip(("causal", "masked"), rises, strict=True):
        for seed in made.seeds:
            for metric, value in (("validation_rise", rise + seed / 1000), ("margin", gate)):
                made.records.append(
                    Record(
                        "sentiment",
                        model,
                        seed,
                        "pretraining",
                        "pretrained",
                        "validation",
                        "",
                        metric,
                        value,
                        "",
                    )
                )
    said = {
        **PLAIN,
        "task": "pretraining",
        "metric": "validation_rise",
        "direction": "lower",
        "smallest_effect": 0.05,
    }
    made.settings["hypotheses"] = {"H7": said}
    results = read(made.write(tmp_path / "h"))
    analyses = [analyze(results, task) for task in results.tasks]
    (card,) = cards(results, analyses)
    assert card.verdict.word == word
    assert card.difference is not None
    assert card.difference.value == pytest.approx(rises[0] - rises[1])
    text = rendering.section(sections(results, analyses)[1])
    assert "6 paired seeds; detectable" in text and "**Controls:** none was measured." in text


def test_the_first_page_has_a_line_for_each_hypothesis(
    synthetic: Callable[..., Any], tmp_path: Path
) -> None:
    made = synthetic(items=60)
    claim = {**PLAIN, "claim": "a | b", "citation": "Somebody 2020", "reported": "84 against 83"}
    made.settings["hypotheses"] = {"H1": claim}
    results = read(made.write(tmp_path / "h"))
    analyses = [analyze(results, task) for task in results.tasks]
    first, details = sections(results, analyses)
    assert first.first_page and not details.first_page
    assert "| H1 | a &#124; b | **" in rendering.section(first)
    assert [table.name for table in first.tables] == ["hypotheses"]
    text = rendering.section(details)
    assert "**H1: a &#124; b**" in text
    assert "- **Literature:** Somebody 2020: 84 against 83." in text

    made.settings["hypotheses"] = {}
    results = read(made.write(tmp_path / "none"))
    assert sections(results, []) == []
