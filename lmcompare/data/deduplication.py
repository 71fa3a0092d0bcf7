"""Finds documents that repeat earlier ones by 64-bit hashes, 8 bytes a document."""

import hashlib
import unicodedata
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_PARTS = 32
_ASCII_NOT_ALPHANUMERIC = bytes(i for i in range(128) if not chr(i).isalnum())


@lru_cache(maxsize=65536)
def _is_kept(character: str) -> bool:
    # Marks belong to the letters before them: without them two words of Hindi would look alike.
    return unicodedata.category(character)[0] in "LNM"


def duplicate_key(text: str) -> bytes:
    """Return what near duplicates share: letters, marks and digits alone, without case, as UTF-8.

    A text that has none of them is its own key.

    >>> duplicate_key("A good film!"), duplicate_key("a GOOD, film"), duplicate_key("?!")
    (b'agoodfilm', b'agoodfilm', b'?!')
    """
    if text.isascii():
        key = text.lower().encode().translate(None, _ASCII_NOT_ALPHANUMERIC)
    else:
        characters = text.casefold()
        dropped = {ord(character): None for character in set(characters) if not _is_kept(character)}
        key = characters.translate(dropped).encode()
    return key or text.encode()


def hash64(content: bytes) -> int:
    """Return 64 bits of BLAKE2b: a million documents have a collision with probability 3e-8."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def repeats(hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return, for each hash, whether it occurs before. Shape (n,) in and out.

    The hashes are sorted in 32 parts, by their lowest bits, to save memory: 2 bytes a document.

    >>> repeats(np.array([7, 9, 7, 7, 8], dtype=np.uint64)).tolist()
    [False, False, True, True, False]
    """
    repeated = np.zeros(len(hashes), dtype=bool)
    lowest = np.ascontiguousarray(hashes).view(np.uint8)[::8]
    for part in range(_PARTS):
        rows = np.flatnonzero(lowest % _PARTS == part)
        order = rows[np.argsort(hashes[rows], kind="stable")]
        repeated[order[1:]] = hashes[order[1:]] == hashes[order[:-1]]
    return repeated
