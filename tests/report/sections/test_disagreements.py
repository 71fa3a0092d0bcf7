from lmcompare.report.analysis import TaskAnalysis
from lmcompare.report.results import Results
from lmcompare.report.sections import disagreements
from tests.report.sections.conftest import MODELS


def test_disagreements_count_items(plain: tuple[Results, list[TaskAnalysis]]) -> None:
    results, analyses = plain
    (section,) = disagreements.sections(results, analyses)
    table = section.facts["table"]
    wide = {
        model: results.values("sentiment", model, "pretrained", "correct").pivot(
            index="item", columns="seed", values="value"
        )
        for model in MODELS
    }
    numbers = table.numbers
    row = numbers.query("first == 'causal' and second == 'masked' and seed == 2").iloc[0]
    a, b = wide["causal"][2] == 1, wide["masked"][2] == 1
    assert (row["both_right"], row["first_alone"]) == ((a & b).sum(), (a & ~b).sum())
    assert row[disagreements.CELLS].sum() == 240
    pairs = [line.split("|")[1].strip() for line in table.markdown.splitlines()[2:]]
    assert pairs[:3] == [
        "`causal` and `masked`",
        "`causal` and `seq2seq`",
        "`masked` and `seq2seq`",
    ]
    assert pairs[3] == "`causal` and TF-IDF + logistic regression"
    assert pairs[-1] == "`seq2seq` and itself, another seed"
    alone = numbers.query("first == second and first == 'seq2seq'").iloc[0]
    assert alone["first_alone"] == ((wide["seq2seq"][1] == 1) & (wide["seq2seq"][2] == 0)).sum()


def test_items_that_are_not_right_or_wrong_make_no_section(
    plain: tuple[Results, list[TaskAnalysis]],
) -> None:
    results, (_, continuation) = plain
    assert disagreements.sections(results, [continuation]) == []
