"""Benchmarks of training and scoring speed, and error rates of verdicts."""

from collections.abc import Mapping, Sequence


def markdown_table(rows: Sequence[Mapping[str, str]]) -> str:
    """Return rows with the same keys as a Markdown table.

    >>> print(markdown_table([{"tool": "ours", "seconds": "0.2"}]))
    | tool | seconds |
    |---|---|
    | ours | 0.2 |
    """
    lines = [list(rows[0]), *(list(row.values()) for row in rows)]
    head, *body = (f"| {' | '.join(line)} |" for line in lines)
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])
