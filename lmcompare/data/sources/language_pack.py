"""Translation pairs from the messages of JupyterLab's language packs."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution
from pathlib import Path
from typing import ClassVar

from lmcompare.core.errors import InputError
from lmcompare.core.settings import STRICT
from lmcompare.data.cache import digest
from lmcompare.data.sources import _files as files
from lmcompare.data.sources import _json as json
from lmcompare.data.sources import _packages as packages
from lmcompare.data.sources.base import SOURCES, Row


@SOURCES.register("language_pack")
@dataclass(frozen=True)
class LanguagePack:
    """English messages and their translation, from a language pack of JupyterLab: 3,200 pairs."""

    __pydantic_config__ = STRICT
    kind: ClassVar[str]

    package: str = "jupyterlab-language-pack-zh-CN"
    """name of the installed package; `jupyterlab-language-pack-fr-FR` is another"""

    def rows(self) -> Iterator[Row]:
        """Yield ``source``, ``target`` and ``domain`` (the message's extension), each pair once.

        Placeholders (``%1``) stay, as do messages that are the same in both languages. Of a message
        with several plural forms the first is taken, which translates the singular. There is no
        ``text``: what a network is trained on must not hold the pairs that test it.

        Raises:
            InputError: the package is not installed, holds no messages, or a file is not what it
                should be.
        """
        seen: set[tuple[str, str]] = set()
        for path in self._catalogs()[1]:
            with files.opened(path, "utf-8") as file:
                messages = json.parse(file.read(), str(path))
            for key, forms in messages.items():
                # gettext puts a message's context before it, with U+0004 between; '' is the header.
                source, target = key.rpartition("\x04")[2], forms[0] if key else ""
                if source and target and (source, target) not in seen:
                    seen.add((source, target))
                    yield {"source": source, "target": target, "domain": path.stem}

    def _catalogs(self) -> tuple[Distribution, list[Path]]:
        installed = packages.distribution(self.package, "package", "'lmcompare[data]'")
        names = [name for name in installed.files or [] if name.match("*/LC_MESSAGES/*.json")]
        if not names:
            wanted = "wanted a language pack with messages in JSON"
            raise InputError(f"package: {wanted}, got {self.package!r} without any")
        return installed, [
            Path(str(installed.locate_file(name))) for name in sorted(map(str, names))
        ]

    def fingerprint(self) -> str:
        installed, paths = self._catalogs()
        content = [(path.name, files.sha256(path)) for path in paths]
        return digest(self.kind, self.package, installed.version, content)
