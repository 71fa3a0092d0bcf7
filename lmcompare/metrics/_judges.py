"""Models and libraries that a metric needs beside its inputs."""

from importlib import import_module
from pathlib import Path
from typing import Any

from lmcompare.core.errors import InputError


def checkpoint(model: str | None) -> Path:
    """Return the folder of the checkpoint.

    Raises:
        InputError: none was named, or there is none.
    """
    if model is None:
        raise InputError("model: missing; wanted the folder of a checkpoint")
    folder = Path(model).expanduser()
    if not (folder / "config.json").is_file():
        wanted = "wanted a folder with config.json and model.safetensors"
        raise InputError(f"model: {wanted}, got {model!r}")
    return folder


def language_model(model: str | None) -> Any:
    """Return the ``LanguageModel`` of a checkpoint's folder; see ``checkpoint``."""
    folder = checkpoint(model)
    from lmcompare.language_model import load  # torch: only where a model is needed

    return load(folder)


def library(name: str) -> Any:
    """Import the library that computes a metric.

    Raises:
        InputError: it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise InputError(f"{error}; `pip install 'lmcompare[judges]'` installs it") from None
