"""What the network is asked: one objective a file, all of them in the shape of ``Example``."""

from typing import ClassVar, Literal, Protocol

import numpy as np

from lmcompare.example import Example, Ids, Special, isolate
from lmcompare.registry import Registry

Role = Literal["decoder", "encoder", "encoder-decoder"]


class Objective(Protocol):
    """Three questions, one shape (and a fourth: how a text is read to represent it).

    Attributes:
        kind: the YAML word.
        role: the role of the block: 'decoder' (causal mask), 'encoder' (full mask), 'encoder-decoder'.
        exactness: of ``score``: 'exact', or 'chain' (a proper likelihood given the length).
    """

    kind: ClassVar[str]
    role: ClassVar[Role]
    exactness: ClassVar[str]

    def learn(self, tokens: Ids, special: Special, rng: np.random.Generator) -> Example:
        """Return what a block of the corpus, (n,) tokens, asks of the network."""

    def score(self, prompt: Ids, completion: Ids, special: Special) -> list[Example]:
        """Return the examples whose target log-probabilities add up to log p(completion given prompt)."""

    def begin(self, prompt: Ids, length: int, special: Special) -> Example:
        """Return from where decoding of ``length`` tokens starts."""

    def read(self, tokens: Ids, special: Special) -> Example:
        """Return how a text is read to represent it: nothing is asked, the last input is eos."""


OBJECTIVES: Registry[Objective] = Registry("objective", "lmcompare.objectives")


def learn_block(
    objective: Objective, tokens: Ids, special: Special, rng: np.random.Generator, *, isolated: bool
) -> Example:
    """Ask ``objective`` about one block; if ``isolated``, about each of its documents (which end in eos) apart."""
    if not isolated:
        return objective.learn(tokens, special, rng)
    ends = np.flatnonzero(tokens == special.eos) + 1
    documents = [part for part in np.split(tokens, ends) if len(part)]
    return isolate([objective.learn(document, special, rng) for document in documents])
