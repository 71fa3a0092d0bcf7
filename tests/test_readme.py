"""What README and docs/ show works as it stands."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lmcompare

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PYTHON = (ROOT / "docs" / "python.md").read_text()
TINY = {
    "tokenizer.vocab_size": "400",
    "sequence.length": "32",
    "network": "{hidden_size: 16, num_layers: 1, num_heads: 2, ffn_multiplier: 2.0}",
    "training": "{tokens: 1024, batch_size: 4, evaluations: 1, validation_sequences: 4}",
    "corpus.validation": "0.1",
    "corpus.test": "0.1",
    "seeds": "[1]",
}


def block(page, language, word):
    """The one fenced block of a language that holds a word."""
    blocks = re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)
    (block,) = [block for block in blocks if word in block]
    return block


@pytest.fixture
def mine(tmp_path, sentences, monkeypatch):
    """A folder with the texts and tables that README's experiment names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LMCOMPARE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "my" / "texts").mkdir(parents=True)
    (tmp_path / "my" / "texts" / "one.txt").write_text("\n\n".join(sentences))
    rows = [f"{i} {text},{'good' in text}" for i, text in enumerate(sentences[:60])]
    (tmp_path / "my" / "labels.csv").write_text("\n".join(["text,label", *rows]))
    pairs = [f"what {i},{text}" for i, text in enumerate(sentences[:60])]
    (tmp_path / "my" / "pairs.csv").write_text("\n".join(["question,reply", *pairs]))
    return tmp_path


def report_of(folder, text):
    """Write the experiment, run it at a tiny size as a user does, and return the report."""
    (folder / "mine.yaml").write_text(text)
    sets = [word for key, value in TINY.items() for word in ("--set", f"{key}={value}")]
    command = [
        sys.executable,
        "-m",
        "lmcompare",
        "run",
        "mine.yaml",
        "--workers",
        "1",
        "--device",
        "cpu",
        *sets,
    ]
    path = os.pathsep.join([str(folder), str(Path(lmcompare.__file__).parents[1])])
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return (folder / "results" / "mine" / "report.md").read_text()


def test_nine_lines_of_yaml_compare_the_three_objectives_whose_networks_have_every_verb(
    mine, capsys
):
    text = block(README, "yaml", "my/texts")
    assert len(text.splitlines()) <= 10
    small = text.replace(
        "answer: reply", "answer: reply, adaptation: {learning_rates: [1e-3], epochs: 1}"
    )
    small = small.replace(
        "labels.csv}", "labels.csv}, adaptation: {learning_rates: [1e-3], epochs: 1}"
    )
    report = report_of(mine, small)
    assert all(f"`{name}`" in report for name in ("causal", "masked", "seq2seq"))
    assert "topics" in report and "replies" in report
    code = block(PYTHON, "python", "for name in").replace(
        "results/sentiment", str(mine / "results" / "mine")
    )
    exec(compile(code, "docs/python.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    shown = PYTHON[PYTHON.index("CausalLM: ") :].split("```")[0].splitlines()
    assert [line.split()[0] for line in lines] == [line.split()[0] for line in shown]


def test_a_task_of_ones_own_is_one_class_in_a_package_with_an_entry_point(mine):
    (mine / "my_tasks.py").write_text(block(PYTHON, "python", "TASKS.register"))
    (group,) = re.findall(r'`\[project.entry-points."(lmcompare.tasks)"\]`', PYTHON)
    (mine / "my_tasks-1.dist-info").mkdir()
    (mine / "my_tasks-1.dist-info" / "METADATA").write_text("Name: my_tasks\nVersion: 1\n")
    (mine / "my_tasks-1.dist-info" / "entry_points.txt").write_text(
        f"[{group}]\norder = my_tasks\n"
    )
    (line,) = re.findall("# in YAML: (.*)", PYTHON)
    text = (
        block(README, "yaml", "my/texts")
        .partition("tasks:")[0]
        .replace("my/texts/*.txt", "my/texts/one.txt")
    )
    report = report_of(mine, f"{text}tasks:\n  {line.replace('my/texts.csv', 'my/labels.csv')}\n")
    assert "a text or its halves swapped" in report, report
    assert "chance" in report
