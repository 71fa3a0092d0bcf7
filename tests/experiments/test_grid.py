import pytest

from lmcompare.core.errors import InputError, Problem
from lmcompare.experiments.experiment import parse
from lmcompare.experiments.grid import expand_grid, grid_value

CORPUS = {"source": {"kind": "text", "path": "x.txt"}}


def models_of(grid: object, **models: object) -> dict[str, object]:
    problems: list[Problem] = []
    found, _ = expand_grid({"models": models, "grid": grid}, problems)
    assert not problems and "grid" not in found
    return dict(found["models"])


def test_every_combination_is_a_model() -> None:
    masked = {"objective": "masked", "grid": {"objective.mask_rate": [0.15, 0.3]}}
    found = models_of(
        {"training": {"learning_rate": [1e-3, 3e-3]}}, masked=masked, causal={"objective": "causal"}
    )
    assert list(found) == [
        "masked learning_rate=0.001 mask_rate=0.15",
        "masked learning_rate=0.001 mask_rate=0.3",
        "masked learning_rate=0.003 mask_rate=0.15",
        "masked learning_rate=0.003 mask_rate=0.3",
        "causal learning_rate=0.001",
        "causal learning_rate=0.003",
    ]
    assert found["masked learning_rate=0.003 mask_rate=0.15"] == {
        "objective": {"kind": "masked", "mask_rate": 0.15},
        "training": {"learning_rate": 3e-3},
    }


def test_no_grid_changes_nothing() -> None:
    models = {"causal": {"objective": "causal", "network": {"hidden_size": 64}}}
    assert models_of(None, **models) == models


def test_values_are_written_without_an_exponent() -> None:
    assert [
        grid_value(value)
        for value in (0.0015, 0.3, 24e-3, 1e-5, 6.0, 128, -0.5, False, "bf16", {"kind": "glm"})
    ] == ["0.0015", "0.3", "0.024", "0.00001", "6", "128", "-0.5", "false", "bf16", "glm"]


def test_an_experiment_reads_its_grid_and_quick_may_shrink_it() -> None:
    data = {
        "name": "x",
        "corpus": CORPUS,
        "models": {"causal": {"objective": "causal"}},
        "grid": {"network.hidden_size": [64, 128, 256]},
        "quick": {"grid.network.hidden_size": [64]},
    }
    assert list(parse(dict(data)).models) == [
        "causal hidden_size=64",
        "causal hidden_size=128",
        "causal hidden_size=256",
    ]
    assert parse(dict(data)).network_of("causal hidden_size=256").hidden_size == 256
    quick = parse(dict(data), quick=True)
    assert list(quick.models) == ["causal hidden_size=64"] and parse(quick.resolved()) == quick


@pytest.mark.parametrize(
    ("grid", "wanted"),
    [
        (
            {"trainig.tokens": [1]},
            "grid.trainig.tokens: wanted a key of objective, network, training",
        ),
        ({"training.tokens": 1}, "grid.training.tokens: wanted a list of values"),
        ({"training.tokens": [5, 5]}, "grid.training.tokens: wanted each value once"),
        ({"network.hidden_size": [64, -1]}, "models.causal hidden_size=-1.network.hidden_size: "),
        (
            {"network.hiden_size": [64]},
            "models.causal hiden_size=64.network.hiden_size: no such key; did you mean "
            "'hidden_size'",
        ),
        ([1], "grid: wanted keys and their values"),
    ],
)
def test_what_is_wrong_is_said_with_its_path(grid: object, wanted: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(
            {
                "name": "x",
                "corpus": CORPUS,
                "models": {"causal": {"objective": "causal"}},
                "grid": grid,
            }
        )
    assert any(problem.startswith(wanted) for problem in caught.value.problems), (
        caught.value.problems
    )
