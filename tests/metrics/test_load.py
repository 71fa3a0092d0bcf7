import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lmcompare import metrics
from lmcompare.core.errors import InputError

ROWS = {"brier", "ece"}
TEXTS = {"distinct_n", "repetition", "self_bleu"}
PAIRS = {"bleu", "cer", "chrf", "exact_match", "rouge", "squad_f1", "ter", "wer"}
NUMBERS = {"accuracy", "f1", "matthews", "pearson", "spearman"}
NAMES = sorted(ROWS | TEXTS | PAIRS | NUMBERS | {"seqeval"})
BY_A_MODEL = {"bertscore", "mauve", "perplexity"}
"""They need the folder of a model: see test_judged.py."""


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    def refuse(*_):
        raise AssertionError("a metric asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_names_are_the_files():
    assert list(metrics.METRICS) == sorted({*NAMES, *BY_A_MODEL})


def test_listing_imports_nothing_heavy():
    code = (
        "import sys; from lmcompare import metrics; lines = metrics.describe();"
        "assert all(lines.values());"
        "heavy = {'evaluate', 'datasets', 'sklearn', 'numpy', 'torch'} & set(sys.modules);"
        "print(sorted(heavy), len(lines))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"[] {len(metrics.METRICS)}"


def test_describe_gives_the_first_line():
    assert metrics.describe()["accuracy"] == "Share of answers that are right."


@pytest.mark.parametrize("name", NAMES)
def test_a_metric_is_documented_with_an_example(name):
    metric = metrics.load(name)
    assert metric.name == name
    assert metric.description and metric.citation and metric.reference_urls
    assert set(metric.features) <= {"predictions", "references"}
    assert "predictions: (n" in metric.inputs_description
    assert f">>> {name}().compute(" in metric.inputs_description


@pytest.mark.parametrize("name", NAMES)
def test_nothing_to_score_is_an_error(name):
    given = {"predictions": []} if name in TEXTS else {"predictions": [], "references": []}
    with pytest.raises(InputError, match=f"{name}: wanted at least one prediction, got none"):
        metrics.load(name).compute(**given)


@pytest.mark.parametrize("name", sorted(ROWS))
@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [
        (
            [[0.5, 0.5], [0.5, 0.4]],
            [0, 1],
            "row 1: wanted probabilities that sum to 1, got a sum of 0.9",
        ),
        (
            [[1.5, -0.5]],
            [0],
            "row 0: wanted probabilities .* the least -0.5; take the softmax of logits",
        ),
        ([[float("nan"), 1.0]], [0], "row 0: wanted probabilities"),
        (
            [[0.5, 0.5], [0.2, 0.3, 0.5]],
            [0, 1],
            "row 1: wanted 2 probabilities, as in row 0, got 3",
        ),
        ([[1.0]], [0], "row 0: wanted the probabilities of two classes or more, got 1"),
        ([[0.5, 0.5]], [2], "row 0: wanted a label from 0 to 1, got 2"),
        ([[0.5, 0.5]], [-1], "row 0: wanted a label from 0 to 1, got -1"),
    ],
)
def test_rows_that_are_no_distribution_are_an_error(name, predictions, references, message):
    metric = metrics.load(name)
    with pytest.raises(InputError, match=message):
        metric.compute(predictions=predictions, references=references)
    assert metric.compute(predictions=[[0.5, 0.5]], references=[0])  # the error left nothing behind


def test_counts_that_differ_are_an_error():
    with pytest.raises(InputError, match="accuracy: wanted as many references as predictions"):
        metrics.load("accuracy").compute(predictions=[0, 1], references=[0])


def test_batches_add_up():
    metric = metrics.load("accuracy")
    metric.add_batch(predictions=[0, 1], references=[0, 1])
    metric.add_batch(predictions=[0, 1], references=[0, 0])
    assert metric.compute() == {"accuracy": 0.75}


def test_metrics_combine():
    import evaluate

    both = evaluate.combine([metrics.load("accuracy"), metrics.load("matthews")])
    assert both.compute(predictions=[0, 1, 1, 0], references=[0, 1, 0, 1]) == {
        "accuracy": 0.5,
        "matthews": 0.0,
    }


def test_an_unknown_name_gives_the_nearest():
    with pytest.raises(InputError, match="no metric 'acuracy'; did you mean 'accuracy'"):
        metrics.load("acuracy")


def test_a_missing_script_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        metrics.load(str(tmp_path / "mine.py"))


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """A folder for the copies that evaluate makes of the scripts it loads."""
    folder = tmp_path_factory.mktemp("modules")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evaluate.config.HF_MODULES_CACHE", folder)
        patch.syspath_prepend(folder)
        yield folder


@pytest.mark.parametrize("name", NAMES)
def test_each_file_also_loads_by_its_path(name, scripts):
    import evaluate

    script = Path(metrics.__file__).parent / f"{name}.py"
    by_path = evaluate.load(str(script), cache_dir=str(scripts))
    assert type(by_path).__module__.startswith("evaluate_modules")
    given = {
        "predictions": [[0.75, 0.25], [0.5, 0.5]] if name in ROWS else [1, 0],
        "references": [0, 1],
    }
    if name in TEXTS:
        given = {"predictions": ["a b a b a b a", "c d a b a b"]}
    if name in PAIRS:
        given = {"predictions": ["a b c", "d"], "references": ["a b d", "d"]}
    if name == "seqeval":
        given = {"predictions": [["B-A", "O"]], "references": [["B-A", "B-B"]]}
    assert by_path.compute(**given) == metrics.load(name).compute(**given)


def test_another_package_adds_one_by_an_entry_point(monkeypatch):
    from importlib.metadata import EntryPoint

    point = EntryPoint("theirs", "lmcompare.metrics.accuracy:accuracy", "lmcompare.metrics")
    monkeypatch.setattr(metrics, "entry_points", lambda group: [point])
    assert metrics.load("theirs").compute(predictions=[1], references=[1]) == {"accuracy": 1.0}
    assert metrics.describe()["theirs"] == "from lmcompare.metrics.accuracy:accuracy"
