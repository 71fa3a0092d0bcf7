"""The report: from the rows of a run to markdown, figures and tables, and from nothing else."""

from collections.abc import Sequence
from pathlib import Path

from lmcompare.core.errors import InputError
from lmcompare.core.records import write_atomically
from lmcompare.report import export as exports
from lmcompare.report.analysis import analyze
from lmcompare.report.compare_runs import compare
from lmcompare.report.page import Page
from lmcompare.report.results import read
from lmcompare.report.sections import overview

__all__ = ["compare", "summary", "write"]


def write(folder: Path, *, html: bool = False, latex: bool = False, parquet: bool = False) -> Path:
    """Write ``report.md``, ``figures/*.png`` and ``tables/*.csv`` into a folder of results, each atomically.

    Everything is made from ``experiment.yaml``, ``runs.jsonl`` and ``records.parquet`` in that folder: the same rows
    give the same bytes. Cells that have not finished are named in the report as missing.

    Args:
        folder: what `lmcompare run` wrote, usually ``results/<experiment>``.
        html: write ``report.html``, too: one file that holds its figures.
        latex: write ``tables/*.tex``, too: the tables of the report, for a paper that uses the package booktabs.
        parquet: write ``tables/*.parquet``, too: the numbers of each table with their types.

    Returns:
        The path of ``report.md``.

    Raises:
        InputError: the folder or one of the three files is missing or is not what a run writes.
        LmcompareError: the report cannot be written.
    """
    rows = read(folder)
    page = Page(rows, [analyze(rows, task) for task in rows.tasks])
    files, markdown = page.files(), page.markdown()
    if html:
        files["report.html"] = exports.html(markdown, files).encode()
    if latex:
        files |= {
            f"tables/{name}.tex": f"{exports.latex(table)}\n".encode()
            for name, table in page.tables.items()
        }
    if parquet:
        files |= {
            f"tables/{name}.parquet": exports.parquet(table.numbers)
            for name, table in page.tables.items()
        }
    for name, content in files.items():
        write_atomically(folder / name, content)
    path = folder / "report.md"
    write_atomically(path, markdown.encode())
    return path


def summary(folders: Sequence[Path]) -> str:
    """Return the table 'task by objective' of several folders of results, as GitHub markdown.

    Args:
        folders: what `lmcompare run` wrote.

    Raises:
        InputError: as ``write``; of all folders at once.
    """
    reports, problems = [], []
    for folder in folders:
        try:
            rows = read(folder)
        except InputError as error:
            problems += error.problems
            continue
        reports.append(
            (
                (folder / "report.md").as_posix(),
                [analyze(rows, task) for task in rows.tasks],
                rows.models,
            )
        )
    if problems:
        raise InputError(*problems)
    table = overview.across(reports)
    return f"{table.markdown}\n\n{overview.note([found for _, some, _ in reports for found in some])}\n"
