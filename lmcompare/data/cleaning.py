"""Cleans every text before anything is counted."""

import re
import unicodedata

_SURROGATES = re.compile("[\ud800-\udfff]")
_BREAKS = re.compile(r"<br\s*/?\s*>", re.IGNORECASE)
_BLANK_LINES = re.compile(r"\n{3,}")


def clean(text: str) -> str:
    r"""Return the text in Unicode NFC, HTML breaks as newlines, runs of spaces as one space.

    Paragraphs stay. Cleaning what is clean changes nothing. A lone surrogate, which UTF-8 cannot
    encode, becomes U+FFFD.

    >>> clean("One  \tfilm.<br /><br />Two\r\nlines,  cafe\u0301. ")
    'One film.\n\nTwo\nlines, café.'
    """
    text = text.replace("\0", "")
    if not text.isascii():
        text = unicodedata.normalize("NFC", _SURROGATES.sub("\ufffd", text.replace("\ufeff", "")))
    while "<" in text and (unbroken := _BREAKS.sub("\n", text)) != text:
        text = unbroken  # again, for what '<br<br>>' leaves
    text = "\n".join(" ".join(line.split()) for line in text.splitlines())
    return _BLANK_LINES.sub("\n\n", text).strip()
