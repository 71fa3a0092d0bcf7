"""What is done to every text before anything is counted, and when two texts are the same."""

import re
import unicodedata
from functools import lru_cache

_SURROGATES = re.compile("[\ud800-\udfff]")
_BREAKS = re.compile(r"<br\s*/?\s*>", re.IGNORECASE)
_BLANK_LINES = re.compile(r"\n{3,}")
_ASCII_NOT_ALPHANUMERIC = bytes(i for i in range(128) if not chr(i).isalnum())


def clean(text: str) -> str:
    r"""Return the text in Unicode NFC, html breaks as newlines, runs of spaces as one, paragraphs kept.

    Cleaning what is clean changes nothing. What UTF-8 cannot say (a lone surrogate) becomes U+FFFD.

    >>> clean("One  \tfilm.<br /><br />Two\r\nlines,  cafe\u0301. ")
    'One film.\n\nTwo\nlines, café.'
    """
    text = text.replace("\0", "")
    if not text.isascii():
        text = unicodedata.normalize("NFC", _SURROGATES.sub("\ufffd", text.replace("\ufeff", "")))
    while (unbroken := _BREAKS.sub("\n", text) if "<" in text else text) != text:
        text = unbroken  # again, for what '<br<br>>' leaves
    text = "\n".join(" ".join(line.split()) for line in text.splitlines())
    return _BLANK_LINES.sub("\n\n", text).strip()


@lru_cache(maxsize=65536)
def _is_kept(character: str) -> bool:
    # Marks belong to the letters before them: without them two words of Hindi or Thai would look alike.
    return unicodedata.category(character)[0] in "LNM"


def folded(text: str) -> bytes:
    """Return what is compared to find near duplicates: letters, marks and digits alone, without case, as UTF-8.

    A text that has none of them stands for itself.

    >>> folded("A good film!"), folded("a GOOD, film"), folded("?!")
    (b'agoodfilm', b'agoodfilm', b'?!')
    """
    if text.isascii():
        kept = text.lower().encode().translate(None, _ASCII_NOT_ALPHANUMERIC)
    else:
        characters = text.casefold()
        dropped = {ord(character): None for character in set(characters) if not _is_kept(character)}
        kept = characters.translate(dropped).encode()
    return kept or text.encode()
