"""Causal language modeling: predict the next token."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lmcompare.core.example import Example, Ids, SpecialTokens, concat, no_targets
from lmcompare.core.infilling_types import (
    FilledSpans,
    InfillingNetwork,
    InfillingTemplate,
    SpanInContext,
)
from lmcompare.core.settings import STRICT
from lmcompare.objectives import OBJECTIVES, Family, Objective, Role

FROM_THE_LEFT = "proposed from the left alone"
"""The handicap of an objective that does not read the right context."""


@OBJECTIVES.register("causal")
@dataclass(frozen=True)
class Causal:
    """Predict each token from those before it (Radford et al. 2018, section 3.1).

    >>> rng = np.random.default_rng(0)  # bos is 1
    >>> example = Causal().training_example(np.array([5, 6, 7]), special, rng)
    >>> example.inputs.tolist(), example.targets.tolist()
    ([1, 5, 6], [5, 6, 7])
    """

    __pydantic_config__ = STRICT
    kind: ClassVar[str]
    role: ClassVar[Role] = "decoder"
    family: ClassVar[Family] = "autoregressive"
    exactness: ClassVar[str] = "exact"

    def training_example(
        self, tokens: Ids, special: SpecialTokens, rng: np.random.Generator
    ) -> Example:
        return Example(concat([special.bos], tokens[:-1]), concat(tokens), attention="causal")

    def scoring_examples(
        self, prompt: Ids, completion: Ids, special: SpecialTokens
    ) -> list[Example]:
        """Predict the completion after the prompt, in one pass."""
        text = concat(prompt, completion)
        targets = concat(no_targets(len(prompt)), completion)
        return [Example(concat([special.bos], text[:-1]), targets, attention="causal")]

    def generation_prompt(self, prompt: Ids, length: int, special: SpecialTokens) -> Example:
        inputs = concat([special.bos], prompt)
        return Example(inputs, no_targets(len(inputs)), attention="causal")

    def encoding_example(self, tokens: Ids, special: SpecialTokens) -> Example:
        inputs = concat([special.bos], tokens, [special.eos])
        return Example(inputs, no_targets(len(inputs)), attention="causal")

    def reads_right_context(self, special: SpecialTokens) -> bool:
        """No: the right context can only weigh what was written from the left."""
        return False

    def infilling_examples(
        self, context: SpanInContext, special: SpecialTokens, *, score_right: bool = False
    ) -> list[Example]:
        """Score the span, and the right context if asked for, as a completion of the left one."""
        return left_context_examples(self, context, special, score_right=score_right)

    def fill_spans(self, template: InfillingTemplate, network: InfillingNetwork) -> FilledSpans:
        """Continue what stands to the left of each span."""
        return fill_from_left(self, template, network)


def left_context_examples(
    objective: Objective, context: SpanInContext, special: SpecialTokens, *, score_right: bool
) -> list[Example]:
    """Score a span, and what follows it if asked for, as a completion of its left context."""
    completion = np.concatenate([context.span, context.right]) if score_right else context.span
    return objective.scoring_examples(context.left, completion.astype(np.int64), special)


def fill_from_left(
    objective: Objective, template: InfillingTemplate, network: InfillingNetwork
) -> FilledSpans:
    """Continue the left context of each span; of some lengths, the likeliest text wins."""
    special, longest = network.special, max(network.lengths)
    # A text that will not fit is refused before anything is written.
    whole = template.filled(
        [np.zeros(length or longest, dtype=np.int64) for length in template.lengths]
    )
    left, rest = np.split(whole, [len(template.parts[0])])
    for example in objective.scoring_examples(left, rest, special):
        network.check_fits(example)

    spans: list[Ids] = []
    calls, score = 0, 0.0
    for i, length in enumerate(template.lengths):
        left = InfillingTemplate(template.parts[: i + 1], template.lengths[:i]).filled(spans)
        most = longest if length is None else length
        prompt = objective.generation_prompt(left, most, special)
        span = network.write(prompt, most, rng=np.random.default_rng([network.seed + i, 0]))
        calls += len(span)
        if length is None:
            right = template.parts[i + 1]
            texts = [np.concatenate([span[:size], right]) for size in network.lengths]
            scores = [
                network.log_likelihood(objective.scoring_examples(left, text, special))
                for text in texts
            ]
            calls += len(scores)
            span = span[: network.lengths[int(np.argmax(scores))]]
        spans.append(span)
        score += network.log_likelihood(objective.scoring_examples(left, span, special))
        calls += 1
    return FilledSpans(spans, score, "exact", calls, FROM_THE_LEFT)
