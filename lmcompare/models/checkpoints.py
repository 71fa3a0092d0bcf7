"""Checkpoints of the hub or a folder: which class loads them, and what is refused."""

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
from lmcompare.models.checkpoint_files import (
    TOKENIZER_FILES,
    UNSUPPORTED,
    is_local,
    role_from_config,
)
from lmcompare.models.input_formats import configured_role, pretrained_objective
from lmcompare.models.network import Network
from lmcompare.models.pretrained_objectives import TextFrame
from lmcompare.models.sanity_checks import check_causal, check_padding
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
    """Return a model's role by the name of its class, else by its type.

    >>> from types import SimpleNamespace as Config
    >>> role_of(Config(model_type="bert", is_encoder_decoder=False), "BertForMaskedLM")
    'encoder'
    >>> role_of(Config(model_type="marian", is_encoder_decoder=True), "MarianMTModel")
    'encoder-decoder'

    Raises:
        InputError: transformers has no language model of that type.
    """
    model_type = config.model_type
    settings = {"model_type": model_type, "is_causal": getattr(config, "is_causal", True)}
    for key in ("is_encoder_decoder", "is_decoder", "causal"):
        settings[key] = getattr(config, key, False)
    role = role_from_config(settings, architecture)
    if role is not None:
        return role
    if model_type in NAMES["encoder"] and not settings["is_decoder"]:
        return "encoder"
    if model_type in NAMES["decoder"]:
        return "decoder"
    raise InputError(
        f"{architecture or model_type}: wanted a language model that reads text alone, got "
        f"{model_type!r}"
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
    """Load a checkpoint and its tokenizer; a local one without a network.

    Args:
        name: a folder, or the name of a repository of the hub.
        face: the role that the caller needs; None: any.
        revision: a branch, tag or commit of the hub's repository; None: its main branch.
        dtype: 'float32', 'float16', 'bfloat16' or 'auto'.
        trust_remote_code: run the code that comes with the checkpoint.
        allow_pickle: also read weights that are not safetensors, which may run code.

    Returns:
        The transformers model with its language-modeling head, the tokenizer, and the role.

    Raises:
        InputError: what is missing or wrong: folder, weights, tokenizer, head, type.
    """
    local = is_local(name)
    path = str(Path(name).expanduser()) if local else str(name)
    if local and not (Path(path) / "config.json").is_file():
        raise InputError(
            f"{path}: wanted a folder with lmcompare.json, or config.json and weights; got neither"
        )
    options: dict[str, Any] = {"local_files_only": local, "trust_remote_code": trust_remote_code}
    if revision is not None:
        options["revision"] = revision
    with readable_errors(path):
        config, role = _config_and_role(path, options)
        kind = _architecture(config) or config.model_type
        if face not in (None, role):
            raise InputError(
                f"wanted a network for {FACE[face]} ({face}), got {kind} ({role}); "
                "`lmcompare.load` picks the class by what it finds"
            )
        tokenizer = _load_tokenizer(path, config, options)
        model, report = AUTO[role].from_pretrained(
            path,
            config=config,
            dtype=torch_dtype(dtype),
            use_safetensors=None if allow_pickle else True,
            output_loading_info=True,
            **options,
        )
    if report["missing_keys"]:
        raise InputError(f"{path}: {kind} {_missing_weights(type(model).__name__, report)}")
    return model.eval(), tokenizer, role


def _load_tokenizer(path: str, config: Any, options: dict[str, Any]) -> Any:
    needs_sentencepiece = (
        config.model_type == "marian" and not (Path(path) / "tokenizer.json").is_file()
    )
    if needs_sentencepiece and find_spec("sentencepiece") is None:
        raise InputError(
            "wanted the package sentencepiece, which reads Marian's source.spm and target.spm; "
            "`pip install 'lmcompare[translation]'` installs it"
        )
    tokenizer = AutoTokenizer.from_pretrained(path, **options)
    files = any((Path(path) / file).is_file() for file in TOKENIZER_FILES)
    if options["local_files_only"] and not files:
        raise InputError("wanted a tokenizer beside the weights (tokenizer.json), got none")
    return tokenizer


def _missing_weights(cls: str, report: dict[str, Any]) -> str:
    missing = sorted(report["missing_keys"])
    older = any(name.startswith("lm_predictions.") for name in report["unexpected_keys"])
    hint = "; it has one under an older name, which 'legacy: false' in config.json reads"
    return (
        f"holds no weights for {len(missing)} parts of a {cls} ({missing[0]}, ...), which would be "
        "random; wanted a checkpoint saved with its language-modeling head"
        + (hint if older else "")
    )


def role_of_folder(folder: Path) -> Role:
    """Return the role of the checkpoint in a folder, by its config alone.

    Raises:
        InputError: no class that ``load_checkpoint`` serves.
    """
    options = {"local_files_only": True, "trust_remote_code": False}
    with readable_errors(str(folder)):
        return _config_and_role(str(folder), options)[1]


def _config_and_role(path: str, options: dict[str, Any]) -> tuple[Any, Role]:
    location = {key: value for key, value in options.items() if key != "trust_remote_code"}
    raw, _ = PreTrainedConfig.get_config_dict(path, **location)
    model_type = raw.get("model_type", "")
    if model_type in UNSUPPORTED:
        raise InputError(f"{path}: {UNSUPPORTED[model_type]}")
    known = any(model_type in names for names in NAMES.values())
    if raw.get("auto_map") and not options["trust_remote_code"] and not known:
        raise InputError(
            f"{path}: its model type {model_type!r} is code of its own, which is not run unless "
            "trust_remote_code=True"
        )
    config = AutoConfig.from_pretrained(path, **options)
    return config, role_of(config, _architecture(config))


def _architecture(config: Any) -> str:
    return str((getattr(config, "architectures", None) or [""])[0])


def wrap_transformer(
    transformer: Any, tokenizer: Any, role: Role | None, objective: Objective | None = None
) -> tuple[Network, Tokenizer, Objective]:
    """Return the network, the tokenizer and the objective of a transformers model.

    Args:
        transformer: a checkpoint, or a network that we trained.
        tokenizer: of the network.
        role: of a checkpoint; None: as the config of a network of ours says.
        objective: of a network of ours; None: that of the checkpoint's family.

    Raises:
        InputError: no language-modeling head, a failed sanity check, or a tokenizer or objective
            that does not fit.
    """
    name = type(transformer).__name__
    if transformer.get_output_embeddings() is None:
        raise InputError(f"{name}: wanted a model with a language-modeling head, got one without")
    wrapped = _wrap_tokenizer(transformer, tokenizer)
    role = configured_role(transformer.config) if role is None else role
    if objective is None:
        generation = getattr(transformer, "generation_config", None)
        objective = pretrained_objective(
            transformer.config,
            role,
            TextFrame(*wrapped.frame),
            wrapped.special,
            getattr(generation, "decoder_start_token_id", None),
        )
    elif transformer.config.model_type not in OURS:
        raise InputError(
            f"objective: wanted a network of ours ({' or '.join(OURS)}), got "
            f"{transformer.config.model_type!r}, whose family sets its objective: leave it out"
        )
    elif (role == "encoder-decoder") != (objective.role == "encoder-decoder"):
        raise InputError(
            f"objective: wanted one for {name} ({role}), got {objective.kind!r} ({objective.role})"
        )
    network = Network(transformer, role)
    check_padding(network, objective, wrapped.special)
    if objective.role == "decoder":
        check_causal(network, wrapped.special)
    return network, wrapped, objective


def _wrap_tokenizer(transformer: Any, tokenizer: Any) -> Tokenizer:
    size = int(transformer.get_input_embeddings().weight.shape[0])
    if type(tokenizer).__name__ == "MarianTokenizer":
        outputs = int(transformer.get_output_embeddings().weight.shape[0])
        return MarianTokenizer(tokenizer, (size, outputs))
    wrapped = Tokenizer.wrap(tokenizer, size)
    if wrapped.size > size:
        raise InputError(
            f"tokenizer: wanted at most the {size} ids that {type(transformer).__name__} has "
            f"embeddings for, got {wrapped.size}"
        )
    return wrapped


@contextmanager
def readable_errors(path: str) -> Iterator[None]:
    """Turn the library's errors into one sentence about ``path``, and silence its own report."""
    try:
        with _quiet():
            yield
    except InputError as error:
        raise InputError(
            *(p if p.startswith(f"{path}:") else f"{path}: {p}" for p in error.problems)
        ) from error
    except (OSError, ValueError, ImportError, KeyError, RuntimeError, SafetensorError) as error:
        lines = str(error).strip().splitlines()
        reason = lines[0] if lines else type(error).__name__
        if "ignore_mismatched_sizes" in reason:  # the rest is about the report that is silenced
            reason = "weights of another shape than config.json says"
        hint = ""
        if "safetensors" in reason:
            hint = "; allow_pickle=True reads weights that are not safetensors"
        elif not is_local(path):
            hint = "; a name of the hub needs the network, or an earlier download"
        raise InputError(f"{path}: cannot be read: {reason}{hint}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the report of missing weights, an error here, and the advice to install sacremoses.

    MarianTokenizer looks for that package and never calls it.
    """
    before = library_logging.get_verbosity()
    library_logging.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Recommended: pip install sacremoses")
            yield
    finally:
        library_logging.set_verbosity(before)
