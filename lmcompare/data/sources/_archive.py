"""Reads texts from a folder or a tar archive, member by member; nothing is unpacked to disk."""

import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

from lmcompare.core.errors import InputError
from lmcompare.data.cache import digest
from lmcompare.data.sources import _files as files

SUFFIXES = (".tar", ".tar.gz", ".tgz")

_LARGEST = 1 << 28


def texts(path: str, wanted: Callable[[str], bool], encoding: str) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of each wanted file at ``path``, one in memory at a time.

    A folder is read in the order of its paths, an archive in its own order. Of an archive only
    plain files count, by the last part of their name: a link, a device or a path that leads out of
    it does no harm.

    Args:
        path: a folder (with the folders and archives in it), a ``.tar``, ``.tar.gz`` or ``.tgz``
            archive, or a file.
        wanted: whether a file counts, by its name without its folder; what starts with a dot never
            does.
        encoding: of the files.

    Raises:
        InputError: there is nothing at the path or none of the wanted files, one cannot be read, is
            larger than 256 MiB or is not of that encoding.
    """
    empty = True
    for file in _files(path, wanted):
        for name, content in _members(file, wanted) if _packed(file) else _alone(file):
            empty = False
            where = str(file) if name == file.name else f"{file}: {name}"
            if len(content) > _LARGEST:
                limit = f"larger than {_LARGEST >> 20} MiB; wanted smaller files"
                raise InputError(f"{where}: {limit}")
            try:
                text = content.decode(files.codec(file, encoding).removesuffix("-sig"))
            except UnicodeDecodeError as error:
                byte = error.object[error.start]
                raise files.wrong_encoding(where, encoding, byte, error.start) from None
            yield name, text.removeprefix("\ufeff")
    if empty:
        raise InputError(f"{path}: no file in it is of the kind that is wanted here")


def fingerprint(path: str, wanted: Callable[[str], bool]) -> str:
    """Return the SHA-256 of what ``texts`` reads (an archive counts as one file), with names."""
    return digest([(file.name, files.sha256(file)) for file in _files(path, wanted)])


def _packed(file: Path) -> bool:
    return file.name.lower().endswith(SUFFIXES)


def _files(path: str, wanted: Callable[[str], bool]) -> list[Path]:
    folder = Path(files.filled(path))
    if not folder.is_dir():
        return files.find(path, ())
    below = (file for file in folder.rglob("*") if file.is_file() and file.name[0] != ".")
    return sorted(file for file in below if _packed(file) or wanted(file.name))


def _alone(file: Path) -> Iterator[tuple[str, bytes]]:
    with files.readable(file), files.unpacked(file) as raw:
        yield file.name, raw.read(_LARGEST + 1)


def _members(file: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    try:
        with files.readable(file), tarfile.open(file, "r|*") as archive:
            for member in archive:
                name = member.name.rpartition("/")[2]
                if member.isreg() and not name.startswith(".") and wanted(name):
                    content = archive.extractfile(member)
                    assert content is not None  # it is a plain file
                    yield name, content.read(_LARGEST + 1)
    except tarfile.TarError as error:
        raise InputError(f"{file}: not a tar archive: {error}") from error
