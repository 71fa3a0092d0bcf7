"""Panels in the terminal."""

from collections.abc import Sequence

from rich.cells import cell_len
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.panel import Panel as Box
from rich.text import Text

from lmcompare.cli.inspect.panels import Panel, PanelRow
from lmcompare.models.visibility import Matrix

SEEN, UNSEEN, SELF = "■", "·", "◆"
INK = {
    "seen": "bright_blue",
    "unseen": "bright_black",
    "loss": "bold black on yellow",
    "put": "bold magenta",
}


def show(panels: Sequence[Panel], text: str, console: Console) -> None:
    """Print the panels, side by side where the terminal is wide enough."""
    console.print(Text("The text: ", "bold") + Text(text))
    console.print(Columns([_box(panel) for panel in panels], padding=(0, 1)))
    legend = Text()
    for mark, ink, said in (
        (SEEN, INK["seen"], " output sees input   "),
        (SELF, INK["put"], " a mask sees itself   "),
        (UNSEEN, INK["unseen"], " does not   "),
        (" token ", INK["loss"], " asked: the loss falls here   "),
        ("<mask>", INK["put"], " put there, not in the text"),
    ):
        legend.append(mark, ink)
        legend.append(said)
    console.print(legend)
    trained = all(panel.trained for panel in panels)
    weights = "" if trained else " The networks are fresh: tiny, with random weights."
    console.print(
        f"Who sees whom is measured: one input is changed, and the outputs that move have seen it.{weights}",
        highlight=False,
    )


def _box(panel: Panel) -> Box:
    parts: list[RenderableType] = []
    if (
        panel.encoder is not None
        and panel.seen.cross is not None
        and panel.seen.decoder is not None
    ):
        parts.append(_grid("encoder reads", panel.encoder, [("sees", panel.seen.own)], panel))
        parts.append(Text())
        sides = [("sees encoder", panel.seen.cross), ("and decoder", panel.seen.decoder)]
        parts.append(_grid("decoder reads", panel.rows, sides, panel))
    else:
        parts.append(_grid("reads", panel.rows, [("sees", panel.seen.own)], panel))
    width = max(cell_len(line) for part in parts for line in str(part).split("\n"))
    parts.append(Text("\n" + "\n".join(panel.notes), "italic"))
    title = Text.assemble((panel.title, "bold"), f" {panel.settings}" if panel.settings else "")
    return Box(
        Group(*parts),
        title=title,
        title_align="left",
        width=max(width, cell_len(str(title)) + 2) + 4,
    )


def _grid(
    head: str, rows: Sequence[PanelRow], sides: Sequence[tuple[str, Matrix]], panel: Panel
) -> Text:
    """Draw a line a place: its number, what it reads, what it sees, what is asked of it."""
    label = max(cell_len(head), *(cell_len(row.reads) + 4 for row in rows))
    grid = Text()
    grid.append(_fit(head, label), "bold")
    widths = [max(2 * matrix.shape[1], cell_len(name)) for name, matrix in sides]
    for (name, _), width in zip(sides, widths, strict=True):
        grid.append("  " + _fit(name, width), "bold")
    asked = any(row.asked is not None for row in rows)
    grid.append("  asked" if asked else "", "bold")
    grid.append("\n" + " " * label)
    for (_, matrix), width in zip(sides, widths, strict=True):
        numbers = "".join(
            f"{n if n < 10 or n % 5 == 0 else '':<2}" for n in range(1, matrix.shape[1] + 1)
        )
        grid.append("  " + _fit(numbers, width), "bright_black")
    for i, row in enumerate(rows):
        grid.append(f"\n{i + 1:>2}  ", "bright_black")
        grid.append(_fit(row.reads, label - 4), "" if row.text else INK["put"])
        for (name, matrix), width in zip(sides, widths, strict=True):
            grid.append("  ")
            for j, seen in enumerate(matrix[i]):
                itself = (
                    i == j and name == "sees" and panel.role == "encoder" and row.asked is not None
                )
                mark = (SELF if itself and not row.text else SEEN) if seen else UNSEEN
                grid.append(
                    f"{mark} ", INK["put"] if mark == SELF else INK["seen" if seen else "unseen"]
                )
            grid.append(" " * (width - 2 * matrix.shape[1]))
        if row.asked is not None:
            grid.append("  ")
            grid.append(f" {row.asked} ", INK["loss"])
            if panel.trained and row.nats is not None:
                grid.append(f" {row.nats:.1f} nats", "bright_black")
    return grid


def _fit(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))
