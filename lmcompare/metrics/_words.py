"""What counts as a word where some scripts put no space between words."""

import re
import string
import unicodedata

UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
"""A Chinese character or a Japanese kana: each is a word of its own here."""

_ARTICLES = re.compile(r"\b(a|an|the)\b")


def words(text: str) -> list[str]:
    """Return the lower-case words of a text in any script, without punctuation; each Chinese character is a word.

    For ASCII they are those of rouge-score.

    >>> words("The 3rd 版本, naïve!")
    ['the', '3rd', '版', '本', 'naïve']
    """
    kept = (" " if unicodedata.category(c)[0] in "PSZC" else c for c in text.lower())
    return UNSPACED.sub(r" \g<0> ", "".join(kept)).split()


def answer_words(text: str) -> list[str]:
    """Return the words of an answer as SQuAD's script compares them: lower case, no ASCII punctuation, no articles.

    In a text with Chinese characters, each of them is a word and all punctuation goes, as in MLQA (Lewis et al. 2020).

    >>> answer_words("The Eiffel Tower!"), answer_words("在北京。")
    (['eiffel', 'tower'], ['在', '北', '京'])
    """
    text = text.lower()
    everywhere = UNSPACED.search(text) is not None
    kept = (
        c
        for c in text
        if c not in string.punctuation
        and not (everywhere and unicodedata.category(c).startswith("P"))
    )
    return UNSPACED.sub(r" \g<0> ", _ARTICLES.sub(" ", "".join(kept))).split()
