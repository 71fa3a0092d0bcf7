"""Where a checkpoint lies, and what can be told of it without reading it: its type, its files, their hash."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lmcompare.core.errors import InputError, nearest
from lmcompare.objectives import Role, parse_objective

OBJECTIVE_FILE = "lmcompare.json"
"""Beside the weights of a network of ours: which objective trained them."""

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    "vocab.json",
    "tokenizer.model",
    "spiece.model",
)

GONE = {
    "transfo-xl": "transformers 5 no longer has Transformer-XL; the nearest living models with long memory are Mamba "
    "(`mamba`, `mamba2`) and RecurrentGemma (`recurrent_gemma`), which lmcompare scores exactly",
    "xlnet": "XLNet predicts in a permuted order, by a second stream that asks at the place of the target itself "
    "(`perm_mask`, `target_mapping`), which lmcompare does not ask; its plain forward sees what follows. Of models "
    "with long memory, lmcompare scores Mamba (`mamba`, `mamba2`) and RecurrentGemma (`recurrent_gemma`)",
    "nezha": "transformers 5 no longer has Nezha; BERT (`bert`) is the nearest",
}
"""Model types that are refused, and why."""

ONE_WAY = {
    **dict.fromkeys(
        (
            "bert", "bert-generation", "big_bird", "camembert", "data2vec-text", "electra", "ernie", "megatron-bert",
            "reformer", "rembert", "roberta", "roberta-prelayernorm", "roc_bert", "roformer", "xlm-roberta",
            "xlm-roberta-xl", "xmod",
        ),
        "is_decoder",
    ),
    "flaubert": "causal",
    "xlm": "causal",
}  # fmt: skip
"""Model types that see both sides unless the config, by this key, says that they do not."""

_WANTED = "a folder with config.json, safetensors and a tokenizer"
_HASHED = {".json", ".safetensors", ".txt", ".model"}
_PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt")


def is_local(name: str | Path) -> bool:
    """Return whether ``name`` is a path, which is never looked for on a network: it exists, or looks like one."""
    text = str(name)
    return (
        isinstance(name, Path)
        or Path(text).exists()
        or text.startswith((".", "/", "~"))
        or text.count("/") > 1
    )


def role_from_config(described: Mapping[str, Any], architecture: str) -> Role | None:
    """Return what a model is, as far as its config and the name of its class tell; None if they do not.

    >>> role_from_config({"model_type": "bert"}, "BertForMaskedLM"), role_from_config({"model_type": "bert"}, "BertModel")
    ('encoder', None)

    Raises:
        InputError: the type is refused, or the class is causal and its config says, if only by default, that the
            network sees what follows.
    """
    if described.get("model_type") in GONE:
        raise InputError(GONE[described["model_type"]])
    if described.get("is_encoder_decoder"):
        return "encoder-decoder"
    if architecture.endswith("ForMaskedLM"):
        return "encoder"
    if not architecture.endswith(("ForCausalLM", "LMHeadModel")):
        return None
    if described.get("is_causal", True) is False:
        raise InputError(
            f"{architecture}: its config says is_causal: false, so it sees what follows, and nothing says how it "
            "was trained; wanted a causal network, or a folder with lmcompare.json"
        )
    flag = ONE_WAY.get(described.get("model_type", ""))
    if flag and not described.get(flag):
        raise InputError(
            f"{architecture}: wanted {flag}: true in the config of a causal {described['model_type']}, got false, the "
            "default: it sees what follows"
        )
    return "decoder"


def check_folder(folder: Path) -> bool:
    """Refuse a folder that ``load`` would refuse, as far as that shows without reading weights.

    Returns:
        Whether its class is known to be served; if not, transformers must be asked (``checkpoints.role_of_folder``).

    Raises:
        InputError: all that is wrong: no such folder, no config, no safetensors, no tokenizer, a refused type.
    """
    if not folder.is_dir():
        near = [str(path.parent) for path in folder.parent.glob("*/config.json")]
        raise InputError(
            f"{folder}: wanted {_WANTED}, got no such folder{nearest(str(folder), near) if near else ''}"
        )
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder}: wanted {_WANTED}, got no config.json")
    problems = []
    if not any(folder.glob("*.safetensors")):
        pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
        got = f"{pickles[0]}, which may run code when it is read" if pickles else "none"
        problems.append(f"{folder}: wanted weights that are safetensors, got {got}")
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        problems.append(
            f"{folder}: wanted a tokenizer beside the weights (tokenizer.json), got none"
        )
    described = _mapping(folder / "config.json")
    known = (folder / OBJECTIVE_FILE).is_file()
    try:
        if known:
            parse_objective(_mapping(folder / OBJECTIVE_FILE))
        elif not described.get("auto_map"):
            known = (
                role_from_config(described, (described.get("architectures") or [""])[0]) is not None
            )
    except InputError as error:
        problems += [f"{folder}: {problem}" for problem in error.problems]
    if problems:
        raise InputError(*problems)
    return known


def _mapping(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: wanted JSON ({error})") from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: wanted a mapping, got {type(found).__name__}")
    return found


def check_hub_name(name: str) -> None:
    """Refuse what cannot be the name of a repository of the hub, ``org/name``; the hub is not asked.

    Raises:
        InputError: it cannot.
    """
    from huggingface_hub.utils import HFValidationError, validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise InputError(
            f"wanted a folder that exists, or a name of the hub such as openai-community/gpt2, got {name!r}"
        ) from error


def cached_folder(name: str, revision: str | None = None) -> Path | None:
    """Return the folder in which a repository of the hub lies since it was last read, if it was; nothing is fetched."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, "config.json", revision=revision)
    return Path(found).parent if isinstance(found, str) else None


def fingerprint(folder: Path) -> str:
    """Return the SHA-256 of what may decide a checkpoint's answers: its weights, configs and tokenizer files."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in _HASHED and path.is_file():
            with path.open("rb") as file:
                digest.update(
                    f"{path.name}\0".encode() + hashlib.file_digest(file, "sha256").digest()
                )
    return digest.hexdigest()
