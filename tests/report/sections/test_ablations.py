from dataclasses import replace
from typing import Any

import pandas as pd

from lmcompare.report import rendering
from lmcompare.report.analysis import TaskAnalysis
from lmcompare.report.results import Results
from lmcompare.report.sections import ablations, diversity


def varied(
    results: Results, analysis: TaskAnalysis, key: str, values: list[Any]
) -> tuple[Results, list[TaskAnalysis]]:
    """The same task once more for each value of a setting."""
    tasks: dict[str, Any] = {}
    copies = []
    for value in values:
        name = f"{analysis.task.name} {value}"
        tasks[name] = {
            "kind": analysis.task.kind,
            **({"adaptation": {"attention": value}} if key == "mask" else {}),
        }
        tasks[name] |= {} if key == "mask" else {key: value}
        copies.append(replace(analysis, task=replace(analysis.task, name=name)))
    runs = [
        replace(run, task=name, notes=replace(run.notes, counts={"train_items": 7 * (place + 1)}))
        for place, name in enumerate(tasks)
        for run in results.runs
        if run.task == analysis.task.name
    ]
    frames = [
        results.records[results.records["task"] == analysis.task.name].assign(task=name)
        for name in tasks
    ]
    return Results(
        {**results.settings, "tasks": tasks}, [*results.runs, *runs], pd.concat(frames)
    ), copies


def test_tasks_that_differ_in_the_mask_alone_are_an_ablation(
    plain: tuple[Results, list[TaskAnalysis]],
) -> None:
    results, (sentiment, _) = plain
    (section,) = ablations.sections(*varied(results, sentiment, "mask", ["own", "bidirectional"]))
    assert section.facts["figure"].name == section.facts["table"].name == "masks-sentiment-own"
    assert "| model | condition | own mask | bidirectional mask |" in rendering.section(section)


def test_tasks_that_differ_in_labels_show_label_efficiency(
    plain: tuple[Results, list[TaskAnalysis]],
) -> None:
    results, (sentiment, _) = plain
    (section,) = ablations.sections(*varied(results, sentiment, "items", [100, 200]))
    text = rendering.section(section)
    assert "| 7 training items | 14 training items |" in text
    assert section.facts["figure"] is not None and "All have the same test items." in text

    two, copies = varied(results, sentiment, "items", [100, 200])
    two.settings["tasks"]["sentiment 200"] |= {"test": 0.5, "adaptation": {"epochs": 10}}
    (section,) = ablations.sections(two, copies)
    expected = "differ in the number of labeled items, and with it in test and epochs."
    assert expected in rendering.section(section)
    two.settings["tasks"]["sentiment 200"]["seed"] = 9
    assert ablations.sections(two, copies) == [], "a seed does not follow the number of labels"


def test_tasks_that_differ_in_temperature_show_quality_against_diversity(
    plain: tuple[Results, list[TaskAnalysis]],
) -> None:
    results, (_, continuation) = plain
    (section,) = diversity.sections(*varied(results, continuation, "temperature", [0.7, 1.0]))
    assert section.task == "" and section.facts["table"].frame["temperature"][1] == "1"


def test_one_task_is_no_ablation(plain: tuple[Results, list[TaskAnalysis]]) -> None:
    results, (sentiment, _) = plain
    assert ablations.sections(results, [sentiment]) == []
