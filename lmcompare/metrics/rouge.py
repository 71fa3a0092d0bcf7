"""ROUGE-1, ROUGE-2 and ROUGE-L: shared words, pairs of words and common subsequences."""

from types import SimpleNamespace
from typing import Any

from rouge_score import rouge_scorer

from lmcompare.core.errors import InputError, nearest
from lmcompare.metrics._metric import TEXT, TEXTS, metric
from lmcompare.metrics._words import words

_TYPES = ("rouge1", "rouge2", "rougeL")
_TOKENIZERS = ("any", "latin")


@metric(
    predictions=TEXT,
    references=TEXTS,
    citation="""\
    Lin (2004). ROUGE: a package for automatic evaluation of summaries. Text Summarization Branches
    Out. Computed by rouge-score, Google's reimplementation.
    """,
    url="https://aclanthology.org/W04-1013",
)
def rouge(
    predictions: list[str],
    references: list[list[str]],
    tokenizer: str = "latin",
    stem: bool = False,
    per_item: bool = False,
) -> dict[str, Any]:
    """ROUGE: F1 of what a text shares with the right one, the mean over items, from 0 to 1.

    Shared are words (rouge1), pairs of adjacent words (rouge2) and the longest common subsequence
    of words (rougeL); of several right texts the one that gives the most counts.

    Args:
        predictions: (n,) texts.
        references: (n,) the right text, or the list of all right texts.
        tokenizer: "latin" (rouge-score's own: runs of a-z and 0-9, all else divides) or "any"
            (words of any script, each Chinese character a word; on ASCII the same as "latin").
        stem: let Porter's stemmer take the endings off; "latin" only.
        per_item: also return "items": (n, 3) rouge1, rouge2, rougeL of each item.

    Raises:
        InputError: there is no such tokenizer, or "latin" drops more than half of the words of a
            reference: Chinese would score 0.

    >>> rouge().compute(predictions=["the cat sat on a mat"], references=["the cat sat on the mat"])
    {'rouge1': 0.8333333333333334, 'rouge2': 0.6, 'rougeL': 0.8333333333333334}
    """
    if tokenizer not in _TOKENIZERS:
        wanted = f"wanted one of {', '.join(_TOKENIZERS)}, got {tokenizer!r}"
        raise InputError(f"tokenizer: {wanted}{nearest(tokenizer, _TOKENIZERS)}")
    if stem and tokenizer != "latin":
        raise InputError(f"stem: wanted tokenizer 'latin', whose words it knows, got {tokenizer!r}")
    if tokenizer == "latin":
        _require_latin(references)
    any_script = SimpleNamespace(tokenize=words) if tokenizer == "any" else None
    scorer = rouge_scorer.RougeScorer(_TYPES, use_stemmer=stem, tokenizer=any_script)
    items = []
    for text, right in zip(predictions, references, strict=True):
        best = scorer.score_multi(right, text)
        items.append([float(best[kind].fmeasure) for kind in _TYPES])
    means = [sum(column) / len(items) for column in zip(*items, strict=True)]
    return dict(zip(_TYPES, means, strict=True)) | ({"items": items} if per_item else {})


def _require_latin(references: list[list[str]]) -> None:
    for item, texts in enumerate(references):
        for text in texts:
            all_words = words(text)
            if 2 * sum(not word.isascii() for word in all_words) > len(all_words):
                got = f"{text[:20]!r}, of which tokenizer 'latin' drops more than half"
                raise InputError(
                    f"item {item}: wanted a reference in Latin letters, got {got}; give 'any'"
                )
