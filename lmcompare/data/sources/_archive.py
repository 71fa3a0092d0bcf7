"""Texts that lie in a folder or in a tar archive; an archive is read member by member and never unpacked to disk."""

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

    A folder is read in the order of its paths, an archive in its own order: another pass gives the same. Of an archive
    only plain files count, by the last part of their name: a link, a device or a path that leads out of it does no
    harm.

    Args:
        path: a folder (with the folders and archives in it), a ``.tar``, ``.tar.gz`` or ``.tgz`` archive, or a file.
        wanted: says of a file's name, without its folder, whether it counts; what starts with a dot never does.
        encoding: of the files.

    Raises:
        InputError: there is nothing at the path or none of the wanted files, one cannot be read, is larger than 256 MiB
            or is not of that encoding.
    """
    found = False
    for file in _files(path, wanted):
        for name, content in _members(file, wanted) if _packed(file) else _alone(file):
            found = True
            yield name, _decoded(content, file, name, encoding)
    if not found:
        raise InputError(f"{path}: no file in it is of the kind that is wanted here")


def fingerprint(path: str, wanted: Callable[[str], bool]) -> str:
    """Return the SHA-256 of the files (an archive counts as one), with their names: of what ``texts`` reads."""
    return digest([(file.name, files.sha256(file)) for file in _files(path, wanted)])


def _packed(file: Path) -> bool:
    return file.name.lower().endswith(SUFFIXES)


def _files(path: str, wanted: Callable[[str], bool]) -> list[Path]:
    place = files.expanded(path)
    if place.is_dir():
        below = (
            file for file in place.rglob("*") if file.is_file() and not file.name.startswith(".")
        )
        return sorted(file for file in below if _packed(file) or wanted(file.name))
    return files.find(path, ())


def _alone(file: Path) -> Iterator[tuple[str, bytes]]:
    with files.readable(file), files.unpacked(file) as raw:
        yield file.name, _limited(raw.read(_LARGEST + 1), str(file))


def _members(file: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    try:
        with files.readable(file), tarfile.open(file, "r|*") as archive:
            for member in archive:
                name = member.name.rpartition("/")[2]
                if member.isreg() and not name.startswith(".") and wanted(name):
                    content = archive.extractfile(member)
                    assert content is not None  # it is a plain file
                    yield name, _limited(content.read(_LARGEST + 1), f"{file}: {name}")
    except tarfile.TarError as error:
        raise InputError(f"{file}: not a tar archive: {error}") from error


def _limited(content: bytes, where: str) -> bytes:
    if len(content) > _LARGEST:
        raise InputError(f"{where}: larger than {_LARGEST >> 20} MiB; wanted smaller files")
    return content


def _decoded(content: bytes, file: Path, name: str, encoding: str) -> str:
    try:
        return content.decode(files.codec(file, encoding).removesuffix("-sig")).removeprefix(
            "\ufeff"
        )
    except UnicodeDecodeError as error:
        where = f"{file}: {name}" if name != file.name else str(file)
        got = f"byte 0x{error.object[error.start]:02x} at offset {error.start}"
        raise InputError(
            f"{where}: not {encoding.upper()}: {got}; convert it, or set `encoding`"
        ) from None
