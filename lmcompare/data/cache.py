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

_Asked = ParamSpec("_Asked")
_Built = TypeVar("_Built")
_WRITING = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}


def digest(*parts: Any) -> str:
    """Return the SHA-256, in hex, of the parts written as JSON.

    >>> digest("a", 1)[:8], digest("a", "1")[:8]
    ('2657442b', 'b3435906')
    """
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def cached(folder: Path, build: Callable[[Path], None]) -> Path:
    """Return ``folder``, built by ``build(temporary folder)`` if it is not there yet.

    Two processes that ask at once build it once; a build that is cut off leaves nothing that looks finished.

    Raises:
        LmcompareError: the disk is full or the cache cannot be written.
    """
    if folder.is_dir():
        return folder
    from filelock import FileLock  # here, since it loads asyncio

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
        if error.errno not in _WRITING:
            raise
        raise LmcompareError(
            f"{folder}: cannot be written ({error.strerror}); set LMCOMPARE_CACHE to another place"
        ) from error
    return folder


def remembered(
    build: Callable[Concatenate[Any, _Asked], _Built],
) -> Callable[Concatenate[Any, _Asked], _Built]:
    """Let a builder of items, ``build(source, ...)``, keep its last result while the source holds the same content.

    The cells of a task follow each other in a worker and ask for the same items, and a source may take half a minute to
    read (the docstrings of five packages). Who asks must not change what is returned.
    """
    last: list[Any] = []

    @wraps(build)
    def ask(source: Any, /, *args: _Asked.args, **settings: _Asked.kwargs) -> _Built:
        wanted = (source.fingerprint(), args, settings)
        if not (last and last[0] is source and last[1] == wanted):
            last[:] = source, wanted, build(source, *args, **settings)
        built: _Built = last[2]
        return built

    return ask
