"""Next-token prediction."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lmcompare.core.example import IGNORE, Example, Ids, SpecialTokens
from lmcompare.core.settings import STRICT
from lmcompare.objectives import OBJECTIVES, Family, Role


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
    share: ClassVar[float] = 1.0

    def training_example(
        self, tokens: Ids, special: SpecialTokens, rng: np.random.Generator
    ) -> Example:
        """Ask for every token."""
        return Example(
            np.concatenate([[special.bos], tokens[:-1]]),
            tokens.astype(np.int64),
            attention="causal",
        )

    def scoring_examples(
        self, prompt: Ids, completion: Ids, special: SpecialTokens
    ) -> list[Example]:
        """Ask for the completion after the prompt, in one pass."""
        example = self.training_example(
            np.concatenate([prompt, completion]), special, np.random.default_rng(0)
        )
        targets = example.targets.copy()
        targets[: len(prompt)] = IGNORE
        return [Example(example.inputs, targets, attention="causal")]

    def generation_prompt(self, prompt: Ids, length: int, special: SpecialTokens) -> Example:
        """Read the prompt; what follows is not there yet."""
        inputs = np.concatenate([[special.bos], prompt]).astype(np.int64)
        return Example(inputs, np.full(len(inputs), IGNORE), attention="causal")

    def encoding_example(self, tokens: Ids, special: SpecialTokens) -> Example:
        """Read the text between bos and eos."""
        inputs = np.concatenate([[special.bos], tokens, [special.eos]]).astype(np.int64)
        return Example(inputs, np.full(len(inputs), IGNORE), attention="causal")
