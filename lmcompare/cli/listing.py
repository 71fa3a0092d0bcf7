"""What ``lmcompare list`` prints of a class whose fields are YAML keys."""

import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from pydantic import TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema

from lmcompare.core.settings import plain
from lmcompare.experiments.yaml import flow_yaml


def describe(kind: str, cls: type[Any]) -> Iterator[str]:
    """Yield the word, the first line of the docstring, and each field with its default and string.

    The string under a field is read by pydantic (``use_attribute_docstrings``, in ``STRICT``).
    """
    yield kind
    yield f"    {(inspect.getdoc(cls) or '').partition(chr(10))[0]}"
    if not is_dataclass(cls):
        return
    try:
        properties = TypeAdapter(cls).json_schema().get("properties", {})
    except PydanticInvalidForJsonSchema:
        properties = {}
    for field in fields(cls):
        default = field.default if field.default_factory is MISSING else field.default_factory()
        text = field.name
        if default is not MISSING:
            text += f" = {flow_yaml(plain(default))}"
        if description := properties.get(field.name, {}).get("description"):
            text += f": {' '.join(description.split())}"
        yield from textwrap.wrap(
            text,
            112,
            initial_indent="      ",
            subsequent_indent="          ",
            break_on_hyphens=False,
        )
