"""Masked-token prediction."""

import itertools
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lmcompare.core.errors import InputError
from lmcompare.core.example import IGNORE, Example, Ids, SpecialTokens
from lmcompare.core.infilling import FilledSpans, InfillingNetwork, InfillingTemplate, SpanInContext
from lmcompare.core.settings import STRICT, Share
from lmcompare.objectives import OBJECTIVES, Family, Objective, Role

JOINT = 64
"""Most combinations of lengths tried at once; of more, one span is sized after another."""


@OBJECTIVES.register("masked")
@dataclass(frozen=True)
class Masked:
    """Predict a share of the tokens from all the others (Devlin et al. 2019, section 3.1).

    Of the tokens asked for, 80% are replaced by the mask, 10% by a random token of the text's vocabulary (never by a
    special one), and 10% are left as they are. Special tokens are never asked for.

    >>> rng = np.random.default_rng(9)  # mask is 4
    >>> example = Masked(mask_rate=0.3, mask_token_share=1.0, random_token_share=0.0).training_example(np.array([5, 6, 7]), special, rng)
    >>> example.inputs.tolist(), example.targets.tolist()
    ([5, 4, 7], [-100, 6, -100])

    ``mask_rate: uniform`` is the masked diffusion LM (Sahoo et al. 2024, section 3; Nie et al. 2025, section 2): of a
    block's n tokens, k are masked, k drawn uniformly from 1 to n, and each counts n / k. The weighted sum is then an
    unbiased estimate of an upper bound, in nats, on -log p of the block given its length: the mean over all orders of
    -log p in that order (Hoogeboom et al. 2022, section 3). The weights of a block add up to n.

    >>> rng = np.random.default_rng(6)  # k came out as 2
    >>> example = Masked(mask_rate="uniform").training_example(np.array([5, 6, 7]), special, rng)
    >>> example.inputs.tolist(), example.targets.tolist(), example.weights.tolist()
    ([4, 6, 4], [5, -100, 7], [1.5, 0.0, 1.5])

    ``shifted`` asks for a token where the one before it is read, as a causal LM does, so that both can share one
    stack and one output (GPT-BERT, Charpentier & Samuel 2024, section 2).

    >>> rng = np.random.default_rng(9)
    >>> example = Masked(mask_rate=0.3, mask_token_share=1.0, random_token_share=0.0, shifted=True).training_example(np.array([5, 6, 7]), special, rng)
    >>> example.inputs.tolist(), example.targets.tolist()
    ([1, 5, 4], [-100, 6, -100])
    """

    __pydantic_config__ = STRICT
    kind: ClassVar[str]
    role: ClassVar[Role] = "encoder"
    family: ClassVar[Family] = "denoising"
    exactness: ClassVar[str] = "chain"

    mask_rate: Share | Literal["uniform"] = 0.15
    """share of the tokens asked for; uniform: drawn anew for each block, each target weighted by 1 / rate"""
    mask_token_share: Annotated[float, Field(ge=0, le=1)] | None = None
    """share of the asked tokens that the mask replaces; 0.8 if left out, 1 where the rate is uniform"""
    random_token_share: Annotated[float, Field(ge=0, le=1)] | None = None
    """share of the asked tokens that a random token replaces, the rest stay; 0.1 if left out, uniform: 0"""
    whole_word: bool = False
    """ask for all the tokens of a word or none (Cui et al. 2021, section 3.1)"""
    shifted: bool = False
    """ask for a token one place to its left, as a causal LM does, for a mixture with one; cannot decode by unmasking"""

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
                f"mask_token_share: wanted 1, and random_token_share: 0, where mask_rate is uniform (else no bound), got {got}"
            )
        if uniform and self.whole_word:
            raise InputError(
                "whole_word: wanted false where mask_rate is uniform (else no bound), got true"
            )
        if masked + random > 1 + 1e-9:
            raise InputError(
                f"mask_token_share + random_token_share: wanted a sum of at most 1, got {masked + random:g}"
            )

    @property
    def share(self) -> float:
        """The rate; a half if it is uniform."""
        return 0.5 if isinstance(self.mask_rate, str) else self.mask_rate

    def training_example(
        self, tokens: Ids, special: SpecialTokens, rng: np.random.Generator
    ) -> Example:
        """Ask for ``rate`` of the ordinary tokens, at least one if there is any."""
        masked, random = self._shares
        asked = self._choose(tokens, special, rng)
        draw = rng.random(len(tokens))
        inputs = tokens.astype(np.int64)
        inputs[asked & (draw < masked)] = special.mask
        replaced = asked & (draw >= masked) & (draw < masked + random)
        inputs[replaced] = rng.choice(special.ordinary, int(replaced.sum()))
        weights = None
        if self.mask_rate == "uniform":
            text = int((~special.is_special(tokens)).sum())
            weights = np.where(asked, text / max(1, int(asked.sum())), 0.0)
        targets = np.where(asked, tokens, IGNORE).astype(np.int64)
        return Example(self._read(inputs, special), targets, attention="full", weights=weights)

    def scoring_examples(
        self, prompt: Ids, completion: Ids, special: SpecialTokens
    ) -> list[Example]:
        """Ask for each token of the completion with all later ones masked: the chain, one example a token.

        Each factor p(y_t | prompt, y_<t, MASK...) is normalised, so the product is a proper likelihood of the
        completion given its length. It asks for more masks in a row than training does.
        """
        whole = np.concatenate([prompt, completion]).astype(np.int64)
        examples = []
        for t in range(len(prompt), len(whole)):
            inputs, targets = whole.copy(), np.full(len(whole), IGNORE)
            inputs[t:] = special.mask
            targets[t] = whole[t]
            examples.append(Example(self._read(inputs, special), targets, attention="full"))
        return examples

    def generation_prompt(self, prompt: Ids, length: int, special: SpecialTokens) -> Example:
        """Read the prompt and ``length`` masks.

        Raises:
            InputError: ``shifted``: the answer to a mask does not stand at the mask.
        """
        if self.shifted:
            raise InputError(
                "shifted: wanted false to decode by unmasking, got true; let a causal part answer"
            )
        inputs = np.concatenate([prompt, np.full(length, special.mask)]).astype(np.int64)
        return Example(inputs, np.full(len(inputs), IGNORE), attention="full")

    def encoding_example(self, tokens: Ids, special: SpecialTokens) -> Example:
        """Read the text and eos."""
        inputs = np.concatenate(
            [[special.bos] if self.shifted else [], tokens, [special.eos]]
        ).astype(np.int64)
        return Example(inputs, np.full(len(inputs), IGNORE), attention="full")

    def reads_right_context(self, special: SpecialTokens) -> bool:
        """Yes."""
        return True

    def infilling_examples(
        self, gap: SpanInContext, special: SpecialTokens, *, score_right: bool = False
    ) -> list[Example]:
        """Ask for each token of the span with the later ones masked: the chain, given its length.

        With 5 to the left, 8 to the right, and mask 4:

        >>> gap = SpanInContext(np.array([5]), np.array([6, 7]), np.array([8]))
        >>> [example.inputs.tolist() for example in Masked().infilling_examples(gap, special)]
        [[5, 4, 4, 8], [5, 6, 4, 8]]
        """
        text = np.concatenate([gap.left, gap.span, gap.right]).astype(np.int64)
        first, last = len(gap.left), len(gap.left) + len(gap.span)
        examples = []
        for place in range(first, last):
            inputs = text.copy()
            inputs[place:last] = special.mask
            if gap.ends_text:
                inputs = self.encoding_example(inputs, special).inputs
            else:
                inputs = self._read(inputs, special)
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

    def _read(self, inputs: Ids, special: SpecialTokens) -> Ids:
        """Put bos before the text, and leave out its last token, if what comes next is asked for at each place."""
        return np.concatenate([[special.bos], inputs[:-1]]) if self.shifted else inputs

    def _choose(
        self, tokens: Ids, special: SpecialTokens, rng: np.random.Generator
    ) -> NDArray[np.bool_]:
        """Draw the positions asked for: rate x n of them, rounded at random so that it is right on average.

        If the rate is uniform, their number is: each from 1 to n is equally likely.
        """
        asked = np.zeros(len(tokens), dtype=bool)
        places = np.flatnonzero(~special.is_special(tokens))
        if not len(places):
            return asked
        if isinstance(self.mask_rate, str):
            count = int(rng.integers(len(places))) + 1
        else:
            count = max(1, int(self.mask_rate * len(places) + rng.random()))
        if not self.whole_word:
            asked[rng.permutation(places)[:count]] = True
            return asked
        starts = special.word_starts[tokens[places]] | (np.diff(places, prepend=-2) > 1)
        word = np.cumsum(starts) - 1
        order = rng.permutation(word[-1] + 1)
        sizes = np.bincount(word)[order]
        taken = order[: np.searchsorted(np.cumsum(sizes), count) + 1]
        asked[places[np.isin(word, taken)]] = True
        return asked


def fill_masks(
    objective: Objective, template: InfillingTemplate, network: InfillingNetwork, *, shift: int = 0
) -> FilledSpans:
    """Put masks for the spans and fill them, unknown lengths by the best mean log p a token.

    All combinations of lengths are tried, or beyond ``JOINT`` of them, one span after another from the left, those
    to come being as short as may be: then their order counts.
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
