"""One model, three faces: ``CausalLM``, ``MaskedLM`` and ``Seq2SeqLM`` answer the same questions."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmcompare import networks
from lmcompare.decoding import Decoded
from lmcompare.decoding.left_to_right import left_to_right
from lmcompare.decoding.unmasking import unmasking
from lmcompare.errors import InputError
from lmcompare.example import IGNORE, Example, Ids, collate
from lmcompare.networks import Network, Tensors, evaluating
from lmcompare.objectives import OBJECTIVES, Objective
from lmcompare.vocabulary import Vocabulary

Pooling = Literal["mean", "last", "first"]

OBJECTIVE_FILE = "lmcompare.json"
"""Beside the weights: which objective trained them."""


@dataclass(frozen=True)
class LogLikelihood:
    """log p(completion given prompt).

    Attributes:
        tokens: (t,) nats for each token of the completion.
        exactness: 'exact', or 'chain' (a proper likelihood given the number of tokens).
        completion_bytes: UTF-8 bytes of the completion.
    """

    tokens: NDArray[np.float64]
    exactness: str
    completion_bytes: int

    @property
    def sum(self) -> float:
        """The log-likelihood in nats."""
        return float(self.tokens.sum())

    @property
    def bits_per_byte(self) -> float:
        """-log2 p for each UTF-8 byte: comparable across tokenizers."""
        return float(-self.sum / np.log(2) / self.completion_bytes)


class LanguageModel:
    """A network, the vocabulary it reads and the objective that trained it.

    Args:
        network: the network; it is moved to ``device``.
        vocabulary: the shared tokenizer.
        objective: how the network is asked.
        device: 'cpu', 'cuda', or None to leave the network where it is.
        batch_tokens: positions that one forward pass may hold, padding included.
    """

    face: ClassVar[str | None] = None
    """The role that a subclass serves."""

    def __init__(
        self,
        network: Network,
        vocabulary: Vocabulary,
        objective: Objective,
        *,
        device: str | None = None,
        batch_tokens: int = 16_384,
    ) -> None:
        if self.face not in (None, objective.role):
            raise InputError(
                f"{type(self).__name__}: wanted an objective for the role {self.face!r}, got {objective.kind!r} "
                f"({objective.role}); `lmcompare.load` picks the class by what it finds"
            )
        self.network = network if device is None else network.to(device)
        self.vocabulary = vocabulary
        self.objective = objective
        self.batch_tokens = batch_tokens

    @classmethod
    def from_pretrained(cls, path: str | Path, *, device: str | None = None) -> Self:
        """Read what ``save_pretrained`` or ``lmcompare run`` wrote.

        Raises:
            InputError: nothing of the kind is there, or another objective's network.
        """
        folder = Path(path)
        file = folder / OBJECTIVE_FILE
        if not file.is_file():
            raise InputError(
                f"{folder}: wanted a folder with {OBJECTIVE_FILE}, as `save_pretrained` writes it; got none"
            )
        settings = json.loads(file.read_text())
        objective = OBJECTIVES[settings.pop("kind")](**settings)
        network = networks.load(folder, objective.role)
        return cls(network, Vocabulary.load(folder), objective, device=device)

    def save_pretrained(self, path: str | Path) -> None:
        """Write a folder that ``from_pretrained`` reads, and plain transformers too (weights, config, tokenizer)."""
        folder = Path(path)
        networks.save(self.network, folder)
        self.vocabulary.save(folder)
        (folder / OBJECTIVE_FILE).write_text(json.dumps(fields_of(self.objective)))

    def log_likelihood(self, prompts: Sequence[str], completions: Sequence[str]) -> list[LogLikelihood]:
        """Return log p(completion given prompt) for each pair; prompt and completion are tokenised apart.

        Causal: exact. Seq2seq: exact, the completion as the span cut from the end of the prompt. Masked: the chain of
        p(y_t | prompt, y_<t, masks), a proper likelihood given the number of tokens.

        Raises:
            InputError: the lists differ in length, or a completion is empty.
        """
        if len(prompts) != len(completions):
            raise InputError(f"completions: wanted as many as prompts ({len(prompts)}), got {len(completions)}")
        empty = [i for i, text in enumerate(completions) if not text]
        if empty:
            raise InputError(f"completions[{empty[0]}]: wanted a text, got an empty one")
        pairs = list(zip(self._encode(prompts), self._encode(completions), strict=True))
        return [
            LogLikelihood(tokens, self.objective.exactness, len(text.encode()))
            for tokens, text in zip(self.score_tokens(pairs), completions, strict=True)
        ]

    def score_tokens(self, pairs: Sequence[tuple[Ids, Ids]]) -> list[NDArray[np.float64]]:
        """Return, for each pair of prompt and completion ids, log p (nats) of each token of the completion."""
        examples = [self.objective.score(prompt, completion, self.vocabulary.special) for prompt, completion in pairs]
        answers = iter(self.ask([example for several in examples for example in several]))
        return [np.concatenate([next(answers) for _ in several]) for several in examples]

    def ask(self, examples: Sequence[Example]) -> list[NDArray[np.float64]]:
        """Return log p (nats) of the targets of each example, in order. No answer depends on its batch neighbours."""
        answers: list[NDArray[np.float64]] = [np.array([])] * len(examples)
        with evaluating(self.network):
            for group in self._batches(examples):
                batch = collate([examples[i] for i in group], self.vocabulary.special.pad)
                losses = self.network(Tensors.of(batch, self.network.device)).double().cpu().numpy()
                ends = np.cumsum((batch.targets != IGNORE).sum(1))[:-1]
                for i, part in zip(group, np.split(-losses, ends), strict=True):
                    answers[i] = part
        return answers

    def embed(self, texts: Sequence[str], *, pooling: Pooling = "mean") -> NDArray[np.float32]:
        """Return one vector a text, pooled from the last states (of the encoder, if there is one): (texts, width).

        'last' is the state at eos, 'first' the state of the first input, 'mean' the mean over all inputs but padding.
        """
        return self.embed_tokens(self._encode(texts), poolings=[pooling])[pooling]

    def embed_tokens(self, rows: Sequence[Ids], *, poolings: Sequence[Pooling]) -> dict[Pooling, NDArray[np.float32]]:
        """Return for each pooling one vector a row of ids, from one pass. Shape (rows, width) each."""
        examples = [self.objective.read(row, self.vocabulary.special) for row in rows]
        found = {pooling: np.zeros((len(rows), self.network.width), dtype=np.float32) for pooling in poolings}
        with evaluating(self.network):
            for group in self._batches(examples):
                batch = Tensors.of(
                    collate([examples[i] for i in group], self.vocabulary.special.pad), self.network.device
                )
                states = self.network.states(batch)
                for pooling in poolings:
                    found[pooling][group] = pool(states, batch.read, pooling).float().cpu().numpy()
        return found

    def generate(
        self, prompts: Sequence[str], *, length: int, temperature: float = 1.0, steps: int | None = None, seed: int = 0
    ) -> list[str]:
        """Continue each prompt by ``length`` tokens: left to right, or (masked) by unmasking in ``steps`` calls."""
        decoded = self.decode(self._encode(prompts), length=length, temperature=temperature, steps=steps, seed=seed)
        return [self.vocabulary.decode(row.tolist()) for row in decoded.tokens]

    def decode(
        self, prompts: Sequence[Ids], *, length: int, temperature: float = 1.0, steps: int | None = None, seed: int = 0
    ) -> Decoded:
        """Do what ``generate`` does, on ids, and say what it cost."""
        if self.objective.role == "encoder":
            return unmasking(
                self.network,
                self.objective,
                prompts,
                self.vocabulary.special,
                length=length,
                steps=steps,
                temperature=temperature,
                seed=seed,
            )
        return left_to_right(
            self.network,
            self.objective,
            prompts,
            self.vocabulary.special,
            length=length,
            temperature=temperature,
            seed=seed,
        )

    def _encode(self, texts: Sequence[str]) -> list[Ids]:
        return [np.array(row, dtype=np.int64) for row in self.vocabulary.encode_batch(list(texts))]

    def _batches(self, examples: Sequence[Example]) -> list[list[int]]:
        """Group examples of like length so that a batch, padding included, holds at most ``batch_tokens`` positions."""
        lengths = [len(e.inputs) + (0 if e.decoder_inputs is None else len(e.decoder_inputs)) for e in examples]
        groups: list[list[int]] = []
        for i in sorted(range(len(examples)), key=lengths.__getitem__):
            if groups and (len(groups[-1]) + 1) * lengths[i] <= self.batch_tokens:
                groups[-1].append(i)
            else:
                groups.append([i])
        return groups


class CausalLM(LanguageModel):
    """A causal language model: each token from those before it."""

    face = "decoder"


class MaskedLM(LanguageModel):
    """A masked language model: some tokens from all the others."""

    face = "encoder"


class Seq2SeqLM(LanguageModel):
    """An encoder-decoder language model: the spans cut from a text."""

    face = "encoder-decoder"


FACES: dict[str, type[LanguageModel]] = {str(cls.face): cls for cls in (CausalLM, MaskedLM, Seq2SeqLM)}


def load(path: str | Path, *, device: str | None = None) -> LanguageModel:
    """Read a folder as ``from_pretrained`` does, as the face that its objective has."""
    model = LanguageModel.from_pretrained(path, device=device)
    return FACES[model.objective.role](model.network, model.vocabulary, model.objective)


def pool(states: Tensor, read: Tensor, pooling: Pooling) -> Tensor:
    """Turn token states (B, n, width) into one state a row (B, width), by the mask ``read`` (B, n), never by pad ids.

    >>> states = torch.tensor([[[1.0], [3.0], [9.0]]])
    >>> read = torch.tensor([[True, True, False]])
    >>> [pool(states, read, how).item() for how in ("mean", "last", "first")]
    [2.0, 3.0, 1.0]
    """
    if pooling == "mean":
        weight = read.unsqueeze(-1).to(states.dtype)
        return (states * weight).sum(1) / weight.sum(1)
    place = read.sum(1) - 1 if pooling == "last" else torch.zeros_like(read.sum(1))
    return states[torch.arange(len(states), device=states.device), place]


def fields_of(objective: Objective) -> dict[str, Any]:
    """Return the settings of an objective with its kind, as YAML has them."""
    return {"kind": objective.kind, **asdict(objective)}  # type: ignore[call-overload]
