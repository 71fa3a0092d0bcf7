"""Masked-token prediction."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lmcompare.errors import InputError
from lmcompare.example import IGNORE, Example, Ids, Special
from lmcompare.objectives import OBJECTIVES, Role
from lmcompare.settings import STRICT, Share


@OBJECTIVES.register("masked")
@dataclass(frozen=True)
class Masked:
    """Predict a share of the tokens from all the others (Devlin et al. 2019, section 3.1).

    Of the tokens asked for, 80% are replaced by the mask, 10% by a random token of the text's vocabulary (never by a
    special one), and 10% are left as they are. Special tokens are never asked for.

    >>> example = Masked(rate=0.3, masked=1.0, random=0.0).learn(np.array([5, 6, 7]), special, rng)   # mask is 4
    >>> example.inputs.tolist(), example.targets.tolist()
    ([5, 4, 7], [-100, 6, -100])
    """

    __pydantic_config__ = STRICT
    kind: ClassVar[str]
    role: ClassVar[Role] = "encoder"
    exactness: ClassVar[str] = "chain"

    rate: Share = 0.15
    """share of the tokens asked for"""
    masked: Annotated[float, Field(ge=0, le=1)] = 0.8
    """share of the asked tokens that the mask replaces"""
    random: Annotated[float, Field(ge=0, le=1)] = 0.1
    """share of the asked tokens that a random token replaces; the rest stay as they are"""
    whole_word: bool = False
    """ask for all the tokens of a word or none (Cui et al. 2021, section 3.1)"""

    def __post_init__(self) -> None:
        if self.masked + self.random > 1 + 1e-9:
            raise InputError(f"masked + random: wanted a sum of at most 1, got {self.masked + self.random:g}")

    def learn(self, tokens: Ids, special: Special, rng: np.random.Generator) -> Example:
        """Ask for ``rate`` of the ordinary tokens, at least one if there is any."""
        asked = self._choose(tokens, special, rng)
        draw = rng.random(len(tokens))
        inputs = tokens.astype(np.int64)
        inputs[asked & (draw < self.masked)] = special.mask
        replaced = asked & (draw >= self.masked) & (draw < self.masked + self.random)
        inputs[replaced] = rng.choice(special.ordinary, int(replaced.sum()))
        return Example(inputs, np.where(asked, tokens, IGNORE).astype(np.int64), visible="all")

    def score(self, prompt: Ids, completion: Ids, special: Special) -> list[Example]:
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
            examples.append(Example(inputs, targets, visible="all"))
        return examples

    def begin(self, prompt: Ids, length: int, special: Special) -> Example:
        """Read the prompt and ``length`` masks."""
        inputs = np.concatenate([prompt, np.full(length, special.mask)]).astype(np.int64)
        return Example(inputs, np.full(len(inputs), IGNORE), visible="all")

    def read(self, tokens: Ids, special: Special) -> Example:
        """Read the text and eos."""
        inputs = np.concatenate([tokens, [special.eos]]).astype(np.int64)
        return Example(inputs, np.full(len(inputs), IGNORE), visible="all")

    def _choose(self, tokens: Ids, special: Special, rng: np.random.Generator) -> NDArray[np.bool_]:
        """Draw the positions asked for: rate x n of them, rounded at random so that it is right on average."""
        asked = np.zeros(len(tokens), dtype=bool)
        places = np.flatnonzero(~special.is_special(tokens))
        if not len(places):
            return asked
        count = max(1, int(self.rate * len(places) + rng.random()))
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
