"""Panels in the terminal."""

from collections.abc import Sequence
from dataclasses import replace

from rich.cells import cell_len
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.panel import Panel as Box
from rich.text import Text

from lmcompare.cli.inspect.panels import Panel, PanelRow
from lmcompare.models.visibility import Matrix

ATTENDED, HIDDEN, ITSELF = "■", "·", "◆"
STYLES = {
    ATTENDED: "bright_blue",
    HIDDEN: "bright_black",
    ITSELF: "bold magenta",
    "target": "bold black on yellow",
    "inserted": "bold magenta",
}
_LEGEND = (
    (ATTENDED, STYLES[ATTENDED], " output attends to input   "),
    (ITSELF, STYLES[ITSELF], " a mask attends to itself   "),
    (HIDDEN, STYLES[HIDDEN], " does not   "),
    (" token ", STYLES["target"], " a target: the loss is here   "),
    ("<mask>", STYLES["inserted"], " inserted, not in the text"),
)


def show(panels: Sequence[Panel], text: str, console: Console) -> None:
    """Print the panels, side by side where the terminal is wide enough."""
    console.print(Text("The text: ", "bold") + Text(text))
    console.print(Columns([_box(panel) for panel in panels], padding=(0, 1)))
    legend = Text()
    for mark, style, meaning in _LEGEND:
        legend.append(mark, style)
        legend.append(meaning)
    console.print(legend)
    trained = all(panel.trained for panel in panels)
    weights = "" if trained else " The networks are fresh: tiny, with random weights."
    console.print(
        "Attention is measured: one input is changed, and the outputs that change depend on it."
        + weights,
        highlight=False,
    )


def _box(panel: Panel) -> Box:
    attention = panel.attention
    # The losses of random weights mean nothing.
    rows = panel.rows if panel.trained else [replace(row, nats=None) for row in panel.rows]
    parts: list[RenderableType]
    if panel.encoder is None or attention.cross is None or attention.decoder is None:
        own_mark = ITSELF if panel.role == "encoder" else ATTENDED
        parts = [_grid("input", rows, [("attends to", attention.own)], own_mark)]
    else:
        sides = [("encoder", attention.cross), ("decoder", attention.decoder)]
        parts = [
            _grid("encoder input", panel.encoder, [("attends to", attention.own)]),
            Text(),
            _grid("decoder input", rows, sides),
        ]
    width = max(cell_len(line) for part in parts for line in str(part).split("\n"))
    parts.append(Text("\n" + "\n".join(panel.notes), "italic"))
    title = Text.assemble((panel.title, "bold"), f" {panel.settings}" if panel.settings else "")
    width = max(width, cell_len(str(title)) + 2) + 4
    return Box(Group(*parts), title=title, title_align="left", width=width)


def _grid(
    heading: str,
    rows: Sequence[PanelRow],
    matrices: Sequence[tuple[str, Matrix]],
    own_mark: str = ATTENDED,
) -> Text:
    """Draw a line for each position: its number, its input, what it attends to, its target.

    ``own_mark`` stands where a mask with a target attends to itself.
    """
    label = max(cell_len(heading), *(cell_len(row.token) + 4 for row in rows))
    widths = [max(2 * matrix.shape[1], cell_len(name)) for name, matrix in matrices]
    grid = Text()
    grid.append(_fit(heading, label), "bold")
    for (name, _), width in zip(matrices, widths, strict=True):
        grid.append("  " + _fit(name, width), "bold")
    grid.append("  target" if any(row.target is not None for row in rows) else "", "bold")
    grid.append("\n" + " " * label)
    for (_, matrix), width in zip(matrices, widths, strict=True):
        grid.append("  " + _fit(_numbers(matrix.shape[1]), width), "bright_black")
    for i, row in enumerate(rows):
        grid.append(f"\n{i + 1:>2}  ", "bright_black")
        grid.append(_fit(row.token, label - 4), "" if row.is_text else STYLES["inserted"])
        masked = row.target is not None and not row.is_text
        for (_, matrix), width in zip(matrices, widths, strict=True):
            grid.append("  ")
            for j, attended in enumerate(matrix[i]):
                mark = own_mark if masked and i == j else ATTENDED
                mark = mark if attended else HIDDEN
                grid.append(f"{mark} ", STYLES[mark])
            grid.append(" " * (width - 2 * matrix.shape[1]))
        if row.target is not None:
            grid.append("  ")
            grid.append(f" {row.target} ", STYLES["target"])
            if row.nats is not None:
                grid.append(f" {row.nats:.1f} nats", "bright_black")
    return grid


def _numbers(count: int) -> str:
    """Return 1 to 10 and every fifth number, two characters each."""
    return "".join(f"{n if n < 10 or n % 5 == 0 else '':<2}" for n in range(1, count + 1))


def _fit(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))
