"""Checkpoints of the hub or a folder: which class reads them, and what is refused, not scored at random."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedConfig,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
)
from transformers.utils import logging as library_logging

from lmcompare.core.errors import InputError, nearest
from lmcompare.data.marian_tokenizer import MarianTokenizer
from lmcompare.data.tokenizer import Tokenizer
from lmcompare.models.checkpoint_files import GONE, TOKENIZER_FILES, is_local, role_from_config
from lmcompare.models.families import configured_role, pretrained_objective
from lmcompare.models.network import Network
from lmcompare.models.pretrained_objectives import TextFrame
from lmcompare.models.sanity_checks import check_answers, check_causal
from lmcompare.objectives import Objective, Role

AUTO: dict[Role, Any] = {
    "decoder": AutoModelForCausalLM,
    "encoder": AutoModelForMaskedLM,
    "encoder-decoder": AutoModelForSeq2SeqLM,
}
NAMES: dict[Role, Any] = {
    "decoder": MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    "encoder": MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    "encoder-decoder": MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
}
FACE: dict[Role, str] = {
    "decoder": "CausalLM",
    "encoder": "MaskedLM",
    "encoder-decoder": "Seq2SeqLM",
}

OURS = ("gemma2", "t5gemma")
"""Model types of the networks that we build."""

DTYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "auto": "auto",
}


def torch_dtype(name: str | torch.dtype) -> Any:
    """Return torch's dtype of that name, or the dtype itself; 'auto' is that of the checkpoint.

    Raises:
        InputError: there is none.
    """
    if isinstance(name, torch.dtype) and name in DTYPES.values():
        return name
    if not isinstance(name, str) or name not in DTYPES:
        hint = nearest(name, DTYPES) if isinstance(name, str) else ""
        raise InputError(f"dtype: wanted one of {', '.join(DTYPES)}, got {name!r}{hint}")
    return DTYPES[name]


def role_of(config: Any, architecture: str) -> Role:
    """Return what a model is, by the name of its class, else by its type.

    >>> from types import SimpleNamespace as Config
    >>> role_of(Config(model_type="bert", is_encoder_decoder=False), "BertForMaskedLM")
    'encoder'
    >>> role_of(Config(model_type="marian", is_encoder_decoder=True), "MarianMTModel")
    'encoder-decoder'

    Raises:
        InputError: transformers knows no language model of that type.
    """
    kind = config.model_type
    told = {"model_type": kind, "is_causal": getattr(config, "is_causal", True)}
    told |= {
        key: getattr(config, key, False) for key in ("is_encoder_decoder", "is_decoder", "causal")
    }
    named = role_from_config(told, architecture)
    if named is not None:
        return named
    for role in ("encoder", "decoder"):
        if kind in NAMES[role] and (role == "decoder" or not getattr(config, "is_decoder", False)):
            return role
    raise InputError(
        f"{architecture or kind}: wanted a language model that reads text alone, got {kind!r}"
    )


def load_checkpoint(
    name: str | Path,
    *,
    face: Role | None = None,
    revision: str | None = None,
    dtype: str = "float32",
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
) -> tuple[Any, Any, Role]:
    """Read a checkpoint and its tokenizer; a local one without a network.

    Args:
        name: a folder, or the name of a repository of the hub.
        face: what the caller wants it to be; None: whatever it is.
        revision: a branch, tag or commit of the hub's repository; None: its main branch.
        dtype: 'float32', 'float16', 'bfloat16' or 'auto'.
        trust_remote_code: run the code that comes with the checkpoint.
        allow_pickle: read weights that are not safetensors, which may run code, too.

    Returns:
        The transformers model with its language-modelling head, the tokenizer, and the role of the network.

    Raises:
        InputError: one sentence about what is missing: the folder, the weights, the tokenizer, the head, the type.
    """
    path = str(Path(name).expanduser()) if is_local(name) else str(name)
    if is_local(name) and not (Path(path) / "config.json").is_file():
        raise InputError(
            f"{path}: wanted a folder with lmcompare.json, or config.json and weights; got neither"
        )
    where: dict[str, Any] = {
        "local_files_only": is_local(name),
        "trust_remote_code": trust_remote_code,
    }
    where |= {} if revision is None else {"revision": revision}
    with readable_errors(path):
        config, role = _typed(path, where)
        kind, architecture = config.model_type, (getattr(config, "architectures", None) or [""])[0]
        if face not in (None, role):
            raise InputError(
                f"wanted a network for {FACE[face]} ({face}), got {architecture or kind} ({role}); `lmcompare.load` "
                "picks the class by what it finds"
            )
        if (
            kind == "marian"
            and find_spec("sentencepiece") is None
            and not (Path(path) / "tokenizer.json").is_file()
        ):
            raise InputError(
                "wanted the package sentencepiece, which reads Marian's source.spm and target.spm; "
                "`pip install 'lmcompare[translation]'` installs it"
            )
        tokenizer = AutoTokenizer.from_pretrained(path, **where)
        if not any((Path(path) / file).is_file() for file in TOKENIZER_FILES) and is_local(name):
            raise InputError("wanted a tokenizer beside the weights (tokenizer.json), got none")
        model, report = AUTO[role].from_pretrained(
            path,
            config=config,
            dtype=torch_dtype(dtype),
            use_safetensors=None if allow_pickle else True,
            output_loading_info=True,
            **where,
        )
    missing = sorted(report["missing_keys"])
    if missing:
        older = any(name.startswith("lm_predictions.") for name in report["unexpected_keys"])
        hint = (
            "; it has one under an older name, which 'legacy: false' in config.json reads"
            if older
            else ""
        )
        raise InputError(
            f"{path}: {architecture or kind} holds no weights for {len(missing)} parts of a {type(model).__name__} "
            f"({missing[0]}, ...), which would be random; wanted a checkpoint saved with its language-modelling head"
            f"{hint}"
        )
    return model.eval(), tokenizer, role


def role_of_folder(folder: Path) -> Role:
    """Return the role of the checkpoint in a folder, by its config alone.

    Raises:
        InputError: no class that ``load_checkpoint`` serves.
    """
    with readable_errors(str(folder)):
        return _typed(str(folder), {"local_files_only": True, "trust_remote_code": False})[1]


def _typed(path: str, where: dict[str, Any]) -> tuple[Any, Role]:
    """Return the config, and the role that the class named in it has."""
    found = {key: value for key, value in where.items() if key != "trust_remote_code"}
    described, _ = PreTrainedConfig.get_config_dict(path, **found)
    kind = described.get("model_type", "")
    if kind in GONE:
        raise InputError(f"{path}: {GONE[kind]}")
    if described.get("auto_map") and not where["trust_remote_code"] and kind not in _known_types():
        raise InputError(
            f"{path}: its model type {kind!r} is code of its own, which is not run unless trust_remote_code=True"
        )
    config = AutoConfig.from_pretrained(path, **where)
    return config, role_of(config, (getattr(config, "architectures", None) or [""])[0])


def wrap_transformer(
    transformer: Any, hf_tokenizer: Any, role: Role | None, objective: Objective | None = None
) -> tuple[Network, Tokenizer, Objective]:
    """Return the network, the tokenizer and the objective of a checkpoint, or of a network that we trained.

    Args:
        transformer: the transformers model.
        hf_tokenizer: of the network.
        role: what a checkpoint is; None: what the config of a network of ours says.
        objective: how a network of ours is asked; None: as its family is.

    Raises:
        InputError: a model without a language-modelling head, one that ``trying`` refuses, or a tokenizer that does
            not go with it.
    """
    name = type(transformer).__name__
    if transformer.get_output_embeddings() is None:
        raise InputError(f"{name}: wanted a model with a language-modelling head, got one without")
    size = int(transformer.get_input_embeddings().weight.shape[0])
    tokenizer: Tokenizer
    if type(hf_tokenizer).__name__ == "MarianTokenizer":
        tokenizer = MarianTokenizer(
            hf_tokenizer, (size, int(transformer.get_output_embeddings().weight.shape[0]))
        )
    else:
        tokenizer = Tokenizer.wrap(hf_tokenizer, size)
        if tokenizer.size > size:
            raise InputError(
                f"tokenizer: wanted at most the {size} ids that {name} has states for, got {tokenizer.size}"
            )
    role = configured_role(transformer.config) if role is None else role
    if objective is None:
        objective = pretrained_objective(
            transformer.config,
            role,
            TextFrame(*tokenizer.frame),
            tokenizer.special,
            getattr(
                getattr(transformer, "generation_config", None), "decoder_start_token_id", None
            ),
        )
    elif transformer.config.model_type not in OURS:
        raise InputError(
            f"objective: wanted a network of ours ({' or '.join(OURS)}), got {transformer.config.model_type!r}, whose "
            "family says how it is asked: leave objective out"
        )
    elif (role == "encoder-decoder") != (objective.role == "encoder-decoder"):
        raise InputError(
            f"objective: wanted one for {name} ({role}), got {objective.kind!r} ({objective.role})"
        )
    network = Network(transformer, role)
    check_answers(network, objective, tokenizer.special)
    if objective.role == "decoder":
        check_causal(network, tokenizer.special)
    return network, tokenizer, objective


def _known_types() -> set[str]:
    return {kind for names in NAMES.values() for kind in names}


@contextmanager
def readable_errors(path: str) -> Iterator[None]:
    """Say in one sentence what the library says in a traceback, and keep its own report back."""
    try:
        with _quiet():
            yield
    except InputError as error:
        raise InputError(
            *(p if p.startswith(f"{path}:") else f"{path}: {p}" for p in error.problems)
        ) from error
    except (OSError, ValueError, ImportError, KeyError, RuntimeError, SafetensorError) as error:
        said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if (
            "ignore_mismatched_sizes" in said
        ):  # its next sentence is about the report that we keep back
            said = "weights of another shape than config.json says"
        hint = (
            "; allow_pickle=True reads weights that are not safetensors"
            if "safetensors" in said
            else ""
        )
        if not hint and not is_local(path):
            hint = "; a name of the hub needs the network, or an earlier download"
        raise InputError(f"{path}: cannot be read: {said}{hint}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library's own report of missing weights back: here it is an error; and its advice on sacremoses.

    MarianTokenizer asks for that package and calls it nowhere.
    """
    before = library_logging.get_verbosity()
    library_logging.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Recommended: pip install sacremoses")
            yield
    finally:
        library_logging.set_verbosity(before)
