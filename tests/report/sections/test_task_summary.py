from dataclasses import replace
from pathlib import Path

import pytest

from lmcompare.core.records import Convergence
from lmcompare.report import rendering
from lmcompare.report.analysis import Comparison, TaskAnalysis, analyze
from lmcompare.report.results import Results, read
from lmcompare.report.sections import overview, setup
from lmcompare.report.sections.costs import budget, matched
from lmcompare.report.sections.task_summary import facts
from lmcompare.statistics import Limit, Reason, Verdict


@pytest.fixture
def rows(finished: Path) -> Results:
    return read(finished)


@pytest.fixture
def analysis(rows: Results) -> TaskAnalysis:
    return analyze(rows, rows.tasks[0])


def words(analysis: TaskAnalysis) -> str:
    return rendering.render("task_summary", facts(analysis))


def moved(one: Comparison, value: float, width: float = 0.01, holm: float = 0.001) -> Comparison:
    difference = replace(one.difference, value=value, low=value - width, high=value + width)
    return replace(one, difference=difference, holm=holm)


def control_line(analysis: TaskAnalysis, values: list[float], holm: float = 0.001) -> str:
    comparisons = [one for one in analysis.control_comparisons if one.second.startswith("tf-idf")]
    controls = [
        moved(one, value, holm=holm) for one, value in zip(comparisons, values, strict=True)
    ]
    text = words(replace(analysis, control_comparisons=controls))
    (line,) = (line for line in text.splitlines() if line.startswith("- TF-IDF"))
    return line.partition("): ")[2]


def test_who_is_better_than_a_control(analysis: TaskAnalysis) -> None:
    assert control_line(analysis, [-0.1, -0.2, -0.3]) == "**every model is significantly worse**."
    assert control_line(analysis, [0.1, 0.2, 0.3]) == "every model is significantly better."
    assert control_line(analysis, [-0.1, 0.0, 0.3]) == (
        "**`causal` significantly worse**; `masked` not significantly different; `seq2seq` significantly better."
    )
    assert control_line(analysis, [-0.1, 0.0, -0.3]) == (
        "**`causal` and `seq2seq` significantly worse**; `masked` not significantly different; "
        "**no model is significantly better**."
    )


def test_what_holm_takes_back_is_not_claimed(analysis: TaskAnalysis) -> None:
    assert control_line(analysis, [-0.1, -0.2, 0.3], holm=0.11) == (
        "`causal` and `masked` worse, but not significantly after Holm's correction; "
        "`seq2seq` better, but not significantly after Holm's correction; "
        "**no model is significantly better**."
    )
    gains = [moved(one, 0.05, holm=0.11) for one in analysis.gains]
    assert "from scratch: not significantly different (Holm-corrected) for `causal`" in words(
        replace(analysis, gains=gains)
    )


def test_pretraining_that_did_not_help_is_said_not_to(analysis: TaskAnalysis) -> None:
    values = (0.053, 0.003, -0.04)
    gains = [moved(one, value) for one, value in zip(analysis.gains, values, strict=True)]
    text = words(replace(analysis, gains=gains))
    assert "**significantly better** for `causal` (+5.3 points [4.3, 6.3]);" in text
    assert (
        "not significantly different (Holm-corrected) for `masked` (+0.3 points [−0.7, 1.3]);"
        in text
    )
    assert "**significantly worse** for `seq2seq` (−4.0 points [−5.0, −3.0]);" in text


WEAK = Verdict("WEAKLY SUPPORTED", Reason.EXCLUDES_ZERO, Limit.FEW_SEEDS)
OPEN = Verdict("INCONCLUSIVE", Reason.INCLUDES_ZERO)
EQUIVALENT = Verdict("EQUIVALENT", Reason.WITHIN_BOUNDS)


def test_the_headline(analysis: TaskAnalysis) -> None:
    best = max(analysis.of("pretrained"), key=lambda one: one.estimate.value).model
    others = [model for model in ("causal", "masked", "seq2seq") if model != best]

    def headline(*judged: tuple[Verdict, float]) -> str:
        comparisons = [
            replace(moved(analysis.comparisons[0], value), first=best, second=other, verdict=v)
            for other, (v, value) in zip(others, judged, strict=True)
        ]
        text = words(replace(analysis, comparisons=comparisons))
        return next(line for line in text.splitlines() if line.startswith("**"))

    weak, open_, equal = (WEAK, 0.05), (OPEN, 0.001), (EQUIVALENT, 0.001)
    names = f"`{others[0]}` and `{others[1]}`"
    assert headline(weak, weak).endswith(
        f"is significantly better than {names}: WEAKLY SUPPORTED.**"
    )
    assert headline(open_, open_).startswith("**INCONCLUSIVE: no model is significantly better.**")
    assert headline(equal, equal).endswith(f"is EQUIVALENT to {names}.**")
    assert headline(weak, equal).endswith(
        f"better than `{others[0]}`, not significantly different from `{others[1]}`.**"
    )


