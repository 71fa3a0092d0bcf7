import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from shutil import copytree

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from lmcompare.report import rendering, write
from lmcompare.report.markdown import escape
from lmcompare.report.tables import Piece, Table, name


class Seen(HTMLParser):
    """What a browser would find: open tags, pictures, cells of tables."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.pictures: list[str] = []
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.pictures.append(dict(attributes)["src"] or "")
        elif tag not in ("meta", "br"):
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.pictures.append(dict(attributes)["src"] or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open):
            self.cells[-1] += data


def read(page: str) -> Seen:
    seen = Seen()
    seen.feed(page)
    assert not seen.open
    return seen


def test_the_page_holds_all_that_the_report_holds(finished: Path, tmp_path: Path) -> None:
    finished = Path(copytree(finished, tmp_path / "copy"))
    write(finished, html=True, latex=True, parquet=True)
    text = "\n".join((finished / n).read_text("utf-8") for n in ("report.md", "details.md"))
    page = (finished / "report.html").read_text(encoding="utf-8")
    seen = read(page)
    figures = [(finished / path).read_bytes() for path in re.findall(r"!\[.*?\]\((.*?)\)", text)]
    assert len(figures) > 2
    assert [
        base64.b64decode(src.removeprefix("data:image/png;base64,")) for src in seen.pictures
    ] == figures
    rows = [line for line in text.splitlines() if line.startswith("| ") and "---" not in line]
    assert len(seen.cells) == sum(len(row[2:-2].split(" | ")) for row in rows)
    assert page.count("<details>") == text.count("<details>") > 0
    for table in (finished / "tables").glob("*.tex"):
        written = table.read_text(encoding="utf-8")
        assert (
            written.startswith("\\begin{tabular}{")
            and "\\toprule" in written
            and "`" not in written
        )
    assert len(list((finished / "tables").glob("*.tex"))) > 8
    for table in (finished / "tables").glob("*.parquet"):
        typed, text = pd.read_parquet(table), pd.read_csv(table.with_suffix(".csv"))
        assert list(typed.columns) == list(text.columns) and len(typed) == len(text) > 0
    values = pd.read_parquet(finished / "tables" / "results-sentiment.parquet")["value"]
    assert values.dtype == float and values.notna().all()


def test_neither_is_written_unless_asked_for(finished: Path, tmp_path: Path) -> None:
    finished = Path(copytree(finished, tmp_path / "copy"))
    write(finished)
    assert not list(finished.glob("*.html"))
    assert {path.suffix for path in (finished / "tables").iterdir()} == {".csv"}


def test_what_an_earlier_report_wrote_is_deleted(finished: Path, tmp_path: Path) -> None:
    folder = Path(copytree(finished, tmp_path / "copy"))
    write(folder, latex=True)
    stale = [folder / "tables" / "gone.csv", folder / "figures" / "gone.png"]
    for path in stale:
        path.write_text("x")
    other = folder / "tables" / "notes.txt"
    other.write_text("mine")
    write(folder)
    assert not any(path.exists() for path in stale) and other.exists()
    assert not list((folder / "tables").glob("*.tex"))


def test_foreign_text_does_nothing_in_html() -> None:
    text = "<script>x</script> | *a* $b$"
    table = Table("t", pd.DataFrame({"a": [text]}))
    page = rendering.html("t", f"# {escape(text)}\n\n{table.html}\n")
    assert read(page).cells == ["a", text] and "<script>" not in page


def test_a_column_of_several_types_is_text_in_parquet() -> None:
    frame = pd.DataFrame({"value": [3, "many", None, 0.5], "count": [1, 2, 3, 4]})
    back = pd.read_parquet(io.BytesIO(Table("t", frame).parquet))
    assert back["value"].isna().tolist() == [False, False, True, False]
    assert back["value"].dropna().tolist() == ["3", "many", "0.5"]
    assert back["count"].tolist() == [1, 2, 3, 4]


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=30))
def test_latex_says_what_the_name_says(text: str) -> None:
    """Undone, the escapes give the name back: nothing in it is a command."""
    for cell in (name(text), Piece(text)):
        table = Table("t", pd.DataFrame({"name": [cell]}))
        line = table.latex.splitlines()[4].removesuffix(r"\\").strip()
        line = re.sub(r"\\texttt\{(.*)\}$", r"\1", line)
        for written, meant in ((r"\textasciitilde{}", "~"), (r"\textasciicircum{}", "^")):
            line = line.replace(written, meant)
        back = re.sub(r"\\textbackslash\{\}|\\(.)", lambda match: match[1] or "\\", line)
        assert back.strip() == text.strip()
