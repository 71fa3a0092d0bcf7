"""What the work of a cell is given: its settings, the shared data, and the harness that tasks measure with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lmcompare import metrics
from lmcompare.adaptation import (
    AdaptedModel,
    PairHead,
    ProbeTexts,
    SpanHead,
    TokenClassificationHead,
    adapt,
    finetune,
)
from lmcompare.adaptation.sft import GeneratedAnswers, Pairs, answer
from lmcompare.adaptation.sft_ranking import RankedAnswers, choose
from lmcompare.core import settings
from lmcompare.core.example import Ids
from lmcompare.core.records import Trials
from lmcompare.data import Corpus, LabeledSplits, build_corpus
from lmcompare.data.packing import PackedSequences, build_blocks
from lmcompare.data.tokenizer import Tokenizer, build_tokenizer
from lmcompare.data.word_boundaries import TokenOffsets
from lmcompare.evaluation import baselines
from lmcompare.evaluation.ngram_model import TrigramModel
from lmcompare.tasks.base import TokenizedSplit
from lmcompare.tasks.classification import labels_of


class Experiment(Protocol):
    """What the work of a cell reads of an experiment; see ``experiment.Experiment``.

    A Protocol: what computes imports nothing that a cell's key leaves out (``plan.OUTSIDE``).
    """

    name: str
    corpus: settings.CorpusSettings
    tokenizer: settings.TokenizerSettings
    sequence: settings.SequenceSettings
    training: settings.TrainingSettings
    models: Any
    tasks: Any

    def network_of(self, model: str) -> settings.NetworkSettings:
        """Return the sizes of a model's network."""

    def training_of(self, model: str) -> settings.TrainingSettings:
        """Return how a model is trained."""


@dataclass(frozen=True)
class PreparedData:
    """The shared pipeline's result, read from the cache."""

    corpus: Corpus
    tokenizer: Tokenizer
    blocks: PackedSequences

    @classmethod
    def of(cls, experiment: Experiment, folder: Path) -> "PreparedData":
        """Build what is not in the cache yet."""
        corpus = build_corpus(experiment.corpus, folder)
        tokenizer = build_tokenizer(corpus, experiment.tokenizer, folder)
        return cls(corpus, tokenizer, build_blocks(corpus, tokenizer, experiment.sequence, folder))


