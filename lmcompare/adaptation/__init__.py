"""A trained network meets a task: the same heads, the same menu of poolings, the same trials for every objective.

Every head stands on the states of ``Network.states``: of a decoder or an encoder its last ones, of an encoder-decoder
those of its encoder (its decoder is left out: what it says is another route, text to text). So a word or an answer of
an encoder-decoder is found where the encoder reads it, which sees the whole text.
"""

from lmcompare.adaptation.heads import (
    ClassificationHead,
    Head,
    PairHead,
    SpanHead,
    TokenClassificationHead,
)
from lmcompare.adaptation.probing import ProbeTexts, choose_pooling
from lmcompare.adaptation.trials import AdaptedModel, Score, adapt, finetune

__all__ = [
    "AdaptedModel",
    "Head",
    "ClassificationHead",
    "PairHead",
    "SpanHead",
    "ProbeTexts",
    "Score",
    "TokenClassificationHead",
    "adapt",
    "choose_pooling",
    "finetune",
]
