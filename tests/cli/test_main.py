"""The command: exit codes, messages, and that it stays quick and thin."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lmcompare import __version__
from lmcompare.cli.main import UserInterrupt, _split_pair, default_output, first_screen, main
from lmcompare.core.errors import LmcompareError
from lmcompare.execution import run as running

YAML = """\
name: small
corpus: {source: {kind: text, path: DATA}}
models: {causal: {objective: causal}, masked: {objective: masked}}
quick: {training.tokens: 5000}
"""

WORK = """
import time
from lmcompare.core.records import Run

def perform(experiment, cell, context):
    with open(context.cache / "log.txt", "a") as file:
        file.write(cell.name + " " + str(experiment.training.tokens) + chr(10))
    if cell.kind == "pretrain" and not (context.cache / "quickly").exists():
        time.sleep(60)
    return Run(experiment.name, cell.name, cell.key, "", 0, "", "", {}), []
"""

SCRIPT = """
import functools
from lmcompare.execution import jobs, run as execution
from lmcompare.cli.main import main
def report(output):
    path = output / "report.md"
    path.write_text("# small" + chr(10) + "The answer." + chr(10) + "![figure](x.png)" + chr(10) + "more")
    return path
execution.write_report = report
jobs.WorkOptions = functools.partial(jobs.WorkOptions, perform="dummy_cli:perform")
main()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "data.txt").write_text("some text\n")
    (tmp_path / "experiments").mkdir()
    path = tmp_path / "experiments" / "small.yaml"
    path.write_text(YAML.replace("DATA", str(tmp_path / "data.txt")))
    return path


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):  # type: ignore[no-untyped-def]
    """Return what a command line prints, and its exit code."""
    monkeypatch.setenv("LMCOMPARE_CACHE", str(tmp_path / "cache"))

    def of(*words: str) -> tuple[str, str, int]:
        monkeypatch.setattr(sys, "argv", ["lmcompare", *words])
        with pytest.raises(SystemExit) as caught:
            main()
        out, error = capsys.readouterr()
        return out, error, int(caught.value.code or 0)

    return of


def test_help_and_version(said) -> None:  # type: ignore[no-untyped-def]
    out, _, code = said("--help")
    assert code == 0
    assert all(f"  {command}" in out for command in ("run", "validate", "report", "list"))
    assert said("--version") == (f"lmcompare {__version__}\n", "", 0)
    out, _, code = said("run", "--help")
    options = (
        "--set",
        "--quick",
        "--resume / --fresh",
        "--device",
        "--output",
        "--track",
        "--workers",
    )
    assert code == 0 and all(option in out for option in options)
    assert said("valdate")[2] == 2
    assert said()[2] == 2


def test_validate(said, file: Path) -> None:  # type: ignore[no-untyped-def]
    out, _, code = said("validate", str(file))
    assert (out, code) == (
        f"{file}: valid; 2 models x 1 seed, 0 tasks: 3 cells, 0 of them done\n",
        0,
    )


def test_bad_input_is_exit_code_2_and_one_line_a_problem(said, file: Path) -> None:  # type: ignore[no-untyped-def]
    for words in (["validate", str(file)], ["run", str(file), "--quick"]):
        out, error, code = said(
            *words, "--set", "trainig.tokens=3", "--set", "models.masked.objective.mask_rte=0.3"
        )
        assert (out, code) == ("", 2)
        assert error.splitlines() == [
            "lmcompare:",
            "trainig: no such key; did you mean 'training'?",
            "models.masked.objective.mask_rte: no such key; did you mean 'mask_rate'?",
        ]
    _, error, code = said("run", "nowhere/x.yaml")
    assert (error, code) == ("lmcompare: nowhere/x.yaml: no such file\n", 2)
    _, error, code = said("report", "nowhere")
    assert (error, code) == (
        "lmcompare: nowhere: no such folder; wanted the results of `lmcompare run`\n",
        2,
    )
    (file.parent.parent / "data.txt").unlink()
    _, error, code = said("run", str(file))
    assert "data.txt" in error and "Traceback" not in error and code == 2


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (LmcompareError("the loss is NaN"), 1, "lmcompare: the loss is NaN\n"),
        (OSError(28, "No space left on device"), 1, "lmcompare: the disk is full; free some space"),
    ],
)
def test_failures_are_exit_code_1(  # type: ignore[no-untyped-def]
    said, file: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, line: str
) -> None:
    def fails(*_: object, **__: object) -> Path:
        raise error

    monkeypatch.setattr(running, "run", fails)
    out = said("run", str(file))
    assert out[1].startswith(line) and out[2] == code


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    def fails(*_: object, **__: object) -> Path:
        raise ZeroDivisionError

    monkeypatch.setattr(running, "run", fails)
    monkeypatch.setattr(sys, "argv", ["lmcompare", "run", str(file)])
    with pytest.raises(ZeroDivisionError):
        main()


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        (
            "objectives",
            ["masked", "      mask_rate = 0.15: share of the tokens that are predicted"],
        ),
        ("sources", ["text", "      encoding = utf-8: of the files"]),
        ("tasks", ["continuation", "      steps = null: "]),
        ("metrics", ["accuracy", "    Share of answers that are right."]),
    ],
)
def test_list_shows_what_an_experiment_can_name(said, kind: str, lines: list[str]) -> None:  # type: ignore[no-untyped-def]
    out, _, code = said("list", kind)
    assert code == 0
    for line in lines:
        assert any(found.startswith(line) for found in out.splitlines()), out
    _, err, code = said("list", "objectve")
    assert code == 2 and "tasks, metrics or sources; did you mean 'objectives'?" in err


