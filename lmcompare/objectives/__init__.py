"""Training objectives, one a file: each turns tokens into training, scoring and other examples."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from pydantic import TypeAdapter, ValidationError

from lmcompare.core.errors import InputError
from lmcompare.core.example import Example, Ids, SpecialTokens, isolate
from lmcompare.core.infilling_types import (
    FilledSpans,
    InfillingNetwork,
    InfillingTemplate,
    SpanInContext,
)
from lmcompare.core.registry import Registry

Role = Literal["decoder", "encoder", "encoder-decoder"]
Family = Literal["autoregressive", "denoising", "mixed"]


@runtime_checkable
class Objective(Protocol):
    """What a network learns, and how it is used: five questions, each answered by ``Example``s."""

    kind: ClassVar[str]
    """the YAML word"""

    @property
    def role(self) -> Role:
        """The network's role: 'decoder' (causal mask), 'encoder' (full mask), 'encoder-decoder'."""

    @property
    def family(self) -> Family:
        """'autoregressive' (predict what follows), 'denoising' (undo a corruption) or 'mixed'."""

    @property
    def exactness(self) -> str:
        """Of ``scoring_examples``: 'exact', or 'chain' (a proper likelihood given the length)."""

    def training_example(
        self, tokens: Ids, special: SpecialTokens, rng: np.random.Generator
    ) -> Example:
        """Return what the network learns from a sequence of (n,) tokens."""

    def scoring_examples(
        self, prompt: Ids, completion: Ids, special: SpecialTokens
    ) -> list[Example]:
        """Return examples whose target log-probabilities sum to log p(completion | prompt)."""

    def generation_prompt(self, prompt: Ids, length: int, special: SpecialTokens) -> Example:
        """Return the example from which decoding of ``length`` tokens starts."""

    def encoding_example(self, tokens: Ids, special: SpecialTokens) -> Example:
        """Return the example whose hidden states represent a text: no targets, eos last."""

    def reads_right_context(self, special: SpecialTokens) -> bool:
        """Return whether ``infilling_examples`` read the context to the right of a span."""

    def infilling_examples(
        self, context: SpanInContext, special: SpecialTokens, *, score_right: bool = False
    ) -> list[Example]:
        """Return the examples whose targets, in order, are the tokens of the span.

        Their log-probabilities add up to log p(span given both contexts), or given the left one
        alone if the right one is not read. With ``score_right`` they add up to log p(text) but for
        what does not depend on the span, so that spans can be ranked whatever is read: then the
        right context is a target too where it is not read, or is written after the span.
        """

    def fill_spans(self, template: InfillingTemplate, network: InfillingNetwork) -> FilledSpans:
        """Let the network write the masked spans of a text."""


OBJECTIVES: Registry[Objective] = Registry(
    "objective", package="lmcompare.objectives", group="lmcompare.objectives"
)


class Composed(ABC):
    """Several objectives on one network: one trains on each sequence, one is used for inference."""

    kind: ClassVar[str]

    @abstractmethod
    def training_objective(self, rng: np.random.Generator, progress: float) -> Objective:
        """Return the objective of a sequence when a share ``progress`` of the steps is done."""

    @property
    @abstractmethod
    def inference_objective(self) -> Objective:
        """The objective that scores, generates and encodes."""

    @property
    @abstractmethod
    def family(self) -> Family:
        """That of all, or 'mixed'."""

    @property
    def role(self) -> Role:
        return self.inference_objective.role

    @property
    def exactness(self) -> str:
        return self.inference_objective.exactness

    def training_example(
        self, tokens: Ids, special: SpecialTokens, rng: np.random.Generator
    ) -> Example:
        return sequence_example(self, tokens, special, rng, isolated=False)

    def scoring_examples(
        self, prompt: Ids, completion: Ids, special: SpecialTokens
    ) -> list[Example]:
        return self.inference_objective.scoring_examples(prompt, completion, special)

    def generation_prompt(self, prompt: Ids, length: int, special: SpecialTokens) -> Example:
        return self.inference_objective.generation_prompt(prompt, length, special)

    def encoding_example(self, tokens: Ids, special: SpecialTokens) -> Example:
        return self.inference_objective.encoding_example(tokens, special)

    def reads_right_context(self, special: SpecialTokens) -> bool:
        return self.inference_objective.reads_right_context(special)

    def infilling_examples(
        self, context: SpanInContext, special: SpecialTokens, *, score_right: bool = False
    ) -> list[Example]:
        return self.inference_objective.infilling_examples(
            context, special, score_right=score_right
        )

    def fill_spans(self, template: InfillingTemplate, network: InfillingNetwork) -> FilledSpans:
        return self.inference_objective.fill_spans(template, network)


