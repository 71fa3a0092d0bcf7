"""The ``lmcompare`` command; what a subcommand needs is imported when it runs."""

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from lmcompare import __version__
from lmcompare.core.errors import InputError, LmcompareError, nearest

app = typer.Typer(
    name="lmcompare",
    help=(
        "Train causal, masked and sequence-to-sequence language models side by side, "
        "and compare them."
    ),
    epilog="Start with: lmcompare run experiments/sentiment.yaml --quick",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

File = Annotated[
    Path, typer.Argument(metavar="FILE", help="YAML file of an experiment.", show_default=False)
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a setting, e.g. training.tokens=60000; may be repeated.",
    ),
]
LISTED = ("objectives", "tasks", "metrics", "sources")
Quick = Annotated[bool, typer.Option("--quick", help="Apply what the file says under `quick`.")]


class UserInterrupt(LmcompareError):
    """The user stopped the run with Ctrl-C."""

    exit_code = 130


def _version(requested: bool) -> None:
    if requested:
        typer.echo(f"lmcompare {__version__}")
        raise typer.Exit


@app.callback()
def _lmcompare(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    pass


@app.command()
def run(
    file: File,
    sets: Sets = None,
    quick: Quick = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume/--fresh",
            help="Do only what is missing, or all cells of this experiment again.",
        ),
    ] = True,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, mps, xpu; the best there is if left out.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the results; results/<name> (with --quick: <name>-quick) if left out."
        ),
    ] = None,
    track: Annotated[
        list[str] | None,
        typer.Option(help="A tracker, e.g. tensorboard or wandb; may be repeated."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Processes side by side; 0: in this very process. If left out: what fits."
        ),
    ] = None,
) -> None:
    """Run an experiment (only what is not done yet) and write its report."""
    from lmcompare.execution import run as execution
    from lmcompare.execution.jobs import WorkOptions
    from lmcompare.experiments.experiment import load

    experiment = load(file, sets or (), quick)
    folder = output or default_output(file, experiment.name, quick)
    resume_command = _resume_command(file, sets or [], quick, device, output, track or [], workers)
    try:
        report = execution.run(
            experiment,
            folder,
            WorkOptions(device=device, trackers=tuple(track or ()), fresh=not resume),
            workers=workers,
            header=f"# As `{resume_command}` resolved it (lmcompare {__version__}).\n",
        )
    except KeyboardInterrupt as error:
        raise UserInterrupt(
            f"stopped; what is done is kept. To resume:\n  {resume_command}"
        ) from error
    if os.environ.get("RANK", "0") == "0":
        from rich.console import Console
        from rich.markdown import Markdown

        width = None if sys.stdout.isatty() else 120
        Console(width=width).print(Markdown(first_screen(report)))
        typer.echo(f"\nThe whole report: {report}")


@app.command()
def validate(file: File, sets: Sets = None, quick: Quick = False) -> None:
    """Check the settings and sources of an experiment without running it."""
    from lmcompare.execution import jobs
    from lmcompare.execution.plan import pending_downloads, plan
    from lmcompare.experiments.experiment import load
    from lmcompare.experiments.matching import matching_lines

    experiment = load(file, sets or (), quick)
    all_cells = plan(experiment)
    done = sum(jobs.is_done(jobs.cache_root(), cell) for cell in all_cells)
    models = _count(len(experiment.models), "model")
    seeds, tasks = _count(len(experiment.seeds), "seed"), _count(len(experiment.tasks), "task")
    total = len(all_cells)
    typer.echo(f"{file}: valid; {models} x {seeds}, {tasks}: {total} cells, {done} of them done")
    for line in [
        *(matching_lines(experiment, experiment.match) if experiment.match else ()),
        *pending_downloads(experiment),
    ]:
        typer.echo(line)


@app.command()
def report(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of results.", show_default=False)
    ],
    html: Annotated[
        bool, typer.Option("--html", help="Write report.html, too: one file with its figures.")
    ] = False,
    latex: Annotated[
        bool, typer.Option("--latex", help="Write tables/*.tex, too: for a paper, with booktabs.")
    ] = False,
    parquet: Annotated[
        bool, typer.Option("--parquet", help="Write tables/*.parquet, too: typed numbers.")
    ] = False,
) -> None:
    """Rebuild the report of a run from its rows."""
    from lmcompare.execution.run import write_report

    if not directory.is_dir():
        raise InputError(f"{directory}: no such folder; wanted the results of `lmcompare run`")
    typer.echo(
        f"The whole report: {write_report(directory, html=html, latex=latex, parquet=parquet)}"
    )


@app.command()
def compare(
    first: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of results.", show_default=False)
    ],
    second: Annotated[Path, typer.Argument(metavar="DIR", help="Another one.", show_default=False)],
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--models",
            metavar="A=B",
            help="Pair model A of the first with model B of the second; repeatable.",
        ),
    ] = None,
) -> None:
    """Compare two folders of results, as Markdown, with paired tests."""
    from lmcompare.report import compare as compare_results

    wrong = [pair for pair in models or () if not all(pair.partition("="))]
    if wrong:
        raise InputError(*(f"--models {pair}: wanted A=B, e.g. causal=masked" for pair in wrong))
    pairs = dict(_split_pair(pair, first) for pair in models or ())
    typer.echo(compare_results(first, second, pairs), nl=False)


