"""Docstrings, or functions with their bodies, of installed Python packages."""

import ast
import sys
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackagePath
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from lmcompare.core.errors import InputError
from lmcompare.core.settings import STRICT
from lmcompare.data.cache import digest
from lmcompare.data.sources import _files as files
from lmcompare.data.sources import _packages as packages
from lmcompare.data.sources.base import SOURCES, Row

PACKAGES = ("matplotlib", "numpy", "pandas", "scikit-learn", "scipy")
"""Read if none is named: lmcompare needs them, and all write docstrings in
numpy's style."""

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Documented = _Function | ast.ClassDef | ast.Module
_Holding = (ast.stmt, ast.excepthandler, ast.match_case)
_Defining = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@SOURCES.register("docstrings")
@dataclass(frozen=True)
class Docstrings:
    """Docstrings or functions of installed Python packages, which are not imported."""

    __pydantic_config__ = STRICT
    kind: ClassVar[str]

    packages: Annotated[tuple[str, ...], Field(min_length=1)] = PACKAGES
    """names of the packages as `pip` knows them"""
    code: bool = False
    """false: docstrings, to be summarized; true: functions, to be completed from their signature
    and docstring"""

    def rows(self) -> Iterator[Row]:
        """Yield docstrings with a summary line (PEP 257) and a body, or functions with both.

        Of a docstring: ``body``, ``summary``, ``text`` (the whole). Of a function:
        ``signature_and_docstring``, ``body``, ``text`` (the two with a newline between). Both have
        ``name`` ('numpy.matrixlib.defmatrix.matrix'), ``package`` and ``document``, the file: split
        by it, since a file repeats itself. Packages come in the order given, files by path,
        definitions as they stand in the file; tests are left out, and so is what this version of
        Python cannot parse.

        Raises:
            InputError: a package is not installed, or was installed without its Python files.
        """
        for package in self.packages:
            installed, names = _modules(package)
            for name in names:
                parsed = _parsed(Path(str(installed.locate_file(name))))
                if parsed is None:
                    continue
                tree, lines = parsed
                module = ".".join(name.with_suffix("").parts).removesuffix(".__init__")
                for qualified, node in _documented(tree, module):
                    row = _function(node, lines) if self.code else _docstring(node)
                    if row:
                        yield {**row, "name": qualified, "package": package, "document": str(name)}

    def fingerprint(self) -> str:
        content = []
        for package in self.packages:
            installed, names = _modules(package)
            hashes = [(str(name), _hash(installed, name)) for name in names]
            content.append((package, installed.version, hashes))
        # Python's version, since what it cannot parse is left out.
        return digest(self.kind, self.code, sys.version_info[:2], content)


def _modules(package: str) -> tuple[Distribution, list[PackagePath]]:
    installed = packages.distribution(package, "packages", repr(package))
    names = [n for n in installed.files or [] if n.suffix == ".py" and ".." not in n.parts]
    if not names:
        wanted = "wanted a package with Python files"
        raise InputError(f"packages: {wanted}, got {package!r} without any (a link to a folder?)")
    return installed, sorted(n for n in names if not {"test", "tests"} & {*n.parts[:-1]})


def _hash(installed: Distribution, name: PackagePath) -> str:
    # What pip wrote down spares reading thousands of files.
    return name.hash.value if name.hash else files.sha256(Path(str(installed.locate_file(name))))


def _parsed(path: Path) -> tuple[ast.Module, list[str]] | None:
    with files.readable(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other people's escapes
        try:
            with tokenize.open(path) as file:
                source = file.read()
            return ast.parse(source), source.split("\n")
        except (SyntaxError, ValueError, RecursionError):
            return None


def _documented(node: ast.AST, name: str) -> Iterator[tuple[str, _Documented]]:
    """Yield modules, classes and functions with their dotted names, as they stand in the file."""
    if isinstance(node, _Documented):
        yield name, node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, _Holding):
            continue
        below = f"{name}.{child.name}" if isinstance(child, _Defining) else name
        yield from _documented(child, below)


def _docstring(node: _Documented) -> Row | None:
    text = ast.get_docstring(node)
    summary, _, rest = (text or "").partition("\n")
    first, _, body = rest.partition("\n")
    if not summary.strip() or first.strip() or not body.strip():
        return None
    return {"body": body.strip("\n"), "summary": summary.strip(), "text": text}


def _function(node: _Documented, lines: list[str]) -> Row | None:
    if not isinstance(node, _Function) or ast.get_docstring(node) is None or len(node.body) < 2:
        return None
    start, documented, end = node.lineno - 1, node.body[0].end_lineno, node.end_lineno
    if documented is None or end is None or node.body[1].lineno <= documented:
        return None
    indent = " " * node.col_offset
    dedented = [line.removeprefix(indent).rstrip() for line in lines[start:end]]
    head, body = (
        "\n".join(dedented[: documented - start]),
        "\n".join(dedented[documented - start :]),
    )
    return {"signature_and_docstring": head, "body": body, "text": f"{head}\n{body}"}
