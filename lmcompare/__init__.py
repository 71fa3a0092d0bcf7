"""lmcompare: causal, masked and sequence-to-sequence language models, side by side.

The wrappers are imported on first use, so that ``import lmcompare`` costs no more than a file read.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from lmcompare.language_model import CausalLM, LanguageModel, MaskedLM, Seq2SeqLM, load, wrap

__all__ = ["CausalLM", "LanguageModel", "MaskedLM", "Seq2SeqLM", "__version__", "load", "wrap"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("lmcompare.language_model"), name)
    raise AttributeError(f"module 'lmcompare' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
