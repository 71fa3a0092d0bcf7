import pandas as pd

from lmcompare.report import rendering
from lmcompare.report.sections.base import Figure, Section
from lmcompare.report.tables import Table


def test_tables_and_figures_are_found_wherever_they_stand_among_the_facts() -> None:
    table, figure = Table("t", pd.DataFrame({"a": [1]})), Figure("f", b"png")
    unnamed = Table("", pd.DataFrame({"a": [1]}))
    section = Section("x", {"one": table, "list": [{"deep": figure}, unnamed], "number": 3})
    assert section.tables == [table] and section.figures == [figure]
    assert figure.path == "figures/f.png"


def test_blank_lines_are_folded_and_figures_stand_in_html() -> None:
    text = rendering.render("summary", {"table": Table("t", pd.DataFrame({"a": [1]}))})
    assert "\n\n\n" not in text and text.startswith("| a |\n| ---: |\n| 1 |")
    html = rendering.render("summary", {"table": Table("t", pd.DataFrame({"a": [1]}))}, "html")
    assert html.startswith("<table><thead>")
    image = rendering.environment("html").filters["figure"](Figure("f", b"png"), "a < b")
    assert 'alt="a &lt; b"' in image and "data:image/png;base64,cG5n" in image