def _split_pair(pair: str, results: Path) -> tuple[str, str]:
    """Split ``A=B`` after a model of the results; the name of a grid's model has '=' itself."""
    from lmcompare.experiments.experiment import KEYS
    from lmcompare.experiments.yaml import read_mapping

    cuts = [place for place, letter in enumerate(pair) if letter == "="]
    settings = read_mapping(results / "experiment.yaml", KEYS) if len(cuts) > 1 else {}
    names = settings.get("models", {})
    cut = next((place for place in cuts if pair[:place] in names), cuts[0])
    return pair[:cut], pair[cut + 1 :]


@app.command()
def summary(
    directories: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Folders of results.")
    ],
) -> None:
    """Tabulate the tasks of several folders of results, as Markdown: task by objective."""
    from lmcompare.report import summary as summarize

    typer.echo(summarize(directories), nl=False)


@app.command(name="list")
def list_(
    kind: Annotated[
        str, typer.Argument(metavar="objectives|tasks|metrics|sources", show_default=False)
    ],
) -> None:
    """List what an experiment can name, with its settings and their defaults."""
    if kind not in LISTED:
        raise InputError(
            f"list {kind}: wanted objectives, tasks, metrics or sources{nearest(kind, LISTED)}"
        )
    if kind == "metrics":
        from lmcompare import metrics

        for name, description in metrics.describe().items():
            typer.echo(f"{name}\n    {description}")
        return
    from lmcompare.cli.listing import describe
    from lmcompare.data import SOURCES
    from lmcompare.objectives import OBJECTIVES
    from lmcompare.tasks import TASKS

    registry: Any = {"objectives": OBJECTIVES, "tasks": TASKS, "sources": SOURCES}[kind]
    for name in registry:
        typer.echo("\n".join(describe(name, registry[name])))


@app.command(name="inspect")
def inspect_(
    text: Annotated[
        str,
        typer.Argument(
            metavar="TEXT",
            help="A short text; [MASK] in it marks what is predicted.",
            show_default=False,
        ),
    ],
    model: Annotated[
        list[Path] | None,
        typer.Option(
            help="A checkpoint or a run's weights; may be repeated. Else: fresh networks."
        ),
    ] = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(help="Of the fresh networks; may be repeated. Else: causal, masked, seq2seq."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of what is masked or corrupted.")] = 0,
    png: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a figure, too.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print data instead of a picture.")
    ] = False,
) -> None:
    """Show what each objective makes of a text: inputs, targets, loss and measured attention."""
    from lmcompare.cli.inspect.panels import panels

    shown = panels(text, model or (), objective or ("causal", "masked", "seq2seq"), seed)
    if png is not None:
        from lmcompare.cli.inspect.figure import draw

        draw(shown, text, png)
    if as_json:
        typer.echo(
            json.dumps(
                {"text": text, "panels": [panel.as_json() for panel in shown]}, ensure_ascii=False
            )
        )
        return
    from rich.console import Console

    from lmcompare.cli.inspect.terminal import show

    show(shown, text, Console())
    if png is not None:
        typer.echo(f"The figure: {png}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def default_output(file: Path, name: str, quick: bool) -> Path:
    """Return where the results go: a quick run never lies over a full one.

    ``experiments/x.yaml`` -> ``results/x``; any other file: ``results/x`` in the current folder;
    the ``experiment.yaml`` of a folder of results: that folder.
    """
    if file.name == "experiment.yaml" and (file.parent / "runs.jsonl").is_file() and not quick:
        return file.parent
    folder = f"{name}-quick" if quick else name
    if file.absolute().parent.name != "experiments":
        return Path("results") / folder
    if file.parent.name == "experiments":
        return file.parent.parent / "results" / folder
    return Path(os.path.relpath(file.absolute().parent.parent)) / "results" / folder


def first_screen(report: Path) -> str:
    """Return the Markdown of a report's first screen: all before its first figure or section."""
    lines = report.read_text(encoding="utf-8").splitlines()
    ends = (place for place, line in enumerate(lines) if line.startswith(("![", "## ")))
    return "\n".join(lines[: next(ends, len(lines))]).strip()


def _resume_command(
    file: Path,
    sets: list[str],
    quick: bool,
    device: str | None,
    output: Path | None,
    track: list[str],
    workers: int | None,
) -> str:
    """Return the command that resumes a run."""
    words = ["lmcompare", "run", str(file)]
    for change in sets:
        words += ["--set", change]
    words += ["--quick"] if quick else []
    for option, value in (("device", device), ("output", output), ("workers", workers)):
        words += [] if value is None else [f"--{option}", str(value)]
    for tracker in track:
        words += ["--track", tracker]
    return shlex.join(words)


def main() -> None:
    """Run the command; an error that a user can act on is a message without a traceback."""
    try:
        app()
    except Exception as error:
        if isinstance(error, LmcompareError):
            message, code = str(error), error.exit_code
        else:
            from lmcompare.execution.jobs import explain

            message, code = explain(error)
            if message.startswith("Traceback"):
                raise
        typer.echo(
            f"lmcompare: {message}" if "\n" not in message else f"lmcompare:\n{message}", err=True
        )
        sys.exit(code)


if __name__ == "__main__":
    main()
