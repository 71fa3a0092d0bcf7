"""What ``lmcompare list`` says of a class whose fields are YAML keys."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from typing import Any


def describe(kind: str, cls: type[Any]) -> Iterator[str]:
    """Yield the word, the first line of the docstring, and each field with its default and the string under it."""
    yield kind
    yield f"    {(inspect.getdoc(cls) or '').partition(chr(10))[0]}"
    said = field_docs(cls)
    for field in fields(cls) if is_dataclass(cls) else ():
        if field.default_factory is not MISSING:
            made = field.default_factory()
            default = (
                f" = {{{', '.join(f'{f.name}: {getattr(made, f.name)}' for f in fields(made))}}}"
                if is_dataclass(made)
                else f" = {made}"
            )
        else:
            default = "" if field.default is MISSING else f" = {_yaml(field.default)}"
        text = (
            f"{field.name}{default}{': ' if said.get(field.name) else ''}{said.get(field.name, '')}"
        )
        yield from textwrap.wrap(
            text,
            112,
            initial_indent="      ",
            subsequent_indent="          ",
            break_on_hyphens=False,
        )


def _yaml(value: Any) -> str:
    """Return a default as YAML would have it."""
    words = {None: "null", True: "true", False: "false", "": '""'}
    return words[value] if value is None or isinstance(value, bool) or value == "" else str(value)


def field_docs(cls: type[Any]) -> dict[str, str]:
    """Return the string under each field of a class, from its source."""
    try:
        body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    except (OSError, SyntaxError):
        return {}
    said = {}
    parts = body.body if isinstance(body, ast.ClassDef) else []
    for field, below in zip(parts, parts[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr)
        ):
            if isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
                said[field.target.id] = " ".join(below.value.value.split())
    return said
