"""Folders that are built once: written beside their place and renamed into it, under a lock."""

import errno
import hashlib
import json
import shutil
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from lmcompare.core.errors import LmcompareError

_Settings = ParamSpec("_Settings")
_Built = TypeVar("_Built")
_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}


def digest(*parts: Any) -> str:
    """Return the SHA-256, in hex, of the parts written as JSON.

    >>> digest("a", 1)[:8], digest("a", "1")[:8]
    ('2657442b', 'b3435906')
    """
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def cached(folder: Path, build: Callable[[Path], None]) -> Path:
    """Return ``folder``, built by ``build(temporary folder)`` if it is not there yet.

    Two processes at once build it once; an interrupted build leaves nothing that looks finished.

    Raises:
        LmcompareError: the disk is full or the cache cannot be written.
    """
    if folder.is_dir():
        return folder
    from filelock import FileLock  # loads asyncio

    partial = folder.with_name(folder.name + ".partial")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(folder.name + ".lock")):
            if not folder.is_dir():
                shutil.rmtree(partial, ignore_errors=True)
                partial.mkdir()
                try:
                    build(partial)
                    partial.rename(folder)
                finally:
                    shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        cause = f"cannot be written ({error.strerror})"
        raise LmcompareError(f"{folder}: {cause}; set LMCOMPARE_CACHE to another place") from error
    return folder


def cached_in_memory(
    build: Callable[Concatenate[Any, _Settings], _Built],
) -> Callable[Concatenate[Any, _Settings], _Built]:
    """Keep the last result of ``build(source, ...)`` while the source holds the same content.

    The cells of a task follow each other in a worker and need the same items, and a source may take
    half a minute to read (the docstrings of five packages). Callers must not change the result.
    """
    last: list[Any] = []

    @wraps(build)
    def call(source: Any, /, *args: _Settings.args, **settings: _Settings.kwargs) -> _Built:
        key = (source.fingerprint(), args, settings)
        if not (last and last[0] is source and last[1] == key):
            last[:] = source, key, build(source, *args, **settings)
        result: _Built = last[2]
        return result

    return call
