"""What is done to every text before anything is counted, and when two texts are the same."""

import re
import unicodedata

_SURROGATES = re.compile("[\ud800-\udfff]")
_BREAKS = re.compile(r"<br\s*/?\s*>", re.IGNORECASE)
_BLANK_LINES = re.compile(r"\n{3,}")


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