@pytest.mark.parametrize("seeds", [2, 3, 4, 5])
def test_a_small_effect_of_few_seeds_is_not_blamed_on_one_seed(
    analysis: TaskAnalysis, seeds: int
) -> None:
    """An interval inside the smallest effect that excludes 0, with 2 to 5 seeds."""
    judged = Verdict("INCONCLUSIVE", Reason.WITHIN_BOUNDS, Limit.FEW_SEEDS)
    one = moved(analysis.comparisons[0], 0.005, width=0.004)
    one = replace(one, verdict=judged, difference=replace(one.difference, seeds=seeds))
    text = words(replace(analysis, comparisons=[one]))
    assert "one seed" not in text
    assert f"{seeds} seeds are too few to call the models equivalent: INCONCLUSIVE" in text


def test_one_seed_says_nothing_about_others(analysis: TaskAnalysis) -> None:
    judged = Verdict("INCONCLUSIVE", Reason.BEYOND_EFFECT, Limit.ONE_SEED)
    one = replace(moved(analysis.comparisons[0], 0.05), verdict=judged)
    assert "one seed says nothing about other seeds: INCONCLUSIVE" in words(
        replace(analysis, comparisons=[one])
    )


def macro(name: str, *values: object) -> str:
    module = rendering.environment("markdown").get_template("macros.jinja").module
    return str(getattr(module, name)(*values)).strip()


def test_scale_and_seeds(rows: Results) -> None:
    scale = setup.scale(rows)
    assert macro("stamp", scale) == (
        "1.3 M to 2.4 M parameters, 1.0 M tokens, 2 seeds: do not extrapolate"
    )
    assert "cannot give p below 0.5" in macro("seeds_warning", scale)
    many = replace(
        rows, runs=[replace(run, seed=10 * n + run.seed) for n in range(3) for run in rows.runs]
    )
    assert macro("seeds_warning", setup.scale(many)) == ""


def test_convergence(rows: Results) -> None:
    text = macro("convergence", setup.convergence(rows), [])
    assert text.startswith("Every network passed the convergence check")
    failed = Convergence(6.7, 6.8, 0.3)
    runs = [
        replace(run, notes=replace(run.notes, convergence=failed))
        if run.cell == "pretrain/masked/2"
        else run
        for run in rows.runs
    ]
    plateau = replace(rows, runs=runs)
    text = macro("convergence", setup.convergence(plateau), [])
    assert text.startswith("**Convergence check failed** by `masked`:")
    analysis = analyze(plateau, plateau.tasks[1])
    assert {(one.first, one.second): one.word for one in analysis.comparisons} == {
        ("causal", "masked"): "INCONCLUSIVE",
        ("seq2seq", "masked"): "INCONCLUSIVE",
        ("causal", "seq2seq"): "WEAKLY SUPPORTED",
    }
    assert "a network failed the convergence check: INCONCLUSIVE" in words(analysis)
    assert overview.outcome(analysis).best == "causal"


def line(rows: Results, model: str) -> str:
    (section,) = setup.sections(rows, [])
    text = rendering.section(section)
    return next(x for x in text.splitlines() if x.startswith(f"- **{model}**")).partition(": ")[2]


def test_a_model_names_only_what_it_changes(rows: Results) -> None:
    assert line(rows, "causal") == "decoder, objective `causal`"
    rows.settings["models"]["masked"]["training"] = {"learning_rate": 0.002, "tokens": 1_000_000}
    assert line(rows, "masked").endswith("with its own training settings (`learning_rate 0.002`)")
    rows.settings["models"]["masked"]["tasks"] = []
    assert line(rows, "masked").endswith(", on no task")
    rows.settings["models"]["masked"]["tasks"] = ["sentiment"]
    assert line(rows, "masked").endswith(", on `sentiment` only")


def test_a_model_names_what_its_objective_is_made_of(rows: Results) -> None:
    stages = [
        {"objective": "causal", "share": 0.3},
        {"objective": {"kind": "masked", "mask_rate": 0.3}, "share": None},
    ]
    rows.settings["models"]["causal"]["objective"] = {"kind": "schedule", "stages": stages}
    assert line(rows, "causal") == (
        "decoder, objective `schedule` of 30% `causal`, `masked` (`mask_rate 0.3`)"
    )


def test_the_budget_flags_what_differs_by_more_than_5_percent(rows: Results) -> None:
    table = budget(rows)
    assert table is not None
    flags = dict(zip(table.frame["cost"], table.frame["ratio"], strict=True))
    assert flags["parameters"].text == "differs: 1.80 ×" and flags["corpus tokens read"] == "equal"
    agree, differ = matched(rows)
    assert "corpus tokens read" in agree and round(dict(differ)["training FLOPs"], 2) == 1.18