def sequence_example(
    objective: Objective,
    tokens: Ids,
    special: SpecialTokens,
    rng: np.random.Generator,
    *,
    isolated: bool,
    progress: float = 1.0,
) -> Example:
    """Return what the network learns from a packed sequence.

    Args:
        objective: of a composed one, one part is drawn for the whole sequence.
        tokens: (n,) the sequence.
        special: of the tokenizer.
        rng: of the corruption.
        isolated: make an example of each document (they end in eos), without attention across them.
        progress: share of the steps of training that is done, 0 to 1: what a schedule goes by.
    """
    while isinstance(objective, Composed):
        objective = objective.training_objective(rng, progress)
    if not isolated:
        return objective.training_example(tokens, special, rng)
    ends = np.flatnonzero(tokens == special.eos) + 1
    documents = [part for part in np.split(tokens, ends) if len(part)]
    return isolate([objective.training_example(document, special, rng) for document in documents])


def check_shared_network(objectives: Sequence[Objective], key: str) -> None:
    """Refuse objectives that one network cannot serve.

    Decoders and encoders may be mixed: they are one stack under two masks, and each ``Example``
    says which. An encoder-decoder has weights that those lack, so it goes with its like alone.

    Raises:
        InputError: naming the first that does not fit, as ``<key>.<number>.objective``.
    """
    for number, objective in enumerate(objectives):
        if not isinstance(getattr(type(objective), "kind", None), str):
            raise InputError(f"{key}.{number}.objective: wanted an objective, got {objective!r}")
    two = [objective.role == "encoder-decoder" for objective in objectives]
    if len(set(two)) > 1:
        odd = two.index(not two[0])
        raise InputError(
            f"{key}.{odd}.objective: wanted one that shares a network with {objectives[0].kind} "
            f"({objectives[0].role}), got {objectives[odd].kind} ({objectives[odd].role}); a "
            "decoder and an encoder are one stack under two masks, an encoder-decoder goes with "
            "its like alone"
        )


def family_of(objectives: Sequence[Objective]) -> Family:
    """Return the family that all objectives have, or 'mixed'."""
    families = {objective.family for objective in objectives}
    return families.pop() if len(families) == 1 else "mixed"


def parse_objective(given: Any, path: str = "objective") -> Objective:
    """Return the objective that a word, or a mapping with a ``kind`` and settings, describes.

    Raises:
        InputError: with the path of each key that is wrong.
    """
    settings = dict(given) if isinstance(given, Mapping) else {"kind": given}
    kind = settings.pop("kind", None)
    if not isinstance(kind, str):
        raise InputError(f"{path}.kind: wanted one of {', '.join(OBJECTIVES)}, got {kind!r}")
    cls = OBJECTIVES[kind]
    try:
        objective: Objective = TypeAdapter(cls).validate_python(
            resolve_parts(settings, path, parse_objective)
        )
    except ValidationError as error:
        problems = error.errors(include_url=False)
        raise InputError(
            *(f"{path}.{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in problems)
        ) from error
    except InputError as error:
        raise InputError(
            *(p if p.startswith(f"{path}.") else f"{path}.{p}" for p in error.problems)
        ) from error
    return objective


def resolve_parts(
    settings: Mapping[str, Any], path: str, resolve: Callable[[Any, str], Any]
) -> dict[str, Any]:
    """Return the settings of an objective with each ``objective`` in its lists of parts resolved.

    >>> resolve = lambda given, path: f"{path} = {given}"
    >>> resolve_parts({"parts": [{"objective": "causal"}]}, "objective", resolve)
    {'parts': [{'objective': 'objective.parts.0.objective = causal'}]}
    """

    def row(given: Any, where: str) -> Any:
        if not isinstance(given, Mapping) or given.get("objective") is None:
            return given
        return {**given, "objective": resolve(given["objective"], f"{where}.objective")}

    return {
        key: [row(item, f"{path}.{key}.{i}") for i, item in enumerate(value)]
        if isinstance(value, list)
        else value
        for key, value in settings.items()
    }
