"""YAML 1.2, and files that hold something else."""

from pathlib import Path

import pytest

from lmcompare.core.errors import InputError
from lmcompare.experiments.experiment import KEYS
from lmcompare.experiments.yaml import parse_yaml, read_mapping


def problems(path: Path) -> list[str]:
    with pytest.raises(InputError) as caught:
        read_mapping(path, KEYS)
    return caught.value.problems


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "value"),
    [("3e-3", 0.003), ("1e6", 1e6), ("no", "no"), ("on", "on"), ("true", True), ("1_000", 1000), ("1:30", "1:30")]
    + [("010", 10.0), (".5", 0.5), ("-2", -2), ("~", None), ("", None), ("2024-01-01", "2024-01-01"), ("e5", "e5")],
)  # fmt: skip
def test_plain_values_are_those_of_yaml_1_2(text: str, value: object) -> None:
    read = parse_yaml(text, "here")
    assert read == value and isinstance(read, type(value))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ": empty; wanted an experiment with the keys name, "),
        ("# nothing\n", ": empty; wanted"),
        ("- a\n", ': wanted a mapping with the keys name, description, corpus, tokenizer, sequence, network'),
        ("name: x\nname: y\n", ":2:1: the key 'name' is given twice (first in line 1)"),
        ("models:\n  a: {objective: causal}\n  b: {}\n  a: {}\n", ":4:3: the key 'a' is given twice (first in line 2)"),
        ("name: x\ncorpus:\n\tsource: y\n", ":3:1: a tab; YAML is indented with spaces"),
        ("name: [x\ncorpus: 3\n", ":2:"),
        ("name: !!python/object:os.system x\n", ":1:7: could not determine a constructor"),
        ("name: a\n---\nname: b\n", ":2:1: "),
    ],
)  # fmt: skip
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
