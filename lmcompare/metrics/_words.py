"""Words and n-grams of texts, also in scripts that put no space between words."""

import re
import string
import unicodedata

UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
"""A Chinese character or a Japanese kana: each is a word of its own here."""

_ARTICLES = re.compile(r"\b(a|an|the)\b")


def words(text: str) -> list[str]:
    """Return the lower-case words of a text in any script, without punctuation.

    Each Chinese character is a word; for ASCII the words are those of rouge-score.

    >>> words("The 3rd 版本, naïve!")
    ['the', '3rd', '版', '本', 'naïve']
    """
    kept = (" " if unicodedata.category(c)[0] in "PSZC" else c for c in text.lower())
    return UNSPACED.sub(r" \g<0> ", "".join(kept)).split()


def answer_words(text: str) -> list[str]:
    """Return the words of an answer as SQuAD's script compares them.

    They are lower case, without ASCII punctuation and articles.     In a text with Chinese
    characters, each of them is a word and all punctuation goes, as in MLQA (Lewis et al. 2020).

    >>> answer_words("The Eiffel Tower!"), answer_words("在北京。")
    (['eiffel', 'tower'], ['在', '北', '京'])
    """
    text = text.lower()
    dropped = set(string.punctuation)
    if UNSPACED.search(text):
        dropped |= {c for c in text if unicodedata.category(c).startswith("P")}
    kept = "".join(c for c in text if c not in dropped)
    return UNSPACED.sub(r" \g<0> ", _ARTICLES.sub(" ", kept)).split()


def ngrams(text: str, n: int) -> list[tuple[str, ...]]:
    """Return the n-grams of a text's words (what white space divides), in order.

    >>> ngrams("a b a b", 2)
    [('a', 'b'), ('b', 'a'), ('a', 'b')]
    """
    words = text.split()
    return list(zip(*(words[i:] for i in range(n)), strict=False))
