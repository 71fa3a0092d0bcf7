"""Text infilling: the masked spans of a text, filled as the objective of a model fills them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lmcompare.core.errors import InputError, not_whole
from lmcompare.core.example import Example, Ids, collate
from lmcompare.core.infilling_types import (
    AllowedTokens,
    FilledSpans,
    InfillingNetwork,
    InfillingTemplate,
    SpanInContext,
    Unmasked,
)
from lmcompare.generation.autoregressive import (
    SamplingProcessor,
    continue_constrained,
    continue_examples,
)
from lmcompare.generation.infilling_template import parse
from lmcompare.generation.sampling import Sampling
from lmcompare.generation.unmasking import unmask
from lmcompare.models.network import BatchTensors, evaluation_mode
from lmcompare.scoring.model_protocol import ScoredModel, check_text, check_texts
from lmcompare.scoring.requests import fitting

RANKED_BY_TEXT = "ranked by the whole text"
"""The handicap of a choice by an objective that does not read the right context."""


@dataclass(frozen=True)
class InfilledText:
    """A text whose masked spans are filled."""

    text: str
    """the whole, as typed but for the spans"""
    fills: list[str]
    """the text of each span; neighboring masks are one span"""
    tokens: list[Ids]
    """the ids of each span"""
    score: float
    """log p (nats) of the spans, see ``exactness``"""
    exactness: str
    """'exact' (log p of the spans as the objective scores them), 'chain' (a proper log-likelihood
    in the order of filling, given the lengths) or 'pseudo' (none)"""
    handicap: str
    """what an objective of this kind could not do, or ''"""
    calls: int
    """forward passes"""


def infill(
    model: ScoredModel,
    text: str,
    *,
    lengths: Iterable[int] = range(1, 9),
    choices: Sequence[str] | None = None,
    strategy: str = "confidence",
    steps: int | None = None,
    temperature: float = 0.0,
    seed: int = 0,
) -> InfilledText:
    """Fill the masked spans of a text; all else stays as typed.

    ``[MASK]``, ``<mask>`` and the tokenizer's own mask stand for one token each, ``<hole>`` for a
    span of unknown length. Spaces before a span belong to its first token (in most vocabularies a
    word's token brings its space).

    How a span is filled, the objective says (``Objective.fill_spans``): masked models unmask, those
    that learned to write spans after sentinels do so (seq2seq, T5, glm), BART's decoder writes the
    whole text and is free within the spans, causal models continue each left context, which is
    labeled as a handicap.

    With ``choices`` (for a text with one span) the span is the choice of highest log p, for causal
    models that of the whole text: this is the fair comparison of all models, if the choices have
    equally many tokens.

    Args:
        model: with its tokenizer and objective.
        text: with at least one marker.
        lengths: tokens to try in a span of unknown length; the largest is the most that a decoder
            writes.
        choices: texts to choose from.
        strategy: of a masked model, one of ``unmasking.STRATEGIES``.
        steps: of a masked model, forward passes for one filling.
        temperature: 0 takes the best token, 1 samples.
        seed: of the sampling.

    Raises:
        InputError: there is no marker, the network did not learn to fill spans (a translator,
            T5Gemma), the context does not hold the filled text, a choice has no tokens, no lengths,
            or a setting that cannot be or is for masked models alone.
    """
    choices = None if choices is None else check_texts(choices, "choices")
    text = check_text(text, "text")
    sampling = Sampling(temperature=temperature, strategy=strategy, steps=steps, seed=seed)
    lengths = _check_lengths(lengths)
    if model.objective.role != "encoder":
        sampling.check_without_unmasking("infill", model.objective.kind)
    tokenizer = model.tokenizer
    typed = parse(text, getattr(tokenizer.hf_tokenizer, "mask_token", None))
    network = _SpanWriter(model, lengths, sampling)
    if choices is None:
        filled = model.objective.fill_spans(typed.ids(tokenizer), network)
    else:
        if len(typed.lengths) != 1 or not choices:
            raise InputError(
                f"choices: wanted some, for a text with one hole; got {len(choices)} for "
                f"{len(typed.lengths)}"
            )
        spelled = [
            choice if choice.startswith(" ") else typed.spaces[0] + choice for choice in choices
        ]
        spans = [np.array(row, dtype=np.int64) for row in tokenizer.encode_batch(spelled)]
        for i, choice in enumerate(choices):
            if not choice or not len(spans[i]):
                raise InputError(f"choices[{i}]: wanted a text with tokens, got {choice!r}")
        filled = _choose(model, typed.ids(tokenizer), spans, network)
    fills = [tokenizer.decode(span.tolist()).removeprefix("##") for span in filled.spans]
    return InfilledText(
        typed.filled(fills),
        fills,
        filled.spans,
        filled.score,
        filled.exactness,
        filled.handicap,
        filled.calls,
    )


def _choose(
    model: ScoredModel, template: InfillingTemplate, spans: Sequence[Ids], network: InfillingNetwork
) -> FilledSpans:
    """Return the span of highest log p."""
    objective, special = model.objective, model.tokenizer.special
    left, right = template.parts
    scores, calls = [], 0
    for span in spans:
        context = SpanInContext(left, span, right, ends_text=True)
        examples = objective.infilling_examples(context, special, score_right=True)
        scores.append(network.log_likelihood(examples))
        calls += len(examples)
    best = int(np.argmax(scores))
    handicap = "" if objective.reads_right_context(special) else RANKED_BY_TEXT
    return FilledSpans([spans[best]], scores[best], objective.exactness, calls, handicap)


class _SpanWriter:
    """The network of a model, as an objective may use it to fill spans: see
    ``core.infilling.InfillingNetwork``.
    """

    def __init__(self, model: ScoredModel, lengths: list[int], sampling: Sampling) -> None:
        self.network, self.special, self.context = (
            model.network,
            model.tokenizer.special,
            model.context,
        )
        self.lengths, self.sampling, self.seed = lengths, sampling, sampling.seed

    def unmask(self, candidates: Sequence[Example], *, shift: int = 0) -> Unmasked:
        for example in candidates:
            self.check_fits(example)
        decoded = unmask(self.network, candidates, self.special, self.sampling, shift=shift)
        best = max(range(len(candidates)), key=lambda i: float(decoded.scores[i].mean()))
        return Unmasked(
            best, decoded.tokens[best], decoded.scores[best], decoded.exactness, decoded.calls
        )

    def write(
        self,
        prompt: Example,
        length: int,
        *,
        rng: np.random.Generator,
        allowed: AllowedTokens | None = None,
        ends: bool = False,
    ) -> Ids:
        temperature = self.sampling.temperature
        if allowed is not None:
            read = prompt.inputs if prompt.decoder_inputs is None else prompt.decoder_inputs
            size = max(len(prompt.inputs), len(read) + length - 1)
            self.check_fits(Example(np.zeros(size, np.int64), np.zeros(size, np.int64)))
            return continue_constrained(
                self.network, prompt, self.special, length, allowed, temperature, rng
            )
        sampling = replace(self.sampling, length=length, may_end=ends)
        processor = SamplingProcessor(sampling, [rng]) if temperature else None
        new = continue_examples(
            self.network, [prompt], self.special, sampling, processor=processor, least=1
        )
        row: Ids = new[0]
        return row

    def log_likelihood(self, examples: Sequence[Example]) -> float:
        total = 0.0
        for example in examples:
            self.check_fits(example)
            with evaluation_mode(self.network):
                batch = BatchTensors.of(collate([example], self.special.pad), self.network.device)
                total += -float(self.network(batch).double().sum())
        return total

    def check_fits(self, example: Example) -> None:
        fitting(example, self.context, "text")


def _check_lengths(lengths: Iterable[int]) -> list[int]:
    """Return the lengths to try, at least one, each of them 1 or more."""
    if not isinstance(lengths, Iterable):
        raise InputError(f"lengths: wanted a list of numbers of tokens, got {lengths!r}")
    lengths = list(lengths)
    problems = [
        problem
        for i, length in enumerate(lengths)
        for problem in not_whole(f"lengths[{i}]", length, 1)
    ]
    if problems or not lengths:
        raise InputError(*(problems or ["lengths: wanted at least one, got none"]))
    return lengths
