"""The former section, until every section has a template."""

from dataclasses import dataclass
from typing import Literal

from lmcompare.report.markdown import Table


@dataclass(frozen=True)
class Section:
    """One piece of the page.

    Attributes:
        name: of its figure's file, without folder and ending.
        title: what it shows, safe for markdown.
        text: how to read it, safe for markdown.
        figure: PNG, or None.
        alt: what the figure shows, for who cannot see it.
        table: or None.
        folded: what a reader opens by a click: nothing, the table, or all of it.
    """

    name: str
    title: str
    text: str = ""
    figure: bytes | None = None
    alt: str = ""
    table: Table | None = None
    folded: Literal["nothing", "table", "all"] = "nothing"

    @property
    def path(self) -> str:
        """Path of the figure within the folder of the report."""
        return f"figures/{self.name}.png"

    @property
    def markdown(self) -> str:
        """The block in GitHub markdown, without blank lines around it."""
        picture = f"![{self.alt}]({self.path})" if self.figure else ""
        table = self.table.markdown if self.table else ""
        if self.folded == "all":
            return fold(self.title, self.text, picture, table)
        if table and self.folded == "table":
            table = fold(f"{self.title}: the numbers", table)
        head = f"**{self.title}.** {self.text}".strip()
        return "\n\n".join(part for part in (head, picture, table) if part)


def fold(summary: str, *parts: str) -> str:
    """Return parts of markdown that are seen when the summary is clicked; empty ones are left out.

    >>> print(fold("More", "text", ""))
    <details>
    <summary>More</summary>
    <BLANKLINE>
    text
    <BLANKLINE>
    </details>
    """
    inside = "\n\n".join(part for part in parts if part)
    return f"<details>\n<summary>{summary}</summary>\n\n{inside}\n\n</details>"
