"""Masked language modeling, and its masked diffusion form."""

import itertools
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lmcompare.core.errors import InputError
from lmcompare.core.example import IGNORE, Example, Ids, SpecialTokens, concat, no_targets
from lmcompare.core.infilling_types import (
    FilledSpans,
    InfillingNetwork,
    InfillingTemplate,
    SpanInContext,
)
from lmcompare.core.settings import STRICT, Share
from lmcompare.objectives import OBJECTIVES, Family, Objective, Role

JOINT = 64
"""Most combinations of lengths tried at once; of more, one span is sized after another."""


@OBJECTIVES.register("masked")
@dataclass(frozen=True)
class Masked:
    """Predict a share of the tokens from all others (Devlin et al. 2019, section 3.1).

    Of the tokens chosen, 80% are replaced by the mask, 10% by a random ordinary token, and 10%
    stay. Special tokens are never chosen.

    >>> rng = np.random.default_rng(9)  # mask is 4
    >>> bert = Masked(mask_rate=0.3, mask_token_share=1.0, random_token_share=0.0)
    >>> example = bert.training_example(np.array([5, 6, 7]), special, rng)
    >>> example.inputs.tolist(), example.targets.tolist()
    ([5, 4, 7], [-100, 6, -100])

    ``mask_rate: uniform`` is the masked diffusion LM (Sahoo et al. 2024, section 3; Nie et al.
    2025, section 2): of a sequence's n tokens k are masked, k drawn uniformly from 1 to n, and each
    target has the weight n / k, so that the weights of a sequence add up to n. The weighted sum is
    then an unbiased estimate of an upper bound, in nats, on -log p of the sequence given its
    length: the mean over all orders of -log p in that order (Hoogeboom et al. 2022, section 3).

    >>> rng = np.random.default_rng(6)  # k came out as 2
    >>> example = Masked(mask_rate="uniform").training_example(np.array([5, 6, 7]), special, rng)
    >>> example.inputs.tolist(), example.targets.tolist(), example.weights.tolist()
    ([4, 6, 4], [5, -100, 7], [1.5, 0.0, 1.5])

    ``shifted`` predicts a token from the position before it, as a causal LM does, so that both can
    share one stack and one output (GPT-BERT, Charpentier & Samuel 2024, section 2).

    >>> rng = np.random.default_rng(9)
    >>> shifted = Masked(0.3, mask_token_share=1.0, random_token_share=0.0, shifted=True)
    >>> example = shifted.training_example(np.array([5, 6, 7]), special, rng)
    >>> example.inputs.tolist(), example.targets.tolist()
    ([1, 5, 4], [-100, 6, -100])
    """

    __pydantic_config__ = STRICT
    kind: ClassVar[str]
    role: ClassVar[Role] = "encoder"
    family: ClassVar[Family] = "denoising"
    exactness: ClassVar[str] = "chain"

    mask_rate: Share | Literal["uniform"] = 0.15
    """share of the tokens that are predicted; uniform: drawn anew for each sequence"""
    mask_token_share: Annotated[float, Field(ge=0, le=1)] | None = None
    """share of those that the mask replaces; 0.8 if left out, 1 where mask_rate is uniform"""
    random_token_share: Annotated[float, Field(ge=0, le=1)] | None = None
    """share of those that a random token replaces; 0.1 if left out, 0 where mask_rate is uniform"""
    whole_word: bool = False
    """mask all tokens of a word or none (Cui et al. 2021, section 3.1)"""
    shifted: bool = False
    """predict from the position before, for a mixture with causal; cannot generate by unmasking"""

    def __post_init__(self) -> None:
        uniform = self.mask_rate == "uniform"
        if self.mask_token_share is None:
            object.__setattr__(self, "mask_token_share", 1.0 if uniform else 0.8)
        if self.random_token_share is None:
            object.__setattr__(self, "random_token_share", 0.0 if uniform else 0.1)
        masked, random = self._shares
        if uniform and (masked < 1 or random > 0):
            got = f"{masked:g} and {random:g}"
            raise InputError(
                "mask_token_share: wanted 1, and random_token_share: 0, where mask_rate is uniform "
                f"(else no bound), got {got}"
            )
        if uniform and self.whole_word:
            raise InputError(
                "whole_word: wanted false where mask_rate is uniform (else no bound), got true"
            )
        if masked + random > 1 + 1e-9:
            raise InputError(
                "mask_token_share + random_token_share: wanted a sum of at most 1, got "
                f"{masked + random:g}"
            )

    def training_example(
        self, tokens: Ids, special: SpecialTokens, rng: np.random.Generator
    ) -> Example:
        """Mask ``mask_rate`` of the ordinary tokens, at least one if there is any."""
        mask_share, random_share = self._shares
        chosen = self._choose(tokens, special, rng)  # (n,) bool

        # Replace each by the mask, by a random token, or not at all.
        draw = rng.random(len(tokens))
        inputs = concat(tokens)
        inputs[chosen & (draw < mask_share)] = special.mask
        random = chosen & (draw >= mask_share) & (draw < mask_share + random_share)
        inputs[random] = rng.choice(special.ordinary, int(random.sum()))

        weights = None
        if self.mask_rate == "uniform":
            text_length = int((~special.is_special(tokens)).sum())
            weights = np.where(chosen, text_length / max(1, int(chosen.sum())), 0.0)
        targets = np.where(chosen, tokens, IGNORE).astype(np.int64)
        return Example(self._shift(inputs, special), targets, weights=weights)

    def scoring_examples(
        self, prompt: Ids, completion: Ids, special: SpecialTokens
    ) -> list[Example]:
        """Predict each token of the completion with all later ones masked, one example a token.

        By the chain rule, the product of p(y_t | prompt, y_<t, MASK...) is a proper likelihood of
        the completion given its length. It has more masks in a row than training has.
        """
        text = concat(prompt, completion)
        examples = []
        for t in range(len(prompt), len(text)):
            inputs, targets = text.copy(), no_targets(len(text))
            inputs[t:] = special.mask
            targets[t] = text[t]
            examples.append(Example(self._shift(inputs, special), targets))
        return examples

    def generation_prompt(self, prompt: Ids, length: int, special: SpecialTokens) -> Example:
        """Read the prompt and ``length`` masks.

        Raises:
            InputError: ``shifted``: the output for a mask is not at the mask.
        """
        if self.shifted:
            raise InputError(
                "shifted: wanted false to generate by unmasking, got true; use a causal part for "
                "inference"
            )
        inputs = concat(prompt, np.full(length, special.mask))
        return Example(inputs, no_targets(len(inputs)))

    def encoding_example(self, tokens: Ids, special: SpecialTokens) -> Example:
        inputs = concat([special.bos] if self.shifted else [], tokens, [special.eos])
        return Example(inputs, no_targets(len(inputs)))

    def reads_right_context(self, special: SpecialTokens) -> bool:
        """Yes."""
        return True

    def infilling_examples(
        self, context: SpanInContext, special: SpecialTokens, *, score_right: bool = False
    ) -> list[Example]:
        """Predict each token of the span with the later ones masked: the chain, given its length.

        With 5 to the left, 8 to the right, and mask 4:

        >>> context = SpanInContext(np.array([5]), np.array([6, 7]), np.array([8]))
        >>> [example.inputs.tolist() for example in Masked().infilling_examples(context, special)]
        [[5, 4, 4, 8], [5, 6, 4, 8]]
        """
        text = np.concatenate([context.left, context.span, context.right]).astype(np.int64)
        first, last = len(context.left), len(context.left) + len(context.span)
        examples = []
        for place in range(first, last):
            inputs = text.copy()
            inputs[place:last] = special.mask
            if context.ends_text:
                inputs = self.encoding_example(inputs, special).inputs
            else:
                inputs = self._shift(inputs, special)
            # A shifted objective reads bos first: what is predicted stands one place to the left.
            targets = np.full(len(inputs), IGNORE, dtype=np.int64)
            targets[place] = text[place]
            examples.append(Example(inputs, targets))
        return examples

    def fill_spans(self, template: InfillingTemplate, network: InfillingNetwork) -> FilledSpans:
        """Unmask."""
        return fill_masks(self, template, network, shift=int(self.shifted))

    @property
    def _shares(self) -> tuple[float, float]:
        return self.mask_token_share or 0.0, self.random_token_share or 0.0

    def _shift(self, inputs: Ids, special: SpecialTokens) -> Ids:
        """Put bos before the inputs and drop the last, if each position predicts the next token."""
        return np.concatenate([[special.bos], inputs[:-1]]) if self.shifted else inputs

    def _choose(
        self, tokens: Ids, special: SpecialTokens, rng: np.random.Generator
    ) -> NDArray[np.bool_]:
        """Draw the positions to predict, as a mask (n,).

        Their number is mask_rate x n, rounded at random so that it is right on average; if the rate
        is uniform, each number from 1 to n is equally likely.
        """
        chosen = np.zeros(len(tokens), dtype=bool)
        places = np.flatnonzero(~special.is_special(tokens))
        if not len(places):
            return chosen
        if isinstance(self.mask_rate, str):
            count = int(rng.integers(len(places))) + 1
        else:
            count = max(1, int(self.mask_rate * len(places) + rng.random()))
        if not self.whole_word:
            chosen[rng.permutation(places)[:count]] = True
            return chosen

        # Number the words; a special token between two tokens separates them too.
        starts = special.word_starts[tokens[places]] | (np.diff(places, prepend=-2) > 1)
        words = np.cumsum(starts) - 1  # (places,)
        # Take words in random order until they hold enough tokens.
        order = rng.permutation(words[-1] + 1)
        sizes = np.bincount(words)[order]
        taken = order[: np.searchsorted(np.cumsum(sizes), count) + 1]
        chosen[places[np.isin(words, taken)]] = True
        return chosen


