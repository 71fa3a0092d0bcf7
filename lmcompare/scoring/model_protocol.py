"""What scoring and generation read of a model; ``LanguageModel`` has their functions as its
methods.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lmcompare.core.errors import InputError
from lmcompare.core.example import Example
from lmcompare.data.tokenizer import Tokenizer
from lmcompare.models.network import Network
from lmcompare.objectives import Objective
from lmcompare.scoring.requests import ContextLimits
from lmcompare.scoring.scorer import score_examples


class ScoredModel(Protocol):
    """The attributes of a ``LanguageModel``."""

    network: Network
    tokenizer: Tokenizer
    objective: Objective
    batch_tokens: int
    context: int | None


def check_text(text: str, name: str) -> str:
    """Return the text.

    Raises:
        InputError: it is none, or one that UTF-8 does not hold (half of a surrogate pair).
    """
    if not isinstance(text, str):
        raise InputError(f"{name}: wanted a text, got {repr(text)[:40]}, a {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{name}: wanted a text that UTF-8 holds, got the lone surrogate "
            f"{text[error.start]!r} at {error.start}"
        ) from error
    return text


def check_texts(texts: Iterable[str], name: str) -> list[str]:
    """Return the texts as a list.

    Raises:
        InputError: it is one text, which would be read as a list of its characters; or no list, or
            one with what ``check_text`` refuses.
    """
    if isinstance(texts, str):
        raise InputError(f"{name}: wanted a list of texts, got one text ({texts[:40]!r})")
    if isinstance(texts, bytes) or not isinstance(texts, Iterable):
        raise InputError(
            f"{name}: wanted a list of texts, got {repr(texts)[:40]}, a {type(texts).__name__}"
        )
    return [check_text(text, f"{name}[{i}]") for i, text in enumerate(texts)]


def room(model: ScoredModel) -> ContextLimits:
    """Return how many tokens of text fit into the context."""
    return ContextLimits.of(model.objective, model.tokenizer.special, model.context)


def ask(model: ScoredModel, examples: Sequence[Example]) -> list[NDArray[np.float64]]:
    """Return log p (nats) of the targets of each example: see ``scorer.score_examples``."""
    return score_examples(model.network, model.tokenizer.special, examples, model.batch_tokens)
