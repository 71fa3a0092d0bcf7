"""What a task may ask for while it measures a network, and how it says what it found."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import PurePath
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from lmcompare.core import settings
from lmcompare.core.example import Ids
from lmcompare.core.records import Notes, Trials
from lmcompare.data import LabeledSplits
from lmcompare.data.word_boundaries import TokenOffsets


@dataclass(frozen=True)
class TaskOutcome:
    """One value; the fields are those of ``records.Record`` that a task decides.

    Attributes:
        metric: what was measured.
        value: in the metric's unit.
        item: id of the test item, or '' for a value of the whole task.
        split: where it was measured.
        exactness: for likelihoods: 'exact', 'chain', 'bound', 'pseudo'.
        model: name of a control; '' for the model under test.
        part: '<kind>/<name>' ('class/positive') of a value of a part of the items; '' for all of them.
    """

    metric: str
    value: float
    item: str = ""
    split: str = "test"
    exactness: str = ""
    model: str = ""
    part: str = ""


@dataclass
class Measurement:
    """What a task measured: outcomes, what the report should say of them, generations, costs."""

    outcomes: list[TaskOutcome] = field(default_factory=list)
    notes: Notes = field(default_factory=Notes)
    samples: list[dict[str, Any]] = field(default_factory=list)
    costs: dict[str, float] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TokenizedSplit:
    """The items of one split as a head is asked about them, in tokens.

    Attributes:
        rows: of each item, the tokens of its texts: one, or the two of a pair.
        wanted: of each item: (words,) labels; a score; or the first and last token of the answer, (-1, -1) if it is
            not there. Of test items it is not looked at.
        marks: of each item, for each token of its one text: the number of its word, from 0; or 1 where an answer may
            lie, else 0. Empty for pairs.
    """

    rows: list[tuple[Ids, ...]]
    wanted: list[Any]
    marks: list[Ids] = field(default_factory=list)


def described(source: Any) -> str:
    """Return a source in a few words, for the line of a report: its kind and what is not as by default.

    Of a path its last part is said: where the rest lies is the machine's matter.
    """
    said = [str(source.kind)]
    for setting in fields(source):
        value = getattr(source, setting.name)
        if value != setting.default:
            paths = [value] if isinstance(value, str) else value
            value = (
                ", ".join(PurePath(path).name for path in paths)
                if setting.name == "path"
                else value
            )
            said.append(f"{setting.name}={value}" if value != "" else f"{setting.name}=''")
    return " ".join(said)


class Bench(Protocol):
    """The tools; ``evaluate`` provides them, so that a task stays a light file without torch.

    Attributes:
        model: the network under test, a ``LanguageModel``; for a control there is none.
        seed: of the cell.
        context: tokens that a network may read at once.
        foreign: whether the model is a checkpoint with tokens of its own, not those of the shared vocabulary.
        progress: is told {"done", "total", "stage"}.
    """

    model: Any
    seed: int
    context: int
    foreign: bool
    progress: Callable[[dict[str, Any]], None]

    def encode(self, texts: Sequence[str], shared: bool = False, said: bool = False) -> list[Ids]:
        """Return the tokens of each text: the model's own; of a control, and if ``shared``, the shared vocabulary's.

        If ``said``, those that its decoder says: a translator that reads in another vocabulary than it writes has two.
        """

    def decode(self, rows: Sequence[Ids], shared: bool = False, said: bool = False) -> list[str]:
        """Return the text of each row of tokens, which are those of ``encode``."""

    def byte_length(self, tokens: Ids, shared: bool = False) -> int:
        """Return how many UTF-8 bytes the tokens of ``encode`` stand for (of those said, if the model is asked)."""

    def test_documents(self) -> Any:
        """Return the held-out documents of the corpus: rows with ``document`` and ``text``."""

    def finetune(
        self,
        data: LabeledSplits,
        rows: dict[str, list[Ids]],
        adaptation: settings.AdaptationSettings,
    ) -> Any:
        """Adapt the model and answer the test items: an ``adapt.Adapted``."""

    def adapt(
        self,
        head: Literal["words", "pair", "span"],
        parts: Mapping[str, TokenizedSplit],
        adaptation: settings.AdaptationSettings,
        score: Callable[[list[NDArray[np.float64]]], float],
        *,
        by: str,
        **options: int,
    ) -> Any:
        """Adapt the model through a head of ``adapt.heads`` and answer the test items: an ``adapt.Adapted``.

        Args:
            head: which kind.
            parts: train, validation and test.
            adaptation: the settings.
            score: of the answers to the validation items; higher is better.
            by: what that score is called.
            **options: of the head: ``outputs`` (labels) of words, ``longest`` (tokens) of a span.
        """

    def pieces(self, texts: Sequence[str]) -> list[TokenOffsets]:
        """Return the tokens of each text, in the shared vocabulary, with the characters that they stand for."""

    def answer(self, pairs: Mapping[str, Sequence[tuple[Ids, Ids]]], **settings: Any) -> Any:
        """Fine-tune the model on pairs and let it answer the test prompts: an ``answering.Answered``.

        Args:
            pairs: prompts and answers of train, validation and test, in tokens; of a model as it is, of test alone.
            **settings: ``length``, ``adaptation`` (None: as it is), ``strategy``, ``steps``: see ``answering.answer``.
        """

    def choose(
        self,
        pairs: Mapping[str, Sequence[tuple[Ids, Ids]]],
        options: Sequence[Ids],
        **settings: Any,
    ) -> Any:
        """Fine-tune the model on pairs and let it choose an option for each test prompt: a ``choosing.Chosen``.

        Args:
            pairs: prompts and answers of train, validation and test, in tokens.
            options: the answers that there are.
            **settings: ``adaptation``: see ``choosing.choose``.
        """

    def metric(self, name: str, **inputs: Any) -> dict[str, Any]:
        """Compute one of ``metrics.METRICS``."""

    def unigram(self) -> NDArray[np.float64]:
        """Return log p (nats) of each id of the shared vocabulary in the train split. Shape (vocabulary,)."""

    def judge(self) -> Any:
        """Return the n-gram model of the train split that judges generations, in shared tokens: a ``judge.Trigram``."""

    def trigram(self) -> Any:
        """Return the same model of only as many tokens as each network reads: a control."""

    def tfidf(self, data: LabeledSplits) -> tuple[NDArray[np.float64], NDArray[np.float64], Trials]:
        """Fit the linear control: see ``baselines.tfidf``."""

    def tfidf_cosine(
        self, train: Sequence[str], pairs: Sequence[tuple[str, str]]
    ) -> NDArray[np.float64]:
        """Return how much the texts of each pair share: see ``baselines.tfidf_cosine``."""

    def nearest(self, known: Sequence[str], asked: Sequence[str]) -> NDArray[np.int64]:
        """Return which known text is most like each asked one: see ``baselines.nearest``."""

    def majority(self, data: LabeledSplits, split: str) -> NDArray[np.float64]:
        """Return what the majority control says of each item of a split. Shape (items, classes)."""