def fill_masks(
    objective: Objective, template: InfillingTemplate, network: InfillingNetwork, *, shift: int = 0
) -> FilledSpans:
    """Put masks for the spans and fill them, unknown lengths by the best mean log p a token.

    All combinations of lengths are tried, or beyond ``JOINT`` of them, one span after another from
    the left, those to come being as short as may be: then their order counts.
    """
    special, sizes = (
        network.special,
        [length or min(network.lengths) for length in template.lengths],
    )
    unknown = [i for i, length in enumerate(template.lengths) if length is None]
    together = len(network.lengths) ** len(unknown) <= JOINT
    calls = 0
    for group in [unknown] if together else [[i] for i in unknown]:
        candidates = []
        for chosen in itertools.product(network.lengths, repeat=len(group)):
            new = dict(zip(group, chosen, strict=True))
            candidates.append([new.get(i, size) for i, size in enumerate(sizes)])
        masked = [
            template.filled([np.full(size, special.mask) for size in candidate])
            for candidate in candidates
        ]
        best = network.unmask(
            [objective.encoding_example(text, special) for text in masked], shift=shift
        )
        calls += best.calls
        sizes = candidates[best.index]
    spans = list(np.split(best.tokens, np.cumsum(sizes)[:-1]))
    return FilledSpans(spans, float(best.log_p.sum()), best.exactness, calls)
