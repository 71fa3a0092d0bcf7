"""The public API: ``CausalLM``, ``MaskedLM`` and ``Seq2SeqLM`` have the same methods; ``load`` and
``wrap`` make them.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
import torch
from transformers.utils import logging as library_logging

from lmcompare.core.errors import InputError
from lmcompare.core.settings import plain
from lmcompare.data.tokenizer import Tokenizer
from lmcompare.generation.batch_infilling import fill_gaps, score_gaps
from lmcompare.generation.generate import GeneratedTexts as GeneratedTexts
from lmcompare.generation.generate import decode, generate
from lmcompare.generation.infilling import infill
from lmcompare.models import checkpoints
from lmcompare.models.batch_tensors import check_device
from lmcompare.models.checkpoint_files import OBJECTIVE_FILE
from lmcompare.models.input_formats import context_length
from lmcompare.models.network import Network, load_network, save_network
from lmcompare.models.pretrained_objectives import PRETRAINED, PretrainedSeq2Seq
from lmcompare.models.visibility import Visibility, measure_visibility
from lmcompare.objectives import Objective, Role, parse_objective
from lmcompare.scoring.embeddings import embed, embed_tokens, pool_rows
from lmcompare.scoring.log_likelihood import bits_per_byte, log_likelihood, loss, rank, score_tokens
from lmcompare.scoring.model_protocol import ask, check_text, room
from lmcompare.scoring.requests import fitting
from lmcompare.scoring.scorer import as_ids
from lmcompare.scoring.surprisal import surprisal


class LanguageModel:
    """A network, its tokenizer and the objective it was trained on.

    Args:
        network: the network; it is moved to ``device``.
        tokenizer: turns texts into ids and back.
        objective: how the network was trained, and so how it scores and generates.
        device: 'cpu', 'cuda', or None to leave the network where it is.
        batch_tokens: positions that one forward pass may hold, padding included.
        context: tokens that the network may read at once; None: what its config says.

    Raises:
        InputError: an objective of another face, or a device that is not there.
    """

    face: ClassVar[Role | None] = None
    """The role that a subclass serves."""

    def __init__(
        self,
        network: Network,
        tokenizer: Tokenizer,
        objective: Objective,
        *,
        device: str | None = None,
        batch_tokens: int = 16_384,
        context: int | None = None,
    ) -> None:
        if self.face not in (None, objective.role):
            raise InputError(
                f"{type(self).__name__}: wanted an objective for the role {self.face!r}, got "
                f"{objective.kind!r} ({objective.role}); `lmcompare.load` picks the class by the "
                "objective"
            )
        if device is not None:
            check_device(device)
        self.network = network if device is None else network.to(device)
        self.tokenizer = tokenizer
        self.objective = objective
        self.batch_tokens = batch_tokens
        self.context = context_length(network.transformer.config) if context is None else context

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **settings: Any) -> Self:
        """Read a folder that ``lmcompare run`` or ``save_pretrained`` wrote, or any checkpoint that
        transformers reads.

        A path never touches the network; a name of the hub (``org/name``) does, unless
        HF_HUB_OFFLINE is set.

        Args:
            name_or_path: where it is.
            **settings: those of ``load``.

        Raises:
            InputError: nothing of the kind is there, or another face's network, or one without its
                head.
        """
        return _open(cls, name_or_path, **settings)

    @classmethod
    def wrap(
        cls, transformer: Any, tokenizer: Any, *, objective: Any = None, **settings: Any
    ) -> Self:
        """Take a transformers model and its tokenizer that are in memory already; the model stays
        the same object.

        Args:
            transformer: a model with a language-modelling head (whether it is trained cannot be
                told here).
            tokenizer: a fast tokenizer.
            objective: of a network that ``lmcompare run`` trained: an ``Objective``, or
                what stands in YAML and in its lmcompare.json ('causal', {'kind': 'masked', 'rate':
                0.3}); None: that of a checkpoint of its type, which gives other numbers.
            **settings: ``device``, ``batch_tokens``, ``context``.

        Raises:
            InputError: a model without a head, of another face, that sees what follows though it is
                called causal, or with fewer ids than its tokenizer; an objective that is none.
        """
        role = (
            checkpoints.role_of(transformer.config, type(transformer).__name__)
            if objective is None
            else None
        )
        known = objective is None or (
            isinstance(objective, Objective) and not isinstance(objective, type)
        )
        objective = objective if known else parse_objective(objective)
        return _as_face(
            cls, *checkpoints.wrap_transformer(transformer, tokenizer, role, objective), **settings
        )

    def save_pretrained(self, path: str | Path) -> None:
        """Write a folder that ``from_pretrained`` reads, and plain transformers too (weights,
        config, tokenizer).

        Raises:
            InputError: the path is that of a file.
        """
        folder = Path(path).expanduser()
        if folder.exists() and not folder.is_dir():
            raise InputError(
                f"{folder}: wanted a folder, or a path where one can be made, got a file"
            )
        with _without_bars():
            save_network(self.network, folder)
        self.tokenizer.save(folder)
        if not isinstance(self.objective, PRETRAINED):
            (folder / OBJECTIVE_FILE).write_text(json.dumps(plain(self.objective)))

    # On texts; each of these is a function of scoring or generation that takes the model first.

    log_likelihood = log_likelihood
    rank = rank
    bits_per_byte = bits_per_byte
    surprisal = surprisal
    loss = loss

    embed = embed
    embed_tokens = embed_tokens

    generate = generate
    infill = infill

    # On ids.

    room = property(room)
    ask = ask
    score_tokens = score_tokens
    pool_rows = pool_rows
    decode = decode
    score_gaps = score_gaps
    fill_gaps = fill_gaps

    def visibility(self, text: str) -> Visibility:
        """Measure which output depends on which input in the training example of a text: see
        ``models.visibility``.

        A plain encoder-decoder checkpoint, which has none, reads the text and writes it.

        Raises:
            InputError: no text, one without tokens, or one that the context does not hold.
        """
        special = self.tokenizer.special
        (tokens,) = as_ids(self.tokenizer.encode_batch([check_text(text, "text")]))
        if not len(tokens):
            raise InputError(f"text: wanted one with tokens, got {text!r}")
        if isinstance(self.objective, PretrainedSeq2Seq):
            (written,) = as_ids(self.tokenizer.target.encode_batch([text]))
            (example,) = self.objective.scoring_examples(tokens, written, special)
        else:
            example = self.objective.training_example(tokens, special, np.random.default_rng(0))
        example = fitting(example, self.context, "text")
        return measure_visibility(self.network, example, special, batch_tokens=self.batch_tokens)


class CausalLM(LanguageModel):
    """A causal language model: each token is predicted from those before it."""

    face = "decoder"


class MaskedLM(LanguageModel):
    """A masked language model: some tokens are predicted from all the others."""

    face = "encoder"


class Seq2SeqLM(LanguageModel):
    """An encoder-decoder language model: the masked spans of a text, or its translation."""

    face = "encoder-decoder"


FACES: dict[str, type[LanguageModel]] = {
    str(cls.face): cls for cls in (CausalLM, MaskedLM, Seq2SeqLM)
}


def load(
    name_or_path: str | Path,
    *,
    revision: str | None = None,
    device: str | None = None,
    dtype: str | torch.dtype = "float32",
    batch_tokens: int = 16_384,
    context: int | None = None,
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
) -> LanguageModel:
    """Read a folder or a checkpoint, as the face that its objective or the architecture in its
    config has.

    Args:
        name_or_path: a folder that ``lmcompare run`` or ``save_pretrained`` wrote, one with a
            transformers checkpoint and its tokenizer, or a name of the hub. A path never touches
            the network.
        revision: a branch, tag or commit of the hub's repository; None: its main branch.
        device: 'cpu', 'cuda', ...; None: the CPU.
        dtype: 'float32', 'float16', 'bfloat16' (or torch's own: torch.bfloat16), or 'auto' for that
            of the checkpoint.
        batch_tokens: positions that one forward pass may hold, padding included.
        context: tokens that the network may read at once; None: what its config says.
        trust_remote_code: run code that comes with a checkpoint.
        allow_pickle: read weights that are not safetensors, which may run code, too.

    Raises:
        InputError: one sentence about what is missing or does not fit.
    """
    return _open(
        LanguageModel,
        name_or_path,
        revision=revision,
        device=device,
        dtype=dtype,
        batch_tokens=batch_tokens,
        context=context,
        trust_remote_code=trust_remote_code,
        allow_pickle=allow_pickle,
    )


def wrap(transformer: Any, tokenizer: Any, **settings: Any) -> LanguageModel:
    """Take a transformers model and its tokenizer that are in memory, as the face of its class or
    its ``objective``.

    See ``LanguageModel.wrap``.
    """
    return LanguageModel.wrap(transformer, tokenizer, **settings)


Face = TypeVar("Face", bound=LanguageModel)


def _open(
    cls: type[Face],
    name_or_path: str | Path,
    *,
    revision: str | None = None,
    dtype: Any = "float32",
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
    **settings: Any,
) -> Face:
    if not isinstance(name_or_path, str | os.PathLike):
        raise InputError(
            f"name_or_path: wanted a folder, or a name of the hub, got {name_or_path!r}"
        )
    folder = Path(name_or_path).expanduser()
    if settings.get("device") is not None:
        check_device(settings["device"])
    with _without_bars():
        if (folder / OBJECTIVE_FILE).is_file():
            with checkpoints.readable_errors(str(folder)):
                objective = parse_objective(
                    json.loads((folder / OBJECTIVE_FILE).read_text(encoding="utf-8"))
                )
                network = load_network(folder, objective.role, checkpoints.torch_dtype(dtype))
                tokenizer = Tokenizer.load(folder)
            return _as_face(cls, network, tokenizer, objective, **settings)
        transformer, hf_tokenizer, role = checkpoints.load_checkpoint(
            name_or_path,
            face=cls.face,
            revision=revision,
            dtype=dtype,
            trust_remote_code=trust_remote_code,
            allow_pickle=allow_pickle,
        )
    return _as_face(cls, *checkpoints.wrap_transformer(transformer, hf_tokenizer, role), **settings)


@contextmanager
def _without_bars() -> Iterator[None]:
    """Show no bar of transformers ("Loading weights", "Writing model shards"); those of a download,
    the hub's, stay.

    The user's switch (``disable_progress_bar``) is left alone: it is the hub's, too.
    """
    put = getattr(
        library_logging, "set_tqdm_hook", lambda hook: None
    )  # transformers 5.0 had no hooks
    silent: Any = library_logging.EmptyTqdm  # untyped
    before = put(lambda _, args, settings: silent(*args, **settings))
    try:
        yield
    finally:
        put(before)


def _as_face(
    cls: type[Face], network: Network, tokenizer: Tokenizer, objective: Objective, **settings: Any
) -> Face:
    """Make a model; the bare ``LanguageModel`` becomes the face of its objective."""
    face: Any = FACES[objective.role] if cls is LanguageModel else cls
    model: Face = face(network, tokenizer, objective, **settings)
    return model
