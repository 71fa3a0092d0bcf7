"""Folders that are built once: written beside their place and renamed into it, under a lock."""

import errno
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lmcompare.errors import LmcompareError

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
