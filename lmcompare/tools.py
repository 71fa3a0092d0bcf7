"""What the work of a cell is given: the settings, the shared data, and the Bench that tasks measure on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lmcompare import baselines, metrics, settings
from lmcompare.adapt import Adapted, Texts, finetune
from lmcompare.blocks import Blocks, build_blocks
from lmcompare.corpora import Corpus, Labelled, build_corpus
from lmcompare.example import Ids
from lmcompare.judge import Trigram
from lmcompare.tasks.classification import labels_of
from lmcompare.vocabulary import Vocabulary, build_vocabulary


class Experiment(Protocol):
    """What the work of a cell reads of an experiment; see ``experiment.Experiment``.

    A Protocol: what computes imports nothing that a cell's key leaves out (``plan.OUTSIDE``).
    """

    name: str
    corpus: settings.Corpus
    vocabulary: settings.Vocabulary
    blocks: settings.Blocks
    training: settings.Training
    arms: Any
    tasks: Any

    def network_of(self, arm: str) -> settings.Network:
        """Return the sizes of an arm's network."""

    def training_of(self, arm: str) -> settings.Training:
        """Return how an arm is trained."""


@dataclass(frozen=True)
class Data:
    """The shared pipeline's result, read from the cache."""

    corpus: Corpus
    vocabulary: Vocabulary
    blocks: Blocks

    @classmethod
    def of(cls, experiment: Experiment, folder: Path) -> "Data":
        """Build what is not in the cache yet."""
        corpus = build_corpus(experiment.corpus, folder)
        vocabulary = build_vocabulary(corpus, experiment.vocabulary, folder)
        return cls(corpus, vocabulary, build_blocks(corpus, vocabulary, experiment.blocks, folder))


@dataclass
class Tools:
    """The Bench that tasks are given: see ``tasks.bench.Bench``."""

    data: Data
    model: Any
    seed: int
    context: int
    budget: int
    progress: Callable[[dict[str, Any]], None]
    _metrics: dict[str, Any] = field(default_factory=dict)

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        """Return the tokens of each text, in the shared vocabulary."""
        return [np.array(row, dtype=np.int64) for row in self.data.vocabulary.encode_batch(list(texts))]

    def decode(self, rows: Sequence[Ids]) -> list[str]:
        """Return the text of each row of tokens."""
        return [self.data.vocabulary.decode(row.tolist()) for row in rows]

    def byte_length(self, tokens: Ids) -> int:
        """Return how many UTF-8 bytes the tokens stand for; a byte-level token has one character a byte."""
        return sum(map(len, self.data.vocabulary.tokenizer.convert_ids_to_tokens(tokens.tolist())))

    def test_documents(self) -> Any:
        """Return the held-out documents of the corpus."""
        return self.data.corpus.test

    def finetune(self, data: Labelled, rows: dict[str, list[Ids]], adaptation: settings.Adaptation) -> Adapted:
        """Adapt the model and answer the test items."""
        parts = {name: Texts(rows[name], labels_of(getattr(data, name))) for name in ("train", "validation", "test")}
        return finetune(
            self.model,
            **parts,
            classes=len(data.labels),
            adaptation=adaptation,
            seed=self.seed,
            progress=self.progress,
        )

    def metric(self, name: str, **inputs: Any) -> dict[str, float]:
        """Compute one of ``metrics.METRICS``."""
        if name not in self._metrics:
            self._metrics[name] = metrics.load(name)
        found: dict[str, float] = self._metrics[name].compute(**inputs)
        return found

    def unigram(self) -> NDArray[np.float64]:
        """Return log p (nats) of each id in the train split."""
        return self.data.blocks.unigram

    def judge(self) -> Trigram:
        """Return the n-gram model of the train split."""
        return self._judge

    def trigram(self) -> Trigram:
        """Return the n-gram model of as many tokens of the train split as each network reads."""
        return Trigram.of_rows(self.data.blocks.train, self.data.vocabulary.size, tokens=self.budget)

    @cached_property
    def _judge(self) -> Trigram:
        return Trigram.of_rows(self.data.blocks.train, self.data.vocabulary.size)

    def tfidf(self, data: Labelled) -> tuple[NDArray[np.float64], NDArray[np.float64], dict[str, Any]]:
        """Fit the linear control."""
        pairs = {
            name: ([item.text for item in getattr(data, name)], labels_of(getattr(data, name)).tolist())
            for name in ("train", "validation")
        }
        return baselines.tfidf(pairs["train"], pairs["validation"], [item.text for item in data.test])

    def majority(self, data: Labelled, split: str) -> NDArray[np.float64]:
        """Return what the majority control says of each item of a split."""
        return baselines.majority(labels_of(data.train).tolist(), len(data.labels), len(getattr(data, split)))
