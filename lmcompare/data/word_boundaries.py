"""Where tokens stand: which begin a word or end a sentence, and the pieces of a text."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmcompare.core.example import Ids


def _byte_of() -> dict[str, int]:
    """Return the byte that each character of a byte-level token stands for (Radford et al. 2019, section 2.2)."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {chr(b): b for b in shown} | {chr(256 + i): b for i, b in enumerate(hidden)}


def _begins_word(token: str, style: str, bytes_of: dict[str, int]) -> bool:
    if style == "WordPiece":
        return not token.startswith("##")
    if style == "ByteLevel":
        text = bytes(bytes_of.get(character, 63) for character in token).decode(errors="replace")
    elif style == "Metaspace":
        text = token.replace("▁", " ")
    else:
        return True
    if text[:1].isspace() or stands_alone(text[:1]):
        return True
    return not any(character.isalnum() or character == "\ufffd" for character in text)


def stands_alone(character: str) -> bool:
    """Return whether a character is of a script without spaces (Han, kana) or beyond U+FFFF (rare Han, emoji)."""
    return "\u3000" <= character <= "\u9fff" or character > "\uffff"


def word_starts(tokens: Sequence[str], style: str) -> NDArray[np.bool_]:
    """Return whether each token, as the vocabulary spells it, begins a word. Shape (len(tokens),).

    A token is judged by itself. It begins a word if it begins with white space (byte-level BPE: 'Ġ' for a space, 'Ċ'
    for a newline; SentencePiece: '▁'), if it is punctuation throughout, or if its first character is of a script
    without spaces (Han, kana) or an emoji. So ``'Ġdon'``, ``"'t"`` are one word; so are an opening quote and the word
    it opens, and a newline and the word after it, which nothing in the second token tells apart. In WordPiece every
    token but '##...' begins one.

    Args:
        tokens: as the vocabulary spells them.
        style: 'ByteLevel', 'Metaspace', 'WordPiece', or '' if not known: then every token begins a word.

    >>> word_starts(["Ġfilm", "s", "'t", ".", "Ċ", "ä¸Ń"], "ByteLevel").tolist()
    [True, False, False, True, True, True]
    >>> word_starts(["film", "##s"], "WordPiece").tolist(), word_starts(["▁film", "s"], "Metaspace").tolist()
    ([True, False], [True, False])
    """
    bytes_of = _byte_of()
    return np.array([_begins_word(token, style, bytes_of) for token in tokens], dtype=bool)


_CLOSING = "\"'’”»)]}」』）】 "


def sentence_ends(tokens: Sequence[str], style: str) -> NDArray[np.bool_]:
    """Return whether each token, as the vocabulary spells it, ends a sentence. Shape (len(tokens),).

    It does if it ends in one of ``. ! ? 。 ！ ？ …``, spaces and closing quotes and brackets left aside.

    >>> sentence_ends([".", "Ġfilm", '."', "ãĢĤ"], "ByteLevel").tolist()
    [True, False, True, True]
    """
    bytes_of = _byte_of()

    def text(token: str) -> str:
        if style != "ByteLevel":
            return token
        return bytes(bytes_of.get(character, 63) for character in token).decode(errors="replace")

    return np.array(
        [text(token).rstrip(_CLOSING).endswith(tuple(".!?。！？…")) for token in tokens], dtype=bool
    )


@dataclass(frozen=True)
class TokenOffsets:
    """A text in tokens, and where they stand in it. n tokens.

    Attributes:
        ids: (n,) int64.
        spans: (n, 2) int64: first and last (exclusive) character of each token, white space before it left out.
        words: (n,) int64: number of the word of each token, from 0: the pieces that the tokenizer cuts a text into
            before it looks for tokens, each character of a script without spaces being one; if it does not cut,
            ``word_starts`` decides.
    """

    ids: Ids
    spans: Ids
    words: Ids


def style_of(described: dict[str, Any]) -> str:
    """Return how the tokenizer described by its JSON marks words: see ``word_starts``."""
    if described["model"]["type"] == "WordPiece":
        return "WordPiece"
    parts = json.dumps([described["pre_tokenizer"], described["decoder"]])
    if '"ByteLevel"' in parts:
        return "ByteLevel"
    return "Metaspace" if '"Metaspace"' in parts or "▁" in parts else ""
