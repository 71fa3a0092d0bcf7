import ast
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from lmcompare.core.errors import InputError
from lmcompare.data.sources.docstrings import PACKAGES, Docstrings

SOURCE = '''"""Tools of a kind.

More of them.
"""
raise RuntimeError("imported")

class Box:
    """A box.

    It holds
      things.
    """

    @property
    def lid(self,
            wide=1):
        r"""Return the lid.

        It \\d is on.
        """
        # why
        text = """
no indent"""
        return text

if True:
    def alone():
        """No body of its docstring."""
        return 1

    def joined():
        """One line
        and another."""

async def empty():
    """Only.

    Words.
    """
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution `Tools 1.0` with a module, a broken one and tests."""
    files = {
        "tools/__init__.py": SOURCE,
        "tools/broken.py": "print 1",
        "tools/tests/test_a.py": SOURCE,
        "../up.py": "",
    }
    folder = tmp_path / "site"
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.replace("\n", "\r\n").encode())
    release(folder, "1.0", files)
    monkeypatch.syspath_prepend(str(folder))
    return folder


def release(folder: Path, number: str, files: Any) -> None:
    info = folder / "tools.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: tools\nVersion: {number}\n")
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in files))


def test_docstrings_are_read_in_order_without_importing(package: Path) -> None:
    source = Docstrings(("tools",))
    rows = list(source.rows())
    assert [(row["name"], row["summary"], row["body"]) for row in rows] == [
        ("tools", "Tools of a kind.", "More of them."),
        ("tools.Box", "A box.", "It holds\n  things."),
        ("tools.Box.lid", "Return the lid.", "It \\d is on."),
        ("tools.empty", "Only.", "Words."),
    ]
    assert {(row["package"], row["document"]) for row in rows} == {("tools", "tools/__init__.py")}
    assert rows[1]["text"] == "A box.\n\nIt holds\n  things."
    assert "tools" not in sys.modules and list(source.rows()) == rows


def test_functions_are_cut_behind_their_docstring(package: Path) -> None:
    rows = list(Docstrings(("tools",), code=True).rows())
    assert [row["name"] for row in rows] == ["tools.Box.lid", "tools.alone"]
    assert rows[0]["signature_and_docstring"].split("\n") == [
        "def lid(self,",
        "        wide=1):",
        '    r"""Return the lid.',
        "",
        "    It \\d is on.",
        '    """',
    ]
    assert rows[0]["body"] == '    # why\n    text = """\nno indent"""\n    return text'
    assert rows[1]["body"] == "    return 1"
    for row in rows:
        assert row["text"] == f"{row['signature_and_docstring']}\n{row['body']}"
        ast.parse(row["text"])


def test_the_fingerprint_follows_version_content_and_settings(package: Path) -> None:
    source = Docstrings(("tools",))
    before = source.fingerprint()
    assert before == source.fingerprint() != Docstrings(("tools",), code=True).fingerprint()
    release(package, "1.1", ["tools/__init__.py"])
    changed = source.fingerprint()
    (package / "tools" / "__init__.py").write_text(SOURCE + "# changed")
    assert len({before, changed, source.fingerprint()}) == 3


def test_a_package_that_is_not_there_is_said(package: Path) -> None:
    with pytest.raises(
        InputError, match="packages: the package 'tolls' is not installed; try: pip install 'tolls'"
    ):
        list(Docstrings(("tolls",)).rows())
    release(package, "1.0", ["tools.pth"])
    with pytest.raises(
        InputError, match="packages: wanted a package with Python files, got 'tools' without any"
    ):
        Docstrings(("tools",)).fingerprint()


def test_the_packages_read_by_default_are_installed() -> None:
    assert all(version(package) for package in PACKAGES)


def test_a_real_package() -> None:
    rows = list(Docstrings(("typer",)).rows())
    assert len(rows) > 20 and all(
        row["summary"] and row["body"] and "\n" not in row["summary"] for row in rows
    )
    for row in Docstrings(("typer",), code=True).rows():
        ast.parse(row["text"])
