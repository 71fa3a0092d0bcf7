"""Files and metadata of a checkpoint (type, role, hash), read without its weights."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lmcompare.core.errors import InputError, nearest
from lmcompare.objectives import Role, parse_objective

OBJECTIVE_FILE = "lmcompare.json"
"""Beside the weights of a network of ours: the objective that trained it."""

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    "vocab.json",
    "tokenizer.model",
    "spiece.model",
)

UNSUPPORTED = {
    "transfo-xl": "transformers 5 no longer has Transformer-XL; the nearest models with long "
    "memory are Mamba (`mamba`, `mamba2`) and RecurrentGemma (`recurrent_gemma`), which lmcompare "
    "scores exactly",
    "xlnet": "XLNet predicts in a permuted order by a second stream (`perm_mask`, "
    "`target_mapping`), which lmcompare does not support; its plain forward pass has full "
    "attention. Of models with long memory, lmcompare scores Mamba (`mamba`, `mamba2`) and "
    "RecurrentGemma (`recurrent_gemma`)",
    "nezha": "transformers 5 no longer has Nezha; BERT (`bert`) is the nearest",
}
"""Model types that are refused, and why."""

CAUSAL_FLAGS = {
    **dict.fromkeys(
        (
            "bert", "bert-generation", "big_bird", "camembert", "data2vec-text", "electra", "ernie",
            "megatron-bert", "reformer", "rembert", "roberta", "roberta-prelayernorm", "roc_bert",
            "roformer", "xlm-roberta", "xlm-roberta-xl", "xmod",
        ),
        "is_decoder",
    ),
    "flaubert": "causal",
    "xlm": "causal",
}  # fmt: skip
"""Model types with full attention unless this key of their config is true."""

_EXPECTED = "a folder with config.json, safetensors and a tokenizer"
_HASHED = {".json", ".safetensors", ".txt", ".model"}
_PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt")


def is_local(name: str | Path) -> bool:
    """Return whether ``name`` is a path: it exists or looks like one. The hub is then not used."""
    text = str(name)
    return (
        isinstance(name, Path)
        or Path(text).exists()
        or text.startswith((".", "/", "~"))
        or text.count("/") > 1
    )


def role_from_config(config: Mapping[str, Any], architecture: str) -> Role | None:
    """Return a model's role, as far as its config and the name of its class tell; else None.

    >>> role_from_config({"model_type": "bert"}, "BertForMaskedLM")
    'encoder'
    >>> role_from_config({"model_type": "bert"}, "BertModel") is None
    True

    Raises:
        InputError: the type is refused, or the class is causal and its config says, if only by
            default, that its attention is full.
    """
    model_type = config.get("model_type", "")
    if model_type in UNSUPPORTED:
        raise InputError(UNSUPPORTED[model_type])
    if config.get("is_encoder_decoder"):
        return "encoder-decoder"
    if architecture.endswith("ForMaskedLM"):
        return "encoder"
    if not architecture.endswith(("ForCausalLM", "LMHeadModel")):
        return None
    if config.get("is_causal", True) is False:
        raise InputError(
            f"{architecture}: its config says is_causal: false, so its attention is full, and how "
            "it was trained is unknown; wanted a causal network, or a folder with lmcompare.json"
        )
    flag = CAUSAL_FLAGS.get(model_type)
    if flag and not config.get(flag):
        raise InputError(
            f"{architecture}: wanted {flag}: true in the config of a causal {model_type}, got "
            "false, the default: its attention is full"
        )
    return "decoder"


def check_folder(folder: Path) -> bool:
    """Refuse a folder that ``load`` would refuse, as far as that shows without reading weights.

    Returns:
        Whether its class is known; if not, ``checkpoints.role_of_folder`` asks transformers.

    Raises:
        InputError: all problems: no folder, config, safetensors or tokenizer, or a refused type.
    """
    if not folder.is_dir():
        near = [str(path.parent) for path in folder.parent.glob("*/config.json")]
        hint = nearest(str(folder), near) if near else ""
        raise InputError(f"{folder}: wanted {_EXPECTED}, got no such folder{hint}")
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder}: wanted {_EXPECTED}, got no config.json")
    problems = []
    if not any(folder.glob("*.safetensors")):
        pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
        got = f"{pickles[0]}, which may run code when it is read" if pickles else "none"
        problems.append(f"{folder}: wanted weights that are safetensors, got {got}")
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        problems.append(
            f"{folder}: wanted a tokenizer beside the weights (tokenizer.json), got none"
        )
    config = _read_mapping(folder / "config.json")
    try:
        known = _class_is_known(folder, config)
    except InputError as error:
        problems += [f"{folder}: {problem}" for problem in error.problems]
    if problems:
        raise InputError(*problems)
    return known


def _class_is_known(folder: Path, config: Mapping[str, Any]) -> bool:
    if (folder / OBJECTIVE_FILE).is_file():
        parse_objective(_read_mapping(folder / OBJECTIVE_FILE))
        return True
    if config.get("auto_map"):
        return False
    architecture = (config.get("architectures") or [""])[0]
    return role_from_config(config, architecture) is not None


def _read_mapping(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: wanted JSON ({error})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: wanted a mapping, got {type(content).__name__}")
    return content


def check_hub_name(name: str) -> None:
    """Refuse what cannot be the name of a repository of the hub, ``org/name``; uses no network.

    Raises:
        InputError: it cannot.
    """
    from huggingface_hub.utils import HFValidationError, validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise InputError(
            f"wanted a folder that exists, or a name of the hub such as openai-community/gpt2, got "
            f"{name!r}"
        ) from error


def cached_folder(name: str, revision: str | None = None) -> Path | None:
    """Return the local snapshot of a hub repository, if it was downloaded; fetches nothing."""
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(name, "config.json", revision=revision)
    return Path(config).parent if isinstance(config, str) else None


def fingerprint(folder: Path) -> str:
    """Return the SHA-256 of the files that decide outputs: weights, configs, tokenizer."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in _HASHED and path.is_file():
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").digest()
            digest.update(f"{path.name}\0".encode() + content)
    return digest.hexdigest()