def test_results_lie_beside_the_experiments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert default_output(Path("experiments/a.yaml"), "x", False) == Path("results/x")
    assert default_output(Path("/far/experiments/a.yaml"), "x", True) == Path(
        "/far/results/x-quick"
    )
    assert default_output(Path("/far/a.yaml"), "x", False) == Path("results/x")
    (tmp_path / "experiments").mkdir()
    monkeypatch.chdir(tmp_path / "experiments")
    assert default_output(Path("a.yaml"), "x", False) == Path("../results/x")
    (tmp_path / "experiment.yaml").write_text("")
    (tmp_path / "runs.jsonl").write_text("")
    assert default_output(tmp_path / "experiment.yaml", "x", False) == tmp_path


def test_the_first_screen_ends_before_the_first_figure_or_section(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    path.write_text("# x\n\n**None** is better.\n\n![figure](x.png)\n\n## More\n")
    assert first_screen(path) == "# x\n\n**None** is better."
    path.write_text("# x\n\nWhat.\n\n## More\n")
    assert first_screen(path) == "# x\n\nWhat."
    path.write_text("line\n")
    assert first_screen(path) == "line"


def command(tmp_path: Path, *words: str) -> "subprocess.Popen[str]":
    (tmp_path / "dummy_cli.py").write_text(WORK)
    environment = os.environ | {"LMCOMPARE_CACHE": str(tmp_path / "cache")}
    environment |= {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *words],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_ctrl_c_says_the_command_that_goes_on(file: Path, tmp_path: Path) -> None:
    words = ["run", "experiments/small.yaml", "--set", "seeds=[1, 2]", "--quick", "--workers", "2"]
    process = command(tmp_path, *words, "--fresh")
    log, end = tmp_path / "cache" / "log.txt", time.monotonic() + 60
    while not (log.is_file() and "pretrain" in log.read_text()):
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=300)
    again = "lmcompare run experiments/small.yaml --set 'seeds=[1, 2]' --quick --workers 2"
    assert error == f"lmcompare:\nstopped; what is done is kept. To resume:\n  {again}\n"
    assert process.returncode == 130
    (tmp_path / "cache" / "quickly").touch()
    process = command(tmp_path, *words)
    out, error = process.communicate(timeout=300)
    assert (error, process.returncode) == ("", 0)
    assert "1 of 5 cells are done already" in out
    report = Path("results/small-quick/report.md")
    assert "The answer." in out and "more" not in out
    assert out.endswith(f"\nThe whole report: {report}\n")
    assert (tmp_path / report).is_file()
    assert (
        f"# As `{again}` resolved it"
        in (tmp_path / "results/small-quick/experiment.yaml").read_text()
    )
    assert log.read_text().count("prepare 5000\n") == 1
    assert UserInterrupt("").exit_code == 130


def test_a_pair_is_split_after_a_model_of_the_first_results(tmp_path: Path) -> None:
    (tmp_path / "experiment.yaml").write_text("models: {masked mask_rate=0.15: {}, causal: {}}\n")
    assert _split_pair("masked mask_rate=0.15=causal", tmp_path) == (
        "masked mask_rate=0.15",
        "causal",
    )
    assert _split_pair("causal=masked mask_rate=0.3", tmp_path) == (
        "causal",
        "masked mask_rate=0.3",
    )
