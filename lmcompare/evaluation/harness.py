"""The harness: everything that a task measures a model with, so that tasks stay free of torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmcompare import metrics
from lmcompare.adaptation.finetuning import FinetuningRun
from lmcompare.adaptation.head_finetuning import (
    AdaptedModel,
    Criterion,
    finetune_classifier,
    finetune_head,
)
from lmcompare.adaptation.heads import PairHead, Predictions, SpanHead, TokenClassificationHead
from lmcompare.adaptation.probing import LabeledTexts
from lmcompare.adaptation.sft import (
    GeneratedAnswers,
    Pairs,
    RankedAnswers,
    generate_answers,
    greedy,
    rank_answers,
    supervised_finetune,
)
from lmcompare.core import settings
from lmcompare.core.cells import CellSettings, Progress
from lmcompare.core.example import Ids
from lmcompare.core.records import Trials
from lmcompare.data import Corpus, LabeledSplits, build_corpus
from lmcompare.data.labeled import labels_of
from lmcompare.data.packing import PackedSequences, pack_sequences
from lmcompare.data.tokenized_split import TokenizedSplit
from lmcompare.data.tokenizer import Tokenizer, build_tokenizer
from lmcompare.data.word_boundaries import TokenOffsets
from lmcompare.evaluation import baselines
from lmcompare.evaluation.ngram_model import TrigramModel

HEADS: dict[str, Any] = {"words": TokenClassificationHead, "pair": PairHead}
"""Heads on pooled states, by name."""


@dataclass(frozen=True)
class PreparedData:
    """What all cells share: the corpus, its tokenizer, and its documents packed into sequences."""

    corpus: Corpus
    tokenizer: Tokenizer
    sequences: PackedSequences

    @classmethod
    def of(cls, experiment: CellSettings, cache: Path) -> "PreparedData":
        """Read it from the cache; what is not there yet is built."""
        corpus = build_corpus(experiment.corpus, cache)
        tokenizer = build_tokenizer(corpus, experiment.tokenizer, cache)
        sequences = pack_sequences(corpus, tokenizer, experiment.sequence, cache)
        return cls(corpus, tokenizer, sequences)


@dataclass
class Harness:
    """What a task measures a model with.

    Texts are encoded by the model's tokenizer; for a control, and where ``shared`` is true, by that
    of the experiment. Where ``target`` is true, by that of the decoder: a translation model may
    have two.
    """

    data: PreparedData
    model: Any
    """the ``LanguageModel`` under test; None for a control"""
    seed: int
    context: int
    """tokens that a network may read at once"""
    pretraining_tokens: int
    """tokens that each network read in pretraining"""
    progress: Progress
    _metrics: dict[str, Any] = field(default_factory=dict)

    # Texts and tokens

    @cached_property
    def has_own_tokenizer(self) -> bool:
        """Whether the model is a checkpoint whose tokenizer is not that of the experiment."""
        shared = self.data.tokenizer.fingerprint
        return self.model is not None and self.model.tokenizer.fingerprint != shared

    def _tokenizer(self, shared: bool = False, target: bool = False) -> Tokenizer:
        own = self.has_own_tokenizer and not shared
        tokenizer: Tokenizer = self.model.tokenizer if own else self.data.tokenizer
        return tokenizer.target if target else tokenizer

    def encode(self, texts: Sequence[str], shared: bool = False, target: bool = False) -> list[Ids]:
        """Return the tokens of each text."""
        rows = self._tokenizer(shared, target).encode_batch(list(texts))
        return [np.array(row, dtype=np.int64) for row in rows]

    def decode(self, rows: Sequence[Ids], shared: bool = False, target: bool = False) -> list[str]:
        """Return the text of each row of tokens, which are those of ``encode``."""
        return [self._tokenizer(shared, target).decode(row.tolist()) for row in rows]

    def token_offsets(self, texts: Sequence[str]) -> list[TokenOffsets]:
        """Return the tokens of each text with the characters that they stand for."""
        return self._tokenizer().encode_with_offsets(texts)

    def byte_length(self, tokens: Ids, shared: bool = False) -> int:
        """Return how many UTF-8 bytes the tokens of the decoder stand for."""
        if self.has_own_tokenizer and not shared:
            return len(self._tokenizer(target=True).decode(tokens.tolist()).encode())
        # Of the experiment's byte-level tokenizer, each character of a token is a byte.
        names = self.data.tokenizer.hf_tokenizer.convert_ids_to_tokens(tokens.tolist())
        return sum(map(len, names))

    def test_documents(self) -> Any:
        """Return the held-out documents of the corpus: rows with ``document`` and ``text``."""
        return self.data.corpus.test

    # Adaptation

    def _run(self, adaptation: settings.Adaptation) -> FinetuningRun:
        return FinetuningRun(self.model, adaptation, self.seed, self.progress)

    def finetune_classifier(
        self, data: LabeledSplits, rows: dict[str, list[Ids]], adaptation: settings.Adaptation
    ) -> AdaptedModel:
        """Fine-tune a classification head; ``rows`` are the tokens of each split's items."""
        splits = {name: LabeledTexts(rows[name], labels_of(getattr(data, name))) for name in rows}
        return finetune_classifier(self._run(adaptation), splits, len(data.labels))

    def finetune_head(
        self,
        head: str,
        parts: Mapping[str, TokenizedSplit],
        adaptation: settings.Adaptation,
        score: Callable[[Predictions], float],
        *,
        by: str,
        **options: int,
    ) -> AdaptedModel:
        """Fine-tune a head of ``adaptation.heads`` and predict the test items.

        Args:
            head: 'words', 'pair' or 'span'.
            parts: train, validation and test.
            adaptation: the settings.
            score: of the predictions for the validation items; higher is better.
            by: name of that score.
            **options: of the head: ``outputs`` (labels) of words, ``longest`` (tokens) of a span.
        """
        heads: dict[Any, Any] = {None: SpanHead(**options)} if head == "span" else {}
        if head != "span":
            heads = {p: HEADS[head](pooling=p, **options) for p in adaptation.pooling}
        return finetune_head(self._run(adaptation), heads, parts, Criterion(by, score))

    def generate_answers(
        self,
        pairs: Mapping[str, Pairs],
        *,
        length: int,
        adaptation: settings.Adaptation | None,
        strategy: str = "confidence",
        steps: int | None = None,
    ) -> GeneratedAnswers:
        """Generate an answer to each test prompt: see ``adaptation.sft.generate``.

        Args:
            pairs: prompts and answers of 'train', 'validation' and 'test'; else of 'test' alone.
            length: tokens of an answer and its eos, at most.
            adaptation: settings of supervised fine-tuning; None: there is none.
            strategy: of a masked LM.
            steps: of a masked LM.
        """
        tuned = None
        if adaptation is not None:
            run = self._run(adaptation)
            tuned = supervised_finetune(run, pairs["train"], pairs["validation"], length=length)
        sampling = greedy(length, strategy, steps)
        return generate_answers(
            self.model, pairs["test"], sampling, tuned=tuned, progress=self.progress
        )

    def rank_answers(
        self, pairs: Mapping[str, Pairs], options: Sequence[Ids], *, adaptation: settings.Adaptation
    ) -> RankedAnswers:
        """Fine-tune on pairs, then rank the options as answers to each test prompt."""
        length = max(map(len, options)) + 1
        run = self._run(adaptation)
        tuned = supervised_finetune(run, pairs["train"], pairs["validation"], length=length)
        return rank_answers(tuned, pairs, options)

    # Metrics, baselines and n-gram models of the train split

    def metric(self, name: str, **inputs: Any) -> dict[str, Any]:
        """Compute one of ``metrics.METRICS``."""
        if name not in self._metrics:
            self._metrics[name] = metrics.load(name)
        values: dict[str, Any] = self._metrics[name].compute(**inputs)
        return values

    def unigram(self) -> NDArray[np.float64]:
        """Return log p (nats) of each shared token in the train split. Shape (vocab,)."""
        return self.data.sequences.unigram

    def trigram_judge(self) -> TrigramModel:
        """Return the trigram model of the train split that scores generated text."""
        return self._trigram_judge

    @cached_property
    def _trigram_judge(self) -> TrigramModel:
        return TrigramModel.of_rows(self.data.sequences.train, self.data.tokenizer.size)

    def trigram_baseline(self) -> TrigramModel:
        """Return the trigram model of as many tokens as each network read in pretraining."""
        tokens = self.pretraining_tokens
        rows = self.data.sequences.train
        return TrigramModel.of_rows(rows, self.data.tokenizer.size, tokens=tokens)

    def tfidf_classifier(
        self, data: LabeledSplits
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], Trials]:
        """Fit TF-IDF with logistic regression: see ``baselines.tfidf_classifier``."""
        train, validation = (
            ([item.text for item in items], labels_of(items).tolist())
            for items in (data.train, data.validation)
        )
        return baselines.tfidf_classifier(train, validation, [item.text for item in data.test])

    def tfidf_cosine(
        self, train: Sequence[str], pairs: Sequence[tuple[str, str]]
    ) -> NDArray[np.float64]:
        """Return the TF-IDF cosine of the two texts of each pair. Shape (pairs,)."""
        return baselines.tfidf_cosine(train, pairs)

    def nearest_neighbors(self, known: Sequence[str], queries: Sequence[str]) -> NDArray[np.int64]:
        """Return the index of the known text that is nearest to each query. Shape (queries,)."""
        return baselines.nearest_neighbors(known, queries)

    def majority_class(self, data: LabeledSplits, split: str) -> NDArray[np.float64]:
        """Return the class frequencies of the train items, for each item of a split."""
        labels = labels_of(data.train).tolist()
        return baselines.majority_class(labels, len(data.labels), len(getattr(data, split)))
