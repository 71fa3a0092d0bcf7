"""F1, precision and recall of whole entities, read from the tags of words."""

from typing import Any

import datasets
import evaluate
from seqeval import scheme as schemes
from seqeval.metrics import accuracy_score
from seqeval.metrics.sequence_labeling import get_entities, precision_recall_fscore_support
from seqeval.metrics.v1 import precision_recall_fscore_support as strictly

from lmcompare.core.errors import InputError, nearest
from lmcompare.metrics import _pairs
from lmcompare.metrics._checks import require_answers

_DESCRIPTION = """\
Entity F1: an entity is found if its first word, its last word and its type are all right; F1 over the entities of all
texts together (micro average). From 0 to 1, higher is better. Accuracy is that of the single tags, and high where most
are O.
"""
_INPUTS = """
Args:
    predictions: (n, words) predicted tags: O, or B-, I-, E- or S- with a type, such as B-PER.
    references: (n, words) true tags.
    scheme: "IOB1", "IOB2", "IOE1", "IOE2", "IOBES" or "BILOU": count only what is well formed in it. Default none: as
        CoNLL's script reads them, where an I- that nothing began begins an entity.
    per_type: also return the F1 of each type. Default False.
    per_item: also return each item's counts. Default False.
Returns:
    {"f1": float, "precision": float, "recall": float, "accuracy": float}; a ratio of nothing is 0. With per_type also
    {"f1_PER": float, ...}; with per_item also {"items": (n, 3) entities found, predicted and wanted}: F1 is twice the
    sum of found over the sum of predicted and wanted.
Raises:
    InputError: there is no prediction or no word, the lengths differ, of the texts or of the tags of one, a tag is none
        of the scheme, or there is no such scheme.
Example:
    >>> load("seqeval").compute(predictions=[["B-PER", "O", "B-LOC"]], references=[["B-PER", "I-PER", "B-LOC"]])
    {'f1': 0.5, 'precision': 0.5, 'recall': 0.5, 'accuracy': 0.6666666666666666}
"""
_CITATION = """\
Nakayama (2018). seqeval: a Python framework for sequence labeling evaluation.
Tjong Kim Sang & De Meulder (2003). Introduction to the CoNLL-2003 shared task. arXiv:cs/0306050.
"""
_PREFIXES = {
    "IOB1": "BI",
    "IOB2": "BI",
    "IOE1": "IE",
    "IOE2": "IE",
    "IOBES": "BIES",
    "BILOU": "BILU",
}
_TAGS = datasets.Sequence(datasets.Value("string"))


class Seqeval(_pairs.PairMetric):
    """F1 of entities (seqeval)."""

    def _info(self) -> Any:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features({"predictions": _TAGS, "references": _TAGS}),
            reference_urls=["https://github.com/chakki-works/seqeval"],
        )

    def _compute(
        self,
        predictions: list[list[str]],
        references: list[list[str]],
        scheme: str | None = None,
        per_type: bool = False,
        per_item: bool = False,
    ) -> dict[str, Any]:
        require_answers("seqeval", predictions)
        if scheme is not None and scheme not in _PREFIXES:
            wanted = f"wanted one of {', '.join(_PREFIXES)}, got {scheme!r}"
            raise InputError(f"seqeval: scheme: {wanted}{nearest(scheme, _PREFIXES)}")
        _require_tags(predictions, references, _PREFIXES.get(scheme or "", "BIES"))
        count: Any = precision_recall_fscore_support
        options: dict[str, Any] = {"zero_division": 0}
        if scheme is not None:
            count, options = strictly, options | {"scheme": getattr(schemes, scheme)}
        precision, recall, f1, _ = count(references, predictions, average="micro", **options)
        found: dict[str, Any] = {
            "f1": float(f1),
            "precision": float(precision),
            "recall": float(recall),
        }
        found["accuracy"] = float(accuracy_score(references, predictions))
        said, wanted_entities = (
            [_entities(tags, scheme) for tags in texts] for texts in (predictions, references)
        )
        if per_type:
            types = sorted(
                {entity[0] for entities in (*said, *wanted_entities) for entity in entities}
            )
            each = count(references, predictions, average=None, **options)[2] if types else []
            found |= {f"f1_{kind}": float(score) for kind, score in zip(types, each, strict=True)}
        if per_item:
            pairs = zip(said, wanted_entities, strict=True)
            found["items"] = [
                [len(ours & theirs), len(ours), len(theirs)] for ours, theirs in pairs
            ]
        return found


def _entities(tags: list[str], scheme: str | None) -> set[tuple[str, int, int]]:
    """Return the type, the first word and the last (or, in a scheme, the one after) of each entity."""
    if scheme is None:
        return set(get_entities(tags))
    entities = schemes.Entities([tags], getattr(schemes, scheme)).entities[0]
    return {(entity.tag, entity.start, entity.end) for entity in entities}


def _require_tags(predictions: list[list[str]], references: list[list[str]], prefixes: str) -> None:
    for item, (said, wanted) in enumerate(zip(predictions, references, strict=True)):
        if len(said) != len(wanted):
            raise InputError(
                f"seqeval: item {item}: wanted {len(wanted)} tags, as many as words, got {len(said)}"
            )
        for tag in (*said, *wanted):
            if tag != "O" and not (tag[:1] and tag[0] in prefixes and tag[1:2] in ("", "-")):
                marks = ", ".join(f"{prefix}-" for prefix in prefixes)
                raise InputError(
                    f"seqeval: item {item}: wanted O or a tag that begins with {marks}, got {tag!r}"
                )
    if not any(references):
        raise InputError("seqeval: wanted texts of one word or more, got only empty ones")
