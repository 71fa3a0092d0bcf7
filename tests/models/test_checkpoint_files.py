"""What is said of a checkpoint before it is read."""

import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from lmcompare.core.errors import InputError
from lmcompare.models.checkpoint_files import (
    cached_folder,
    check_folder,
    check_hub_name,
    fingerprint,
    role_from_config,
)

GPT2 = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}


def folder_of(path: Path, config: dict[str, Any] | None = None, *files: str) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    if config is not None:
        (path / "config.json").write_text(json.dumps(config))
    for name in files or ("model.safetensors", "tokenizer.json"):
        (path / name).write_text("{}")
    return path


def problems(folder: Path) -> list[str]:
    with pytest.raises(InputError) as caught:
        check_folder(folder)
    return caught.value.problems


@pytest.mark.parametrize(
    ("config", "known"),
    [
        (GPT2, True),
        (
            {
                "model_type": "t5",
                "is_encoder_decoder": True,
                "architectures": ["T5ForConditionalGeneration"],
            },
            True,
        ),
        ({"model_type": "bert", "architectures": ["BertModel"]}, False),
        ({"model_type": "bert"}, False),
        (GPT2 | {"auto_map": {"AutoConfig": "own.Config"}}, False),
    ],
)
def test_a_folder_that_is_whole(config: dict[str, Any], known: bool, tmp_path: Path) -> None:
    assert check_folder(folder_of(tmp_path, config)) is known


def test_a_network_of_ours_says_its_objective(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, GPT2 | {"is_causal": False})
    assert "is_causal: false, so its attention is full" in problems(folder)[0]
    (folder / "lmcompare.json").write_text('{"kind": "masked"}')
    assert check_folder(folder)
    (folder / "lmcompare.json").write_text('{"kind": "maskd"}')
    assert problems(folder) == [f"{folder}: no objective 'maskd'; did you mean 'masked'?"]


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {"model_type": "xlnet"}, "pytorch_model.bin")
    said = problems(folder)
    assert said[0].endswith(
        "wanted weights that are safetensors, got pytorch_model.bin, which may run code when it is "
        "read"
    )
    assert said[1].endswith("wanted a tokenizer beside the weights (tokenizer.json), got none")
    assert "perm_mask" in said[2] and len(said) == 3


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    near = folder_of(tmp_path / "causal-1", GPT2)
    wanted = (
        f"{tmp_path}/casual-1: wanted a folder with config.json, safetensors and a tokenizer, "
        "got no such folder"
    )
    assert problems(tmp_path / "casual-1") == [f"{wanted}; did you mean '{near}'?"]
    assert "got no config.json" in problems(folder_of(tmp_path / "empty"))[0]
    (near / "config.json").write_text("[")
    assert "config.json: wanted JSON" in problems(near)[0]


def test_the_hash_is_of_what_may_decide_the_answers(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "a", GPT2)
    usual = fingerprint(folder)
    assert fingerprint(folder_of(tmp_path / "b", GPT2)) == usual
    (folder / "README.md").write_text("a model card")
    assert fingerprint(folder) == usual
    for name in (
        "model.safetensors",
        "config.json",
        "tokenizer.json",
        "generation_config.json",
        "merges.txt",
    ):
        before = fingerprint(folder)
        (folder / name).write_text(f"another {name}")
        assert fingerprint(folder) != before, name


def test_names_of_the_hub_have_a_form() -> None:
    for name in ("openai-community/gpt2", "gpt2"):
        check_hub_name(name)
    for name in ("org/a b", "-gpt2", "org/gpt2.git", "a--b"):
        with pytest.raises(
            InputError, match=r"wanted a folder that exists, or a name of the hub such as"
        ):
            check_hub_name(name)


def test_what_was_downloaded_is_found_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert cached_folder("org/tiny") is None
    snapshot = folder_of(tmp_path / "models--org--tiny" / "snapshots" / ("a" * 40), GPT2)
    (tmp_path / "models--org--tiny" / "refs").mkdir()
    (tmp_path / "models--org--tiny" / "refs" / "main").write_text("a" * 40)
    assert cached_folder("org/tiny") == cached_folder("org/tiny", "a" * 40) == snapshot
    assert cached_folder("org/tiny", "another") is None


def test_roles_by_name() -> None:
    assert role_from_config(GPT2, "GPT2LMHeadModel") == "decoder"
    assert (
        role_from_config({"model_type": "bart", "is_encoder_decoder": True}, "BartModel")
        == "encoder-decoder"
    )


def test_a_causal_name_is_not_enough() -> None:
    """Of types that see both sides by default, the config must say that they do not."""
    for kind, flag in (
        ("bert", "is_decoder"),
        ("electra", "is_decoder"),
        ("xlm", "causal"),
        ("flaubert", "causal"),
    ):
        with pytest.raises(
            InputError, match=f"wanted {flag}: true in the config of a causal {kind}, got false"
        ):
            role_from_config({"model_type": kind}, "OwnLMHeadModel")
        assert role_from_config({"model_type": kind, flag: True}, "OwnForCausalLM") == "decoder"
        assert role_from_config({"model_type": kind}, "OwnForMaskedLM") == "encoder"
