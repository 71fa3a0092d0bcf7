"""The report: from the rows of a run to Markdown, figures and tables, and from nothing else."""

from collections.abc import Sequence
from pathlib import Path

from lmcompare.core.errors import InputError
from lmcompare.core.records import write_atomically
from lmcompare.report import rendering
from lmcompare.report.analysis import analyze
from lmcompare.report.compare_runs import compare
from lmcompare.report.page import Page
from lmcompare.report.results import read
from lmcompare.report.sections import overview

__all__ = ["compare", "summary", "write"]


def write(folder: Path, *, html: bool = False, latex: bool = False, parquet: bool = False) -> Path:
    """Write ``report.md``, ``details.md``, figures and tables into a folder of results.

    Everything is made from ``experiment.yaml``, ``runs.jsonl`` and ``records.parquet`` in that
    folder: the same rows give the same bytes. Cells that have not finished are named as missing;
    figures and tables of an earlier report that this one does not have are deleted.

    Args:
        folder: what `lmcompare run` wrote, usually ``results/<experiment>``.
        html: write ``report.html``, too: one file that holds both pages and their figures.
        latex: write ``tables/*.tex``, too, for a paper that uses the package booktabs.
        parquet: write ``tables/*.parquet``, too: the numbers of each table with their types.

    Returns:
        The path of ``report.md``.

    Raises:
        InputError: the folder or one of the three files is missing or is not what a run writes.
        LmcompareError: the report cannot be written.
    """
    results = read(folder)
    page = Page(results, [analyze(results, task) for task in results.tasks])
    files = page.files()
    if html:
        files["report.html"] = page.html().encode()
    for table in page.tables.values():
        if latex:
            files[f"tables/{table.name}.tex"] = f"{table.latex}\n".encode()
        if parquet:
            files[f"tables/{table.name}.parquet"] = table.parquet
    for name, content in files.items():
        write_atomically(folder / name, content)
    for pattern in ("figures/*.png", "tables/*.csv", "tables/*.tex", "tables/*.parquet"):
        for path in folder.glob(pattern):
            if path.relative_to(folder).as_posix() not in files:
                path.unlink()
    return folder / "report.md"


def summary(folders: Sequence[Path]) -> str:
    """Return one table of the tasks of several folders of results, as GitHub Markdown.

    Args:
        folders: what `lmcompare run` wrote.

    Raises:
        InputError: as ``write``; of all folders at once.
    """
    reports, problems = [], []
    for folder in folders:
        try:
            results = read(folder)
        except InputError as error:
            problems += error.problems
            continue
        analyses = [analyze(results, task) for task in results.tasks]
        reports.append(((folder / "report.md").as_posix(), analyses, results.models))
    if problems:
        raise InputError(*problems)
    return rendering.render("summary", {"table": overview.across(reports)}) + "\n"
