"""The pieces that only some experiments have: each where its rows are, none where they are not."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lmcompare.report.sections._former_section import Section

from lmcompare.report.analysis import TaskAnalysis, analyze
from lmcompare.report.page import Page
from lmcompare.report.results import Results, read
from lmcompare.report.sections import ablations as variants
from lmcompare.report.sections import calibration as reliability
from lmcompare.report.sections import disagreements, diversity, latency, overfitting, samples
from lmcompare.report.sections import loss_by_position as positions
from lmcompare.report.sections import quality_per_flop as quality
from lmcompare.report.sections import right_context as sides
from lmcompare.report.sections import seed_variance as luck

Maker = Callable[..., Any]
ARMS = ("causal", "masked", "seq2seq")


@pytest.fixture(scope="module")
def plain(finished: Path) -> tuple[Results, list[TaskAnalysis]]:
    rows = read(finished)
    return rows, [analyze(rows, task) for task in rows.tasks]


@pytest.fixture
def rich(synthetic: Maker, tmp_path: Path) -> tuple[Results, list[TaskAnalysis]]:
    """Rows of every kind, on a corpus that was read three times."""
    made = synthetic(items=40)
    correct = {
        (r.model, r.seed, r.condition, r.item): r.value
        for r in made.records
        if r.metric == "correct" and r.condition != "control"
    }
    for (model, seed, condition, item), right in correct.items():
        sure = 0.95 if right else 0.62
        record = replace(
            made.records[0],
            model=model,
            seed=seed,
            task="sentiment",
            condition=condition,
            split="test",
        )
        made.records.append(
            replace(record, item=item, metric="confidence", value=sure, exactness="")
        )
    for place, model in enumerate(ARMS):
        for seed in made.seeds:
            for number, part in enumerate(("1-4", "5-16", "17-32")):
                exactness = "pseudo" if model == "masked" else "exact"
                value = 8.0 + place - number + 0.1 * seed
                made.record(
                    model,
                    seed,
                    "continuation",
                    "pretrained",
                    "bits_per_token",
                    value,
                    exactness,
                    part=f"position/{part}",
                )
            for tokens in (8, 64):
                for metric, factor in (("latency_p50", 1.0), ("latency_p95", 1.5)):
                    value = 0.001 * tokens * factor * (1 + place) + 0.0002 * seed
                    made.record(
                        model,
                        seed,
                        "continuation",
                        "pretrained",
                        metric,
                        value,
                        part=f"tokens/{tokens}",
                    )
    made.runs = [
        replace(run, costs={**run.costs, "epochs": 3.0}) if run.task == "pretraining" else run
        for run in made.runs
    ]
    rows = read(made.write(tmp_path / "rich"))
    return rows, [analyze(rows, task) for task in rows.tasks]


def there(block: Section | None) -> Section:
    assert block is not None and block.table is not None
    return block


def test_rows_that_are_not_there_make_no_piece(plain: tuple[Results, list[TaskAnalysis]]) -> None:
    rows, (sentiment, continuation) = plain
    assert (
        reliability.block(rows, sentiment) is None and positions.block(rows, continuation) is None
    )
    assert latency.block(rows, continuation) is None and disagreements.block(continuation) is None
    assert variants.labels(rows, [sentiment]) == variants.masks(rows, [sentiment]) == []
    bare = Results(rows.settings, [run for run in rows.runs if not run.curve], rows.records)
    assert overfitting.block(bare) is None and quality.block(bare, [sentiment]) is None


def test_bins_are_those_of_ece() -> None:
    frame = reliability.binned([0.99, 0.97, 0.55], [1, 0, 1])
    assert frame[["bin", "items", "accuracy"]].to_numpy().tolist() == [
        [9.0, 1.0, 1.0],
        [15.0, 2.0, 0.5],
    ]
    # The example of the metric: bins (0.4667, 0.5333], (0.7333, 0.8] and (0.9333, 1]; its ECE is 0.25.
    frame = reliability.binned([1.0, 0.75, 0.75, 0.5], [1, 0, 1, 1])
    assert (frame["items"] * (frame["accuracy"] - frame["confidence"]).abs()).sum() / 4 == 0.25


def test_reliability(rich: tuple[Results, list[TaskAnalysis]]) -> None:
    rows, (sentiment, _) = rich
    block = there(reliability.block(rows, sentiment))
    assert block.figure is not None and block.folded == "table" and block.table is not None
    frame = block.table.numbers
    whole = frame[
        (frame["model"] == "causal") & (frame["condition"] == "scratch") & frame["seed"].isna()
    ]
    # What is right is sure by 0.95, what is wrong by 0.62: two bins, of which one is always right.
    assert whole["accuracy"].tolist() == [0.0, 1.0] and whole[
        "confidence"
    ].tolist() == pytest.approx([0.62, 0.95])
    assert whole["items"].sum() == 80
    assert ["`causal`", "scratch", "0.933 to 1.000"] in [row[:3] for row in block.table.rows]


def test_loss_by_position_leaves_out_what_is_no_probability(
    rich: tuple[Results, list[TaskAnalysis]],
) -> None:
    rows, (_, continuation) = rich
    block = there(positions.block(rows, continuation))
    assert block.table is not None and block.table.headings[2:] == [
        "tokens 1-4",
        "tokens 5-16",
        "tokens 17-32",
    ]
    assert block.table.rows == [
        ["`causal`", "exact", "8.15", "7.15", "6.15"],
        ["`seq2seq`", "exact", "10.15", "9.15", "8.15"],
    ]
    assert "Left out, being no probabilities: masked." in block.text and block.figure is not None


def test_latency_by_length(rich: tuple[Results, list[TaskAnalysis]]) -> None:
    rows, (_, continuation) = rich
    block = there(latency.block(rows, continuation))
    assert block.table is not None and block.table.headings == [
        "model",
        "8 tokens, ms",
        "64 tokens, ms",
    ]
    assert block.table.rows[1] == ["`masked`", "16.3 / 24.3", "128.3 / 192.3"]


def test_overfitting_is_drawn_where_a_text_was_read_twice(
    rich: tuple[Results, list[TaskAnalysis]], plain: tuple[Results, list[TaskAnalysis]]
) -> None:
    block = there(overfitting.block(rich[0]))
    assert block.figure is not None and block.folded == "table"
    frame = overfitting.paired(rich[0])
    assert frame["epochs"].max() == pytest.approx(3 * 0.998, abs=0.05)
    last = frame[(frame["model"] == "causal") & (frame["seed"] == 1)].tail(3)
    assert (
        block.table is not None
        and block.table.rows[0][4].replace("−", "-") == f"{last['gap'].mean():.3f}"
    )
    once = there(overfitting.block(plain[0]))
    assert (
        once.figure is None
        and once.folded == "all"
        and "No text was read twice (0.14 passes" in once.text
    )


def test_disagreements_count_items(plain: tuple[Results, list[TaskAnalysis]]) -> None:
    rows, (sentiment, _) = plain
    block = there(disagreements.block(sentiment))
    assert block.table is not None
    wide = {
        model: rows.values("sentiment", model, "pretrained", "correct").pivot(
            index="item", columns="seed", values="value"
        )
        for model in ARMS
    }
    row = block.table.numbers.query("first == 'causal' and second == 'masked' and seed == 2").iloc[
        0
    ]
    a, b = wide["causal"][2] == 1, wide["masked"][2] == 1
    assert (row["both_right"], row["first_alone"]) == ((a & b).sum(), (a & ~b).sum())
    assert row[["both_right", "first_alone", "second_alone", "both_wrong"]].sum() == 240
    pairs = [cells[0] for cells in block.table.rows]
    assert pairs[:3] == [
        "`causal` and `masked`",
        "`causal` and `seq2seq`",
        "`masked` and `seq2seq`",
    ]
    assert (
        pairs[3] == "`causal` and TF-IDF + logistic regression"
        and pairs[-1] == "`seq2seq` and itself, another seed"
    )
    alone = block.table.numbers.query("first == second and first == 'seq2seq'").iloc[0]
    assert alone["first_alone"] == ((wide["seq2seq"][1] == 1) & (wide["seq2seq"][2] == 0)).sum()


def test_quality_per_flop(plain: tuple[Results, list[TaskAnalysis]]) -> None:
    rows, found = plain
    block = there(quality.block(rows, found))
    assert block.table is not None and block.figure is not None
    frame = block.table.numbers.set_index(["task", "model"])
    gain = {lead.first: lead.difference.value for lead in found[0].gains}
    assert frame.loc[("sentiment", "masked"), "over_scratch_per_tflop"] == pytest.approx(
        gain["masked"] / 7.05
    )
    assert np.isnan(frame.loc[("continuation", "masked"), "over_scratch_per_tflop"])
    assert frame.loc[("continuation", "causal"), "floor"] == "unigram"
    assert "read the figure first" in block.text
    many = there(quality.block(rows, [*found, *([found[0]] * quality.PANELS)]))
    assert many.figure is None and "figure" not in many.text


def test_quality_against_diversity_has_the_judge_of_the_other_table(
    plain: tuple[Results, list[TaskAnalysis]],
) -> None:
    rows, found = plain
    (block,) = diversity.blocks(rows, found)
    assert block.folded == "all" and block.table is not None
    judged = found[1].judged["causal"].estimate.value
    assert block.table.rows[0][0] == "`causal`" and block.table.rows[0][-1] == f"{judged:.2f}"
    assert block.table.rows[-1][0] == "reference text"


def varied(
    rows: Results, found: TaskAnalysis, key: str, values: list[Any]
) -> tuple[Results, list[TaskAnalysis]]:
    """The same task once more for each value of a setting."""
    tasks: dict[str, Any] = {}
    copies = []
    for value in values:
        name = f"{found.task.name} {value}"
        tasks[name] = {
            "kind": found.task.kind,
            **({"adaptation": {"attention": value}} if key == "mask" else {}),
        }
        tasks[name] |= {} if key == "mask" else {key: value}
        copies.append(replace(found, task=replace(found.task, name=name)))
    runs = [
        replace(run, task=name, notes=replace(run.notes, counts={"train_items": 7 * (place + 1)}))
        for place, name in enumerate(tasks)
        for run in rows.runs
        if run.task == found.task.name
    ]
    frames = [
        rows.records[rows.records["task"] == found.task.name].assign(task=name) for name in tasks
    ]
    return Results(
        {**rows.settings, "tasks": tasks}, [*rows.runs, *runs], pd.concat(frames)
    ), copies


def test_tasks_that_differ_in_one_setting_alone_are_set_side_by_side(
    plain: tuple[Results, list[TaskAnalysis]],
) -> None:
    rows, (sentiment, continuation) = plain
    by_mask = variants.masks(*varied(rows, sentiment, "mask", ["own", "bidirectional"]))
    assert [block.name for block in by_mask] == ["masks-sentiment-own"] and by_mask[
        0
    ].figure is not None
    assert there(by_mask[0]).table.headings == [
        "model",
        "condition",
        "own mask",
        "bidirectional mask",
    ]  # type: ignore[union-attr]
    (labels,) = variants.labels(*varied(rows, sentiment, "items", [100, 200]))
    assert there(labels).table.headings[2:] == ["7 training items", "14 training items"]  # type: ignore[union-attr]
    assert labels.figure is not None and "All are asked the same test items." in labels.text
    (warm,) = diversity.blocks(*varied(rows, continuation, "temperature", [0.7, 1.0]))
    assert warm.folded == "table" and there(warm).table.rows[1][1] == "1"  # type: ignore[union-attr]
    two, copies = varied(rows, sentiment, "items", [100, 200])
    two.settings["tasks"]["sentiment 200"] |= {"test": 0.5, "adaptation": {"epochs": 10}}
    (labels,) = variants.labels(two, copies)
    assert (
        "which differ in the number of labelled items, and with it in test and epochs."
        in labels.text
    )
    two.settings["tasks"]["sentiment 200"]["seed"] = 9
    assert variants.labels(two, copies) == [], "a seed does not follow the number of labels"


def test_a_page_with_every_piece_is_in_order(rich: tuple[Results, list[TaskAnalysis]]) -> None:
    rows, found = rich
    page = Page(rows, found)
    text = page.markdown()
    order = ["**Reliability.**", "Paired disagreements", "**Loss by position.**", "**Samples**", "## Learning",
             "**Overfitting", "## Budget", "## Efficiency", "**Quality per FLOP.**", "**Latency against length",
             "**Exploratory**", "## Contested points", "## Limits"]  # fmt: skip
    places = [text.index(part) for part in order]
    assert places == sorted(places) and "## One setting varied" not in text
    assert "bits_per_token/position" not in text and "latency_p50" not in text
    for name in (
        "reliability-sentiment",
        "positions-continuation",
        "latency-continuation",
        "overfitting",
    ):
        assert f"figures/{name}.png" in page.files() and f"tables/{name}.csv" in page.files()


def test_the_luck_of_a_seed_is_told_of_four_seeds_or_more(synthetic: Maker, plain: tuple[Results, list[TaskAnalysis]],
                                                         tmp_path: Path) -> None:  # fmt: skip
    assert not any(luck.block(found) for found in plain[1])
    rows = read(synthetic(items=40, seeds=(1, 2, 3, 4, 5)).write(tmp_path / "five"))
    for found in [analyze(rows, task) for task in rows.tasks]:
        one = luck.block(found)
        assert one is not None and one.table is not None
        frame = one.table.numbers.set_index(["model", "other"])
        causal, masked = (
            np.array(found.measured[model, "pretrained"].per_seed) for model in ("causal", "masked")
        )
        assert frame.loc[("causal", "masked"), "iqm"] == pytest.approx(np.sort(causal)[1:-1].mean())
        gaps = (causal[:, None] - masked) * (1 if found.task.better == "higher" else -1)
        share = (np.sign(gaps).mean() + 1) / 2
        assert frame.loc[("causal", "masked"), "probability_of_improvement"] == pytest.approx(share)
        both = frame["probability_of_improvement"]
        assert both["causal", "masked"] + both["masked", "causal"] == pytest.approx(1)
        assert one.name in one.table.name and "5 seeds of each model" in one.markdown


def test_what_the_right_side_is_worth(synthetic: Maker, tmp_path: Path) -> None:
    made = synthetic(items=40)
    for run in made.runs:
        if run.task == "continuation":
            run.notes.task.per_item["bits_per_byte_left"] = ("bits_left", "bytes")
    size = {r.item: r.value for r in made.records if r.metric == "bytes"}
    for record in [
        r
        for r in made.records
        if r.metric == "bits" and r.model in ("masked", "seq2seq") and r.seed
    ]:
        more = 0.25 * size[record.item] if record.model == "masked" else 0.0
        made.records.append(replace(record, metric="bits_left", value=record.value + more))
    made.settings["hypotheses"] = {
        model: {
            "claim": "The right side helps.",
            "task": "continuation",
            "model": model,
            "reference": "causal",
        }
        for model in ("masked", "causal")
    }
    rows = read(made.write(tmp_path / "gap"))
    sentiment, continuation = [analyze(rows, task) for task in rows.tasks]
    assert sides.block(rows, sentiment) is None
    one = sides.block(rows, continuation)
    assert one is not None and one.table is not None
    worth = one.table.numbers.set_index("model")["worth"]
    assert worth.to_dict() == pytest.approx({"masked": 0.25, "seq2seq": 0.0})
    text = Page(rows, [sentiment, continuation]).markdown()
    assert text.count("**What the right side is worth.**") == 1
    assert text.count("what stands to the right of a gap is worth +0.250") == 1


def test_one_text_under_every_prompt_is_no_answer(synthetic: Maker, tmp_path: Path) -> None:
    made = synthetic(items=40)
    made.settings["hypotheses"] = {
        model: {
            "claim": "It writes better.",
            "task": "continuation",
            "model": model,
            "reference": "causal",
        }
        for model in ("masked", "seq2seq")
    }
    rows = read(made.write(tmp_path / "rows"))
    found = [analyze(rows, task) for task in rows.tasks]
    assert samples.constant(rows, "continuation") == {"seq2seq": "2 of 2 seeds"}
    assert samples.constant(rows, "sentiment") == {} and samples.warned(rows, "sentiment") == ""
    text = Page(rows, found).markdown()
    assert (
        text.count(
            "- **One text under every prompt** of the samples below: `seq2seq` (2 of 2 seeds)."
        )
        == 1
    )
    assert (
        text.count("; it wrote one text under every prompt of its samples, with 2 of 2 seeds.") == 1
    )

    def of_seq2seq(
        changed: Callable[[dict[str, Any]], dict[str, Any]], seeds: tuple[int, ...]
    ) -> dict[str, str]:
        runs = [
            replace(run, samples=[changed(one) for one in run.samples])
            if (run.model, run.task) == ("seq2seq", "continuation") and run.seed in seeds
            else run
            for run in rows.runs
        ]
        return samples.constant(replace(rows, runs=runs), "continuation")

    assert of_seq2seq(lambda one: one | {"text": one["prompt"]}, (1,)) == {}, (
        "no more than half of the seeds"
    )
    assert of_seq2seq(lambda one: one | {"reference": "yes"}, (1, 2)) == {}, (
        "where one answer is right"
    )
