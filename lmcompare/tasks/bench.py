"""What a task may ask for while it measures a network, and how it says what it found."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lmcompare import settings
from lmcompare.corpora import Labelled
from lmcompare.example import Ids


@dataclass(frozen=True)
class Outcome:
    """One value; the fields are those of ``records.Record`` that a task decides.

    Attributes:
        metric: what was measured.
        value: in the metric's unit.
        item: id of the test item, or '' for a value of the whole task.
        split: where it was measured.
        exactness: for likelihoods: 'exact', 'chain', 'bound', 'pseudo'.
        arm: name of a control; '' for the arm under test.
    """

    metric: str
    value: float
    item: str = ""
    split: str = "test"
    exactness: str = ""
    arm: str = ""


@dataclass
class Measurement:
    """What a task found: outcomes, what the report should say of them, generations, costs."""

    outcomes: list[Outcome] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)
    samples: list[dict[str, Any]] = field(default_factory=list)
    currencies: dict[str, float] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)


class Bench(Protocol):
    """The tools; ``evaluate`` provides them, so that a task stays a light file without torch.

    Attributes:
        model: the network under test, a ``LanguageModel``; for a control there is none.
        seed: of the cell.
        context: tokens that a network may read at once.
        progress: is told {"done", "total", "stage"}.
    """

    model: Any
    seed: int
    context: int
    progress: Callable[[dict[str, Any]], None]

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        """Return the tokens of each text, in the shared vocabulary."""

    def decode(self, rows: Sequence[Ids]) -> list[str]:
        """Return the text of each row of tokens."""

    def byte_length(self, tokens: Ids) -> int:
        """Return how many UTF-8 bytes the tokens stand for."""

    def test_documents(self) -> Any:
        """Return the held-out documents of the corpus: rows with ``document`` and ``text``."""

    def finetune(self, data: Labelled, rows: dict[str, list[Ids]], adaptation: settings.Adaptation) -> Any:
        """Adapt the model and answer the test items: an ``adapt.Adapted``."""

    def metric(self, name: str, **inputs: Any) -> dict[str, float]:
        """Compute one of ``metrics.METRICS``."""

    def unigram(self) -> NDArray[np.float64]:
        """Return log p (nats) of each id in the train split. Shape (vocabulary,)."""

    def judge(self) -> Any:
        """Return the n-gram model of the train split that judges generations: a ``judge.Trigram``."""

    def trigram(self) -> Any:
        """Return the same model of only as many tokens as each network reads: a control."""

    def tfidf(self, data: Labelled) -> tuple[NDArray[np.float64], NDArray[np.float64], dict[str, Any]]:
        """Fit the linear control: see ``baselines.tfidf``."""

    def majority(self, data: Labelled, split: str) -> NDArray[np.float64]:
        """Return what the majority control says of each item of a split. Shape (items, classes)."""
