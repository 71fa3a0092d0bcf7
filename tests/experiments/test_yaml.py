"""YAML 1.2, and files that hold something else."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcompare.core.errors import InputError
from lmcompare.experiments.experiment import KEYS
from lmcompare.experiments.yaml import dump_yaml, parse_yaml, read_mapping, read_with_base


def problems(path: Path) -> list[str]:
    with pytest.raises(InputError) as caught:
        read_mapping(path, KEYS)
    return caught.value.problems


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3e-3", 0.003),
        ("1e6", 1e6),
        ("no", "no"),
        ("on", "on"),
        ("true", True),
        ("1_000", 1000),
        ("1:30", "1:30"),
    ]
    + [
        ("010", 10),
        (".5", 0.5),
        ("-2", -2),
        ("~", None),
        ("", None),
        ("2024-01-01", "2024-01-01"),
        ("e5", "e5"),
    ],
)
def test_plain_values_are_those_of_yaml_1_2(text: str, value: object) -> None:
    read = parse_yaml(text, "here")
    assert read == value and isinstance(read, type(value))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ": empty; wanted an experiment with the keys name, "),
        ("# nothing\n", ": empty; wanted"),
        (
            "- a\n",
            ": wanted a mapping with the keys name, description, base, corpus, tokenizer, sequence",
        ),
        ("name: x\nname: y\n", ":2:1: the key 'name' is given twice"),
        (
            "models:\n  a: {objective: causal}\n  b: {}\n  a: {}\n",
            ":4:3: the key 'a' is given twice",
        ),
        ("name: x\ncorpus:\n\tsource: y\n", ":3:1: a tab; YAML is indented with spaces"),
        ("name: [x\ncorpus: 3\n", ":2:"),
        ("name: !!python/object:os.system x\n", ":1:7: could not determine a constructor"),
        ("name: a\n---\nname: b\n", ":2:1: "),
    ],
)
def test_yaml_that_cannot_be_read_is_said_with_its_line(
    tmp_path: Path, text: str, said: str
) -> None:
    path = written(tmp_path / "x.yaml", text)
    assert problems(path)[0].startswith(f"{path}{said}"), problems(path)


def test_a_file_that_is_not_there_is_said_with_the_nearest(tmp_path: Path) -> None:
    file = written(tmp_path / "small.yaml", "name: x")
    wrong = file.with_name("smal.yaml")
    assert problems(wrong) == [f"{wrong}: no such file; did you mean 'small.yaml'?"]
    assert problems(file.parent)[0].startswith(f"{file.parent}: wanted a YAML file, got a folder")
    assert problems(Path("nowhere/x.yaml")) == ["nowhere/x.yaml: no such file"]


def test_bytes_that_are_not_utf8_are_said(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"name: \xff\n")
    assert problems(path) == [f"{path}: wanted UTF-8 text, got byte 0xff at position 6"]


def test_a_file_inherits_its_base(tmp_path: Path) -> None:
    written(
        tmp_path / "first.yaml", "name: first\ntraining: {tokens: 9, compile: true}\nseeds: [1]\n"
    )
    (tmp_path / "below").mkdir()
    second = "base: ../first.yaml\ndescription: x\nmodels: {a: 1, b: 2}\n"
    second += "quick: {models.a: 3, seeds: [4]}\n"
    written(tmp_path / "below" / "second.yaml", second)
    third = "base: below/second.yaml\nmodels: {c: 1}\nseeds: [2, 3]\n"
    third += "training: {tokens: 8, compile: null}\n"
    path = written(tmp_path / "third.yaml", third)
    assert read_with_base(path, KEYS) == {
        "training": {"tokens": 8},
        "seeds": [2, 3],
        "models": {"c": 1},
        "quick": {"seeds": [4]},
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("base: y.yaml\n", "x.yaml: base: y.yaml: no such file"),
        ("base: 3\n", "x.yaml: base: wanted the name of a YAML file, relative to this one, got 3"),
        (
            "base: x.yaml\n",
            "x.yaml: base: x.yaml: base: wanted a file without a cycle, got x.yaml -> x.yaml",
        ),
    ],
)
def test_a_base_that_cannot_be_read_is_an_error(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path / "x.yaml", text)
    with pytest.raises(InputError) as caught:
        read_with_base(path, KEYS)
    assert caught.value.problems[0].replace(f"{tmp_path}/", "").startswith(said)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_are_written_without_an_exponent(value: float) -> None:
    text = dump_yaml({"x": value})
    assert "e" not in text and parse_yaml(text, "dump") == {"x": value}
