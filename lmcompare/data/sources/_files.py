"""Finds, hashes and opens the files of a source."""

import codecs
import glob
import gzip
import hashlib
import io
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

from lmcompare.core.errors import InputError, nearest
from lmcompare.data.cache import digest
from lmcompare.data.sources.base import Row

Paths = str | tuple[str, ...]

_CHUNK = 1 << 20
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|([A-Za-z_]\w*))")


def unset(path: str) -> list[str]:
    """Return a problem for each variable of the environment that a path names and is not set."""
    names = [match[1] or match[2] for match in _VARIABLE.finditer(path)]
    return [
        f"the environment variable {name} is not set; "
        f"wanted e.g. `export {name}=/folder/of/the/data`"
        for name in names
        if name not in os.environ
    ]


def filled(path: str) -> str:
    """Return the path with ``~`` and every ``$NAME`` or ``${NAME}`` of the environment filled in.

    Raises:
        InputError: a variable is not set.
    """
    if problems := unset(path):
        raise InputError(*(f"{path}: {problem}" for problem in problems))
    return os.path.expanduser(_VARIABLE.sub(lambda match: os.environ[match[1] or match[2]], path))


def has_suffix(path: Path, suffixes: tuple[str, ...]) -> bool:
    """Return whether a file ends in one of the suffixes, in either case, packed (.gz) or not."""
    return path.name.lower().removesuffix(".gz").endswith(suffixes)


def find(path: Paths, suffixes: tuple[str, ...]) -> list[Path]:
    """Return the files that ``path`` names: a file, a pattern (``*``, ``**``), a folder or several.

    Of a folder, the files with one of these suffixes count, packed with gzip (``.txt.gz``) or not,
    in the folders below it, too. ``${NAME}`` in a path is a variable of the environment.

    Raises:
        InputError: some name no file; all of them are listed.
    """
    files: list[Path] = []
    problems = []
    for name in (path,) if isinstance(path, str) else path:
        place = Path(filled(name))
        if place.is_dir():
            matches = [file for file in place.rglob("*") if has_suffix(file, suffixes)]
            problem = f"{name}: the folder has no file with suffix {' or '.join(suffixes)}"
        else:
            matches = [Path(file) for file in glob.glob(str(place), recursive=True)]
            matches = [place] if place.is_file() else matches
            problem = f"{name}: no such file{_misspelled(place)}"
        matches = sorted(file for file in matches if file.is_file())
        if not matches:
            problems.append(problem)
        files.extend(matches)
    if not files and not problems:
        problems.append("path: wanted a file, a pattern or a folder, got an empty list")
    if problems:
        raise InputError(*problems)
    return list(dict.fromkeys(files))


def _misspelled(place: Path) -> str:
    beside = [str(file) for file in place.parent.iterdir()] if place.parent.is_dir() else []
    hint = nearest(str(place), beside) if len(beside) < 1000 else ""
    return hint if "did you mean" in hint else ""


@lru_cache(maxsize=1024)
def _sha256(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, read anew only when its size or time has changed."""
    with readable(path):
        state = path.stat()
        return _sha256(path, state.st_size, state.st_mtime_ns)


def fingerprint(source: Any, suffixes: tuple[str, ...]) -> str:
    """Return the SHA-256 of a source's files, in their order, and of its settings but ``path``."""
    settings = {field.name: getattr(source, field.name) for field in fields(source)}
    files = find(settings.pop("path"), suffixes)
    return digest(source.kind, settings, [sha256(file) for file in files])


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Raise an InputError where a file cannot be opened, read or unpacked."""
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        cause = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read ({cause})") from error


def codec(path: Path, encoding: str) -> str:
    """Return Python's name of an encoding; of UTF-8, the one that skips a byte-order mark.

    Raises:
        InputError: there is no such encoding.
    """
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        wanted = "wanted one that Python knows, such as 'utf-8'"
        raise InputError(f"{path}: no encoding {encoding!r}; {wanted}") from None
    return "utf-8-sig" if name == "utf-8" else name


def unpacked(path: Path) -> BinaryIO:
    """Open a file's bytes, those of a ``.gz`` file unpacked."""
    packed = path.suffix.lower() == ".gz"
    return cast(BinaryIO, gzip.open(path)) if packed else path.open("rb")


def wrong_encoding(where: Path | str, encoding: str, byte: int, offset: int) -> InputError:
    """Return the error that text is not of an encoding."""
    got = f"byte 0x{byte:02x} at offset {offset}"
    return InputError(f"{where}: not {encoding.upper()}: {got}; convert it, or set `encoding`")


@contextmanager
def opened(path: Path, encoding: str) -> Iterator[TextIO]:
    """Open a file as text, newlines kept, without a byte-order mark; a ``.gz`` file unpacked.

    Raises:
        InputError: it cannot be opened, there is no such encoding, or (from inside the block) bytes
            are not of it: the message names the file and the offset of the first such byte.
    """
    name = codec(path, encoding)
    try:
        with (
            readable(path),
            unpacked(path) as raw,
            io.TextIOWrapper(raw, encoding=name, newline="") as file,
        ):
            yield file
    except UnicodeError:
        offset, byte = _first_bad_byte(path, name)
        raise wrong_encoding(path, encoding, byte, offset) from None


def _first_bad_byte(path: Path, encoding: str) -> tuple[int, int]:
    # utf-8-sig counts its errors from behind the byte-order mark; utf-8 from the start of the file.
    decoder = codecs.getincrementaldecoder(encoding.removesuffix("-sig"))()
    read = 0
    with unpacked(path) as file:
        while True:
            chunk = file.read(_CHUNK)
            waiting = len(decoder.getstate()[0])
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                return read - waiting + error.start, error.object[error.start]
            if not chunk:
                return read, 0
            read += len(chunk)


def with_text(row: Row, column: str, path: Path | str) -> Row:
    """Return the row with the text of ``column`` as ``text``; all other columns stay.

    A row without the default column ``text`` passes: a task may name another one.

    Raises:
        InputError: there is no column of that name.
    """
    if column == "text":
        return row
    if column not in row:
        raise InputError(f"{path}: no column {column!r}{nearest(column, row)}")
    return {**row, "text": row[column]}
