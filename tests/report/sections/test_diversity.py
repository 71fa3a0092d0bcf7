from lmcompare.report.analysis import TaskAnalysis
from lmcompare.report.results import Results
from lmcompare.report.sections import diversity


def test_the_judge_is_that_of_the_table_of_generations(
    plain: tuple[Results, list[TaskAnalysis]],
) -> None:
    results, analyses = plain
    (section,) = diversity.sections(results, analyses)
    lines = section.facts["table"].markdown.splitlines()[2:]
    judge = analyses[1].judge_scores["causal"].estimate.value
    assert section.task == "continuation"
    assert lines[0].startswith("| `causal` |") and lines[0].endswith(f"| {judge:.2f} |")
    assert lines[-1].startswith("| reference text |")
