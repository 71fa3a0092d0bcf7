"""The report in other forms: one HTML file that holds its figures, tables for LaTeX and as Parquet."""

import base64
import io
import re
from collections.abc import Mapping, Sequence
from html import escape, unescape

import pandas as pd
from markdown_it import MarkdownIt
from markdown_it.token import Token

from lmcompare.report.markdown import Table

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 62rem; margin: 2rem auto;
  padding: 0 1rem; }}
h1, h2 {{ line-height: 1.25; margin-top: 2rem; }}
h2 {{ border-bottom: 1px solid #ddd; padding-bottom: .2rem; }}
table {{ border-collapse: collapse; display: block; overflow-x: auto; font-size: .9rem; }}
th, td {{ border-bottom: 1px solid #ddd; padding: .3rem .6rem; vertical-align: top; }}
thead th {{ border-bottom: 2px solid #888; text-align: left; }}
code {{ background: #f3f3f3; padding: .05rem .25rem; }}
pre {{ background: #f3f3f3; padding: .8rem; overflow-x: auto; }}
pre code {{ padding: 0; }}
blockquote {{ border-left: 4px solid #d55e00; margin-left: 0; padding-left: 1rem; }}
img {{ max-width: 100%; }}
</style>
</head>
<body>
{body}</body>
</html>
"""

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "−": "$-$", "×": r"$\times$", "≥": r"$\geq$",
    "≤": r"$\leq$", "±": r"$\pm$", "–": "--", "—": "---", "·": r"$\cdot$", "↑": r"$\uparrow$", "↓": r"$\downarrow$",
    "\u200b": "",
}  # fmt: skip
_AROUND = {"strong_open": r"\textbf{", "em_open": r"\emph{", "strong_close": "}", "em_close": "}"}
_TAGS = {"<code>": r"\texttt{", "</code>": "}", "<br>": " "}


def html(markdown: str, figures: Mapping[str, bytes]) -> str:
    """Return the report as one HTML file that needs no other: figures are inside.

    Args:
        markdown: of the report; all foreign text in it is escaped already.
        figures: PNG by the path under which the report names it.
    """
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    tokens = parser.parse(markdown)
    for token in _inline(tokens):
        picture = figures.get(str(token.attrGet("src"))) if token.type == "image" else None
        if picture is not None:
            token.attrSet("src", f"data:image/png;base64,{base64.b64encode(picture).decode()}")
    title = re.search(r"<h1>(.*?)</h1>", body := parser.renderer.render(tokens, parser.options, {}))
    return _PAGE.format(title=title[1] if title else escape("lmcompare"), body=body)


def parquet(numbers: pd.DataFrame) -> bytes:
    """Return the numbers of a table as Parquet; a column whose values are of several types is written as text."""
    mixed = [
        name
        for name, values in numbers.items()
        if values.dtype == object and values.dropna().map(type).nunique() > 1
    ]
    held = io.BytesIO()
    text = {name: numbers[name].map(str, na_action="ignore") for name in mixed}
    numbers.assign(**text).to_parquet(held, index=False)
    return held.getvalue()


def latex(table: Table) -> str:
    r"""Return a table for LaTeX, with the rules of the package booktabs.

    >>> table = Table("gate", ["model", "below unigram"], [["`my_model`", "**0.73**"]], pd.DataFrame())
    >>> print(latex(table))
    \begin{tabular}{lr}
    \toprule
    model & below unigram \\
    \midrule
    \texttt{my\_model} & \textbf{0.73} \\
    \bottomrule
    \end{tabular}
    """
    parser = MarkdownIt("commonmark", {"html": True})
    cells = [[_line(parser, cell) for cell in row] for row in (table.headings, *table.rows)]
    frame = pd.DataFrame(cells[1:], columns=range(len(cells[0])))
    # pandas passes each heading through str.format.
    headings = [heading.replace("{", "{{").replace("}", "}}") for heading in cells[0]]
    written: str = frame.to_latex(
        index=False,
        header=headings,
        escape=False,
        column_format="".join("r" if right else "l" for right in table.numeric),
    )
    return written.rstrip()


def _line(parser: MarkdownIt, markdown: str) -> str:
    return "".join(map(_piece, _inline(parser.parseInline(markdown)))).strip()


def _inline(tokens: Sequence[Token]) -> list[Token]:
    return [child for token in tokens for child in token.children or []]


def _piece(token: Token) -> str:
    if token.type == "code_inline":
        return rf"\texttt{{{_escaped(token.content)}}}"
    if token.type == "html_inline":
        return _TAGS.get(token.content, "")
    return _AROUND.get(token.type) or _escaped(unescape(token.content))


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
