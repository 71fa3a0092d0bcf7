"""Data sets of the Hugging Face hub, or a folder of one, through the library `datasets`."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
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


@SOURCES.register("huggingface")
@dataclass(frozen=True)
class HuggingFace:
    """A data set of the Hugging Face hub by name, or a local one by path; never runs code that comes with it."""

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
            InputError: there is no such data set, configuration, split or column, or the network is missing.
        """
        for row in _load(self):
            yield files.with_text(dict(row), self.column, self.name)

    def fingerprint(self) -> str:
        """Return the SHA-256 of the content and the settings: of a local path, of its files."""
        settings = (self.config, self.split, self.column)
        place = files.expanded(self.name)
        if place.exists():
            found = (
                sorted(p for p in place.rglob("*") if p.is_file()) if place.is_dir() else [place]
            )
            return files.fingerprint(self.kind, found, *settings)
        return digest(self.kind, *settings, _content(self))


@lru_cache(maxsize=16)
def _content(source: HuggingFace) -> str:
    """Return the SHA-256 of all rows; once a process, since what a hub's revision holds does not change."""
    whole = sha256()
    for row in _load(source):
        whole.update(repr(sorted(row.items())).encode())
    return whole.hexdigest()


def _load(source: HuggingFace) -> Any:
    from datasets import Dataset, DatasetDict, load_dataset, load_from_disk
    from datasets.exceptions import DatasetsError

    place = files.expanded(source.name)
    try:
        if place.is_dir() and (
            (place / "state.json").is_file() or (place / "dataset_dict.json").is_file()
        ):
            saved = load_from_disk(str(place))
            if isinstance(saved, DatasetDict):
                if source.split not in saved:
                    raise ValueError(f"unknown split {source.split!r}; there are {sorted(saved)}")
                return saved[source.split]
            return saved
        if place.is_file():
            if place.suffix.lower() not in _BUILDERS:
                raise ValueError(f"wanted a file with suffix {', '.join(_BUILDERS)}")
            return load_dataset(
                _BUILDERS[place.suffix.lower()], data_files=str(place), split=source.split
            )
        name = str(place) if place.is_dir() else source.name
        loaded = load_dataset(name, source.config, split=source.split, revision=source.revision)
    except ConnectionError as error:
        raise InputError(
            f"huggingface {source.name!r}: the hub cannot be reached ({_line(error)}); wanted the network, a data set "
            "that was fetched before, or a local path in `name`"
        ) from error
    except (DatasetsError, ValueError, RuntimeError, OSError) as error:
        raise InputError(f"huggingface {source.name!r}: {_line(error)}") from error
    if not isinstance(loaded, Dataset):
        raise InputError(
            f"huggingface {source.name!r}: wanted one split, got {type(loaded).__name__}; set `split`"
        )
    return loaded


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
