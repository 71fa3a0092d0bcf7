"""Data sets of the Hugging Face hub, or a folder of one, through the library `datasets`."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

from lmcompare.core.errors import InputError
from lmcompare.core.settings import STRICT
from lmcompare.data.cache import digest
from lmcompare.data.sources import _files as files
from lmcompare.data.sources.base import SOURCES, Row

_BUILDERS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".parquet": "parquet",
    ".txt": "text",
}
_SAVED = ("state.json", "dataset_dict.json")


@SOURCES.register("huggingface")
@dataclass(frozen=True)
class HuggingFace:
    """A data set of the Hugging Face hub by name, or a local one by path; none of its code runs."""

    __pydantic_config__ = STRICT
    kind: ClassVar[str]

    name: str
    """name on the hub such as `stanfordnlp/imdb`, or the path of a folder or file"""
    config: str | None = None
    """which configuration of it"""
    split: str = "train"
    """which split of it; lmcompare makes its own three out of this one"""
    revision: str | None = None
    """which version on the hub: a branch, a tag or a commit"""
    column: str = "text"
    """name of the column with the text"""

    def rows(self) -> Iterator[Row]:
        """Yield each row with all its columns.

        Raises:
            InputError: there is no such data set, configuration, split or column, or the network is
                missing.
        """
        for row in _load(self):
            yield files.with_text(dict(row), self.column, self.name)

    def fingerprint(self) -> str:
        settings = (self.config, self.split, self.column)
        place = Path(files.filled(self.name))
        if not place.exists():
            return digest(self.kind, *settings, _content(self))
        paths = [path for path in place.rglob("*") if path.is_file()] if place.is_dir() else [place]
        return digest(self.kind, *settings, [files.sha256(path) for path in sorted(paths)])


@lru_cache(maxsize=16)
def _content(source: HuggingFace) -> str:
    """Return the SHA-256 of all rows; once a process, since a hub's revision does not change."""
    whole = sha256()
    for row in _load(source):
        whole.update(repr(sorted(row.items())).encode())
    return whole.hexdigest()


def _load(source: HuggingFace) -> Any:
    from datasets.exceptions import DatasetsError

    place = Path(files.filled(source.name))
    try:
        if place.is_dir() and any((place / name).is_file() for name in _SAVED):
            return _saved(place, source.split)
        if place.is_file():
            return _file(place, source.split)
        return _hub(str(place) if place.is_dir() else source.name, source)
    except ConnectionError as error:
        raise InputError(
            f"huggingface {source.name!r}: the hub cannot be reached ({_line(error)}); wanted the "
            "network, a data set that was fetched before, or a local path in `name`"
        ) from error
    except (DatasetsError, ValueError, RuntimeError, OSError) as error:
        raise InputError(f"huggingface {source.name!r}: {_line(error)}") from error


def _saved(folder: Path, split: str) -> Any:
    from datasets import DatasetDict, load_from_disk

    saved = load_from_disk(str(folder))
    if not isinstance(saved, DatasetDict):
        return saved
    if split not in saved:
        raise ValueError(f"unknown split {split!r}; there are {sorted(saved)}")
    return saved[split]


def _file(path: Path, split: str) -> Any:
    from datasets import load_dataset

    if path.suffix.lower() not in _BUILDERS:
        raise ValueError(f"wanted a file with suffix {', '.join(_BUILDERS)}")
    return load_dataset(_BUILDERS[path.suffix.lower()], data_files=str(path), split=split)


def _hub(name: str, source: HuggingFace) -> Any:
    from datasets import Dataset, load_dataset

    loaded = load_dataset(name, source.config, split=source.split, revision=source.revision)
    if not isinstance(loaded, Dataset):
        raise ValueError(f"wanted one split, got {type(loaded).__name__}; set `split`")
    return loaded


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
