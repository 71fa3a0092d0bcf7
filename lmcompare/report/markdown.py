"""Foreign text made safe in GitHub Markdown."""

import html
import re

_PUNCTUATION = re.compile(r"([\\`*_\[\]~#!])")
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069\ufeff]"
)


def escape(text: object) -> str:
    r"""Make foreign text safe in a line or a cell of GitHub Markdown: it shows as it is.

    >>> escape("a|b\n`c` <br> *d* $x$")
    'a&#124;b \\`c\\` &lt;br&gt; \\*d\\* &#36;x&#36;'
    """
    text = _CONTROL.sub("�", str(text).replace("\r", " ").replace("\n", " ").replace("\t", " "))
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # An entity, not '\|': GitHub splits a row at bars before it reads backslashes.
    text = _PUNCTUATION.sub(r"\\\1", text).replace("|", "&#124;").replace("$", "&#36;")
    # A zero-width joiner between the slashes keeps an address from becoming a link.
    return text.replace("://", ":&#8203;//").replace("www.", "www&#8203;.")


def unescape(text: str) -> str:
    r"""Undo ``escape``, for a terminal.

    >>> unescape(escape("parts_of_speech < 1"))
    'parts_of_speech < 1'
    """
    return html.unescape(re.sub(r"\\" + _PUNCTUATION.pattern, r"\1", text)).replace("\u200b", "")


def code(text: object) -> str:
    """Write a name as inline code, in a table cell too.

    >>> code("causal"), code("a|b")
    ('`causal`', '<code>a&#124;b</code>')
    """
    text = str(text)
    plain = (
        text == text.strip() != "" and not set(text) & set("`|<>&$\n") and not _CONTROL.search(text)
    )
    return f"`{text}`" if plain else f"<code>{escape(text)}</code>"


def slug(text: str) -> str:
    """Return ``text`` as part of a file name: letters, digits, dots and dashes."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-.") or "task"
