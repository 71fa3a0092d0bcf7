"""The report: from the rows of a run to markdown, figures and tables, and from nothing else."""

from pathlib import Path

from lmcompare.records import write_atomically
from lmcompare.report.findings import find
from lmcompare.report.page import Page
from lmcompare.report.rows import read


def write(folder: Path) -> Path:
    """Write ``report.md``, ``figures/*.png`` and ``tables/*.csv`` into a folder of results, each atomically.

    Everything is made from ``experiment.yaml``, ``runs.jsonl`` and ``records.parquet`` in that folder: the same rows
    give the same bytes. Cells that have not finished are named in the report as missing.

    Args:
        folder: what `lmcompare run` wrote, usually ``results/<experiment>``.

    Returns:
        The path of ``report.md``.

    Raises:
        InputError: the folder or one of the three files is missing or is not what a run writes.
        LmcompareError: the report cannot be written.
    """
    rows = read(folder)
    page = Page(rows, [find(rows, task) for task in rows.tasks])
    for name, content in page.files().items():
        write_atomically(folder / name, content)
    path = folder / "report.md"
    write_atomically(path, page.markdown().encode())
    return path
