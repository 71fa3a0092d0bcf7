"""Translated messages of JupyterLab's language packs: an embedded set of translation pairs, with their placeholders."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution
from pathlib import Path
from typing import ClassVar

from lmcompare.core.errors import InputError
from lmcompare.core.settings import STRICT
from lmcompare.data.cache import digest
from lmcompare.data.sources import _files as files
from lmcompare.data.sources import _packages as installed
from lmcompare.data.sources.base import SOURCES, Row


@SOURCES.register("language_pack")
@dataclass(frozen=True)
class LanguagePack:
    """English messages and their translation, from a language pack of JupyterLab; about 3,200 different pairs."""

    __pydantic_config__ = STRICT
    kind: ClassVar[str]

    package: str = "jupyterlab-language-pack-zh-CN"
    """name of the installed package; `jupyterlab-language-pack-fr-FR` is another"""

    def rows(self) -> Iterator[Row]:
        """Yield ``source``, ``target`` and ``domain`` (which extension's message it is), each pair once.

        Placeholders (``%1``) stay, as do messages that are the same in both languages. Of a message with several plural
        forms the first is taken, which translates the singular. There is no ``text``: what a network is trained on must
        not hold the pairs that test it.

        Raises:
            InputError: the package is not installed, holds no messages, or a file is not what it should be.
        """
        seen: set[tuple[str, str]] = set()
        for path in self._catalogues()[1]:
            try:
                with files.opened(path, "utf-8") as file:
                    messages = json.load(file)
            except ValueError as error:
                raise InputError(f"{path}: not JSON: {error}") from None
            for key, forms in messages.items():
                # gettext puts a message's context before it, with U+0004 between; the key '' holds the header.
                source, target = key.rpartition("\x04")[2], forms[0] if key else ""
                if source and target and (source, target) not in seen:
                    seen.add((source, target))
                    yield {"source": source, "target": target, "domain": path.stem}

    def _catalogues(self) -> tuple[Distribution, list[Path]]:
        found = installed.distribution(self.package, "package", "'lmcompare[data]'")
        names = sorted(
            str(name) for name in found.files or [] if name.match("*/LC_MESSAGES/*.json")
        )
        if not names:
            raise InputError(
                f"package: wanted a language pack with messages in JSON, got {self.package!r} without any"
            )
        return found, [Path(str(found.locate_file(name))) for name in names]

    def fingerprint(self) -> str:
        """Return the SHA-256 of the package's name and version and of the files' bytes."""
        found, paths = self._catalogues()
        return digest(
            self.kind,
            self.package,
            found.version,
            [(path.name, files.sha256(path)) for path in paths],
        )
