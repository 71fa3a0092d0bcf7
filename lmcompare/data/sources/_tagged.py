"""Splits words from the tag behind a slash: `The/at jury/nn said/vbd`."""

from lmcompare.core.errors import InputError


def split_words(line: str, where: str) -> tuple[list[str], list[str]]:
    """Return the words of a line and their tags; the last slash of a word stands before its tag.

    >>> split_words("1/2/cd cup/nn ,/,", "here")
    (['1/2', 'cup', ','], ['cd', 'nn', ','])

    Raises:
        InputError: a word has no tag; the message begins with ``where``.
    """
    tokens, tags = [], []
    for word in line.split():
        token, _, tag = word.rpartition("/")
        if not token or not tag:
            raise InputError(f"{where}: wanted words with a tag such as `jury/nn`, got {word!r}")
        tokens.append(token)
        tags.append(tag)
    return tokens, tags