@dataclass
class Harness:
    """What a task measures a network with; tasks themselves stay light files without torch.

    Texts are encoded by the tokenizer of the model; for a control, and where ``shared`` is true, by that of the
    experiment. Where ``target`` is true, by that of the decoder: a translation model may have two.
    """

    data: PreparedData
    model: Any
    """the ``LanguageModel`` under test; None for a control"""
    seed: int
    context: int
    """tokens that a network may read at once"""
    budget: int
    """tokens that each network read in pretraining"""
    progress: Callable[[dict[str, Any]], None]
    """is called with {"done", "total", "stage"}"""
    _metrics: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def foreign(self) -> bool:
        """Whether the model is a checkpoint with tokens of its own."""
        return (
            self.model is not None
            and self.model.tokenizer.fingerprint != self.data.tokenizer.fingerprint
        )

    def encode(self, texts: Sequence[str], shared: bool = False, target: bool = False) -> list[Ids]:
        """Return the tokens of each text."""
        return [
            np.array(row, dtype=np.int64)
            for row in self._tokenizer(shared, target).encode_batch(list(texts))
        ]

    def decode(self, rows: Sequence[Ids], shared: bool = False, target: bool = False) -> list[str]:
        """Return the text of each row of tokens, which are those of ``encode``."""
        return [self._tokenizer(shared, target).decode(row.tolist()) for row in rows]

    def _tokenizer(self, shared: bool, target: bool = False) -> Tokenizer:
        own: Tokenizer = (
            self.model.tokenizer if self.foreign and not shared else self.data.tokenizer
        )
        return own.said if target else own

    def byte_length(self, tokens: Ids, shared: bool = False) -> int:
        """Return how many UTF-8 bytes the tokens of the decoder stand for."""
        if self.foreign and not shared:
            return len(self._tokenizer(shared, target=True).decode(tokens.tolist()).encode())
        return sum(
            map(len, self.data.tokenizer.hf_tokenizer.convert_ids_to_tokens(tokens.tolist()))
        )

    def test_documents(self) -> Any:
        """Return the held-out documents of the corpus: rows with ``document`` and ``text``."""
        return self.data.corpus.test

    def finetune(
        self, data: LabeledSplits, rows: dict[str, list[Ids]], adaptation: settings.Adaptation
    ) -> AdaptedModel:
        """Adapt the model and answer the test items."""
        parts = {
            name: ProbeTexts(rows[name], labels_of(getattr(data, name)))
            for name in ("train", "validation", "test")
        }
        return finetune(
            self.model,
            **parts,
            classes=len(data.labels),
            adaptation=adaptation,
            seed=self.seed,
            progress=self.progress,
        )

    def adapt(
        self,
        head: str,
        parts: Mapping[str, TokenizedSplit],
        adaptation: settings.Adaptation,
        score: Callable[[list[NDArray[np.float64]]], float],
        *,
        by: str,
        **options: int,
    ) -> AdaptedModel:
        """Adapt the model through a head of ``adaptation.heads`` and answer the test items.

        Args:
            head: 'words', 'pair' or 'span'.
            parts: train, validation and test.
            adaptation: the settings.
            score: of the answers to the validation items; higher is better.
            by: name of that score.
            **options: of the head: ``outputs`` (labels) of words, ``longest`` (tokens) of a span.
        """
        if head == "span":
            menu: Any = {None: SpanHead(**options)}
        else:
            kind: Any = {"words": TokenClassificationHead, "pair": PairHead}[head]
            menu = {pooling: kind(pooling=pooling, **options) for pooling in adaptation.pooling}
        return adapt(
            self.model,
            menu,
            parts,
            adaptation=adaptation,
            score=score,
            by=by,
            seed=self.seed,
            progress=self.progress,
        )

    def pieces(self, texts: Sequence[str]) -> list[TokenOffsets]:
        """Return the tokens of each text, the model's own, with the characters that they stand for."""
        return self._tokenizer(shared=False).pieces(texts)

    def answer(self, pairs: Mapping[str, Pairs], **settings: Any) -> GeneratedAnswers:
        """Fine-tune the model on pairs (or take it as it is) and let it answer the test prompts."""
        parts = (pairs.get("train", ()), pairs.get("validation", ()), pairs["test"])
        return answer(self.model, *parts, seed=self.seed, progress=self.progress, **settings)

    def choose(
        self, pairs: Mapping[str, Pairs], options: Sequence[Ids], **settings: Any
    ) -> RankedAnswers:
        """Fine-tune the model on pairs and let it choose an option for each test prompt."""
        parts = (pairs["train"], pairs["validation"], pairs["test"])
        return choose(
            self.model, *parts, options=options, seed=self.seed, progress=self.progress, **settings
        )

    def metric(self, name: str, **inputs: Any) -> dict[str, Any]:
        """Compute one of ``metrics.METRICS``."""
        if name not in self._metrics:
            self._metrics[name] = metrics.load(name)
        found: dict[str, Any] = self._metrics[name].compute(**inputs)
        return found

    def unigram(self) -> NDArray[np.float64]:
        """Return log p (nats) of each id of the shared tokenizer in the train split. Shape (vocab,)."""
        return self.data.blocks.unigram

    def judge(self) -> TrigramModel:
        """Return the n-gram model of the train split, in shared tokens, that judges generations."""
        return self._judge

    def trigram(self) -> TrigramModel:
        """Return the n-gram model of as many tokens of the train split as each network reads: a control."""
        return TrigramModel.of_rows(
            self.data.blocks.train, self.data.tokenizer.size, tokens=self.budget
        )

    @cached_property
    def _judge(self) -> TrigramModel:
        return TrigramModel.of_rows(self.data.blocks.train, self.data.tokenizer.size)

    def tfidf(self, data: LabeledSplits) -> tuple[NDArray[np.float64], NDArray[np.float64], Trials]:
        """Fit the linear control."""
        pairs = {
            name: (
                [item.text for item in getattr(data, name)],
                labels_of(getattr(data, name)).tolist(),
            )
            for name in ("train", "validation")
        }
        return baselines.tfidf(
            pairs["train"], pairs["validation"], [item.text for item in data.test]
        )

    def tfidf_cosine(
        self, train: Sequence[str], pairs: Sequence[tuple[str, str]]
    ) -> NDArray[np.float64]:
        """Return how much the texts of each pair share."""
        return baselines.tfidf_cosine(train, pairs)

    def nearest(self, known: Sequence[str], asked: Sequence[str]) -> NDArray[np.int64]:
        """Return which known text is most like each asked one."""
        return baselines.nearest(known, asked)

    def majority(self, data: LabeledSplits, split: str) -> NDArray[np.float64]:
        """Return what the majority control says of each item of a split."""
        return baselines.majority(
            labels_of(data.train).tolist(), len(data.labels), len(getattr(data, split))
        )
