"""F1, precision and recall of whole entities, read from the tags of words."""

from typing import Any

from seqeval import scheme as schemes
from seqeval.metrics import accuracy_score
from seqeval.metrics.sequence_labeling import get_entities, precision_recall_fscore_support
from seqeval.metrics.v1 import precision_recall_fscore_support as strict_scores

from lmcompare.core.errors import InputError, nearest
from lmcompare.metrics._metric import TEXTS, metric

_PREFIXES = {
    "IOB1": "BI",
    "IOB2": "BI",
    "IOE1": "IE",
    "IOE2": "IE",
    "IOBES": "BIES",
    "BILOU": "BILU",
}


@metric(
    predictions=TEXTS,
    references=TEXTS,
    citation="""\
    Nakayama (2018). seqeval: a Python framework for sequence labeling evaluation. Tjong Kim Sang &
    De Meulder (2003). Introduction to the CoNLL-2003 shared task. arXiv:cs/0306050.
    """,
    url="https://github.com/chakki-works/seqeval",
)
def seqeval(
    predictions: list[list[str]],
    references: list[list[str]],
    scheme: str | None = None,
    per_type: bool = False,
    per_item: bool = False,
) -> dict[str, Any]:
    """Entity F1 over the entities of all texts together (micro average), from 0 to 1.

    A predicted entity is right if its first word, its last word and its type are all right.
    Accuracy is that of the single tags, and high where most are O. A ratio of nothing is 0.

    Args:
        predictions: (n, words) predicted tags: O, or B-, I-, E- or S- with a type, such as B-PER.
        references: (n, words) true tags.
        scheme: "IOB1", "IOB2", "IOE1", "IOE2", "IOBES" or "BILOU": count only what is well formed
            in it. None: as CoNLL's script reads them, where an I- that nothing began begins an
            entity.
        per_type: also return the F1 of each type, {"f1_PER": float, ...}.
        per_item: also return "items": (n, 3) entities predicted rightly, predicted, and true: F1 is
            twice the sum of the first over the sum of the others.

    Returns:
        {"f1": float, "precision": float, "recall": float, "accuracy": float}

    Raises:
        InputError: there is no word, the texts or the tags of one differ in number, a tag is none
            of the scheme, or there is no such scheme.

    >>> predictions, references = [["B-PER", "O", "B-LOC"]], [["B-PER", "I-PER", "B-LOC"]]
    >>> seqeval().compute(predictions=predictions, references=references)
    {'f1': 0.5, 'precision': 0.5, 'recall': 0.5, 'accuracy': 0.6666666666666666}
    """
    if scheme is not None and scheme not in _PREFIXES:
        wanted = f"wanted one of {', '.join(_PREFIXES)}, got {scheme!r}"
        raise InputError(f"scheme: {wanted}{nearest(scheme, _PREFIXES)}")
    _require_tags(predictions, references, _PREFIXES.get(scheme or "", "BIES"))
    score: Any = precision_recall_fscore_support
    options: dict[str, Any] = {"zero_division": 0}
    if scheme is not None:
        score, options = strict_scores, options | {"scheme": getattr(schemes, scheme)}
    precision, recall, f1, _ = score(references, predictions, average="micro", **options)
    values: dict[str, Any] = {
        "f1": float(f1),
        "precision": float(precision),
        "recall": float(recall),
        "accuracy": float(accuracy_score(references, predictions)),
    }
    predicted, true = (
        [_entities(tags, scheme) for tags in texts] for texts in (predictions, references)
    )
    if per_type:
        types = sorted({entity[0] for entities in (*predicted, *true) for entity in entities})
        scores = score(references, predictions, average=None, **options)[2] if types else []
        values |= {f"f1_{kind}": float(value) for kind, value in zip(types, scores, strict=True)}
    if per_item:
        pairs = zip(predicted, true, strict=True)
        values["items"] = [[len(ours & theirs), len(ours), len(theirs)] for ours, theirs in pairs]
    return values


def _entities(tags: list[str], scheme: str | None) -> set[tuple[str, int, int]]:
    """Return the type, first and last word (in a scheme, the word after) of each entity."""
    if scheme is None:
        return set(get_entities(tags))
    entities = schemes.Entities([tags], getattr(schemes, scheme)).entities[0]
    return {(entity.tag, entity.start, entity.end) for entity in entities}


def _require_tags(predictions: list[list[str]], references: list[list[str]], prefixes: str) -> None:
    for item, (predicted, true) in enumerate(zip(predictions, references, strict=True)):
        if len(predicted) != len(true):
            raise InputError(
                f"item {item}: wanted {len(true)} tags, as many as words, got {len(predicted)}"
            )
        for tag in (*predicted, *true):
            if tag != "O" and not (tag[:1] and tag[0] in prefixes and tag[1:2] in ("", "-")):
                marks = ", ".join(f"{prefix}-" for prefix in prefixes)
                wanted = f"wanted O or a tag that begins with {marks}"
                raise InputError(f"item {item}: {wanted}, got {tag!r}")
    if not any(references):
        raise InputError("wanted texts of one word or more, got only empty ones")
