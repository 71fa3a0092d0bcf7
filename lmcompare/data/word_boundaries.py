"""Which tokens begin a word or end a sentence, and where the tokens of a text stand in it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmcompare.core.example import Ids

_CLOSING = "\"'’”»)]}」』）】 "
_ENDS = (".", "!", "?", "。", "！", "？", "…")


@dataclass(frozen=True)
class TokenOffsets:
    """A text in tokens, and where they stand in it. n tokens."""

    ids: Ids
    """(n,) int64"""
    spans: Ids
    """(n, 2) int64: first and last (exclusive) character of each token, without white space before
    it"""
    words: Ids
    """(n,) int64: number of each token's word, from 0. Words are those of the pre-tokenizer, each
    character of a script without spaces being one; without a pre-tokenizer, ``word_starts``
    decides."""


def word_starts(tokens: Sequence[str], style: str) -> NDArray[np.bool_]:
    """Return whether each token, as the vocabulary spells it, begins a word. Shape (len(tokens),).

    A token is judged by itself. It begins a word if it begins with white space (byte-level BPE: 'Ġ'
    for a space, 'Ċ' for a newline; SentencePiece: '▁'), if it is punctuation throughout, or if its
    first character is of a script without spaces (Han, kana) or an emoji. So ``'Ġdon'``, ``"'t"``
    are one word; so are an opening quote and the word it opens, and a newline and the word after
    it. In WordPiece every token but '##...' begins one.

    Args:
        tokens: as the vocabulary spells them.
        style: 'ByteLevel', 'Metaspace', 'WordPiece', or '' if unknown: every token begins a word.

    >>> word_starts(["Ġfilm", "s", "'t", ".", "Ċ", "ä¸Ń"], "ByteLevel").tolist()
    [True, False, False, True, True, True]
    >>> word_starts(["film", "##s"], "WordPiece").tolist()
    [True, False]
    >>> word_starts(["▁film", "s"], "Metaspace").tolist()
    [True, False]
    """
    return np.array([_begins_word(token, style) for token in tokens], dtype=bool)


def _begins_word(token: str, style: str) -> bool:
    if style == "WordPiece":
        return not token.startswith("##")
    if style not in ("ByteLevel", "Metaspace"):
        return True
    text = _byte_level_text(token) if style == "ByteLevel" else token.replace("▁", " ")
    if text[:1].isspace() or stands_alone(text[:1]):
        return True
    return not any(character.isalnum() or character == "\ufffd" for character in text)


def stands_alone(character: str) -> bool:
    """Return whether a character is of a script without spaces (Han, kana) or beyond U+FFFF."""
    return "\u3000" <= character <= "\u9fff" or character > "\uffff"


def sentence_ends(tokens: Sequence[str], style: str) -> NDArray[np.bool_]:
    """Return whether each token, as the vocabulary spells it, ends a sentence, (len(tokens),).

    It does if it ends in one of ``. ! ? 。 ！ ？ …``, spaces and closing quotes and brackets aside.

    >>> sentence_ends([".", "Ġfilm", '."', "ãĢĤ"], "ByteLevel").tolist()
    [True, False, True, True]
    """
    texts = map(_byte_level_text, tokens) if style == "ByteLevel" else tokens
    return np.array([text.rstrip(_CLOSING).endswith(_ENDS) for text in texts], dtype=bool)


@cache
def _byte_of() -> dict[str, int]:
    """Return the byte of each character of a byte-level token (Radford et al. 2019, 2.2)."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {chr(b): b for b in shown} | {chr(256 + i): b for i, b in enumerate(hidden)}


def _byte_level_text(token: str) -> str:
    return bytes(_byte_of().get(character, 63) for character in token).decode(errors="replace")


def style_of(config: dict[str, Any]) -> str:
    """Return how a tokenizer, by its JSON, marks words: see ``word_starts``."""
    if config["model"]["type"] == "WordPiece":
        return "WordPiece"
    parts = json.dumps([config["pre_tokenizer"], config["decoder"]])
    if '"ByteLevel"' in parts:
        return "ByteLevel"
    return "Metaspace" if '"Metaspace"' in parts or "▁" in parts else ""
