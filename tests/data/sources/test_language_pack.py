import json
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from lmcompare.core.errors import InputError
from lmcompare.data.sources.language_pack import LanguagePack


def packed(folder: Path, catalogues: dict[str, str]) -> None:
    info = folder / "pack-1.0.dist-info"
    names = [f"pack/locale/fr_FR/LC_MESSAGES/{name}.json" for name in catalogues]
    for name, content in zip(names, catalogues.values(), strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode())
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pack\nVersion: 1.0\n")
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in [*names, "pack/other.json"]))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_each_pair_comes_once_with_its_placeholders(site: Path) -> None:
    first = {
        "": {"language": "fr-FR"},
        "menu\x04Open %1": ["Ouvrir %1"],
        "%1 file": ["%1 fichier", "%1 fichiers"],
    }
    second = {
        "Open %1": ["Ouvrir %1"],
        "Close": ["Fermer"],
        "help\x04Close": ["Clore"],
        "None": [""],
    }
    packed(site, {"b": json.dumps(second), "a": json.dumps(first)})
    assert [tuple(row.values()) for row in LanguagePack("pack").rows()] == [
        ("Open %1", "Ouvrir %1", "a"),
        ("%1 file", "%1 fichier", "a"),
        ("Close", "Fermer", "b"),
        ("Close", "Clore", "b"),
    ]
    before = LanguagePack("pack").fingerprint()
    packed(site, {"b": json.dumps(second), "a": json.dumps({**first, "New": ["Nouveau"]})})
    assert LanguagePack("pack").fingerprint() != before


def test_what_is_no_language_pack_is_said(site: Path) -> None:
    with pytest.raises(
        InputError,
        match=r"package: the package 'pakc' is not installed; try: pip install 'lmcompare\[",
    ):
        list(LanguagePack("pakc").rows())
    packed(site, {})
    with pytest.raises(
        InputError,
        match="package: wanted a language pack with messages in JSON, got 'pack' without",
    ):
        LanguagePack("pack").fingerprint()
    packed(site, {"a": "{"})
    with pytest.raises(InputError, match=r"a\.json: not JSON"):
        list(LanguagePack("pack").rows())


@pytest.mark.parametrize(("language", "pairs"), [("zh-CN", 3230), ("fr-FR", 3242)])
def test_the_real_packs(language: str, pairs: int) -> None:
    name = f"jupyterlab-language-pack-{language}"
    try:
        if version(name) != "4.5.post3":
            pytest.skip(f"{name} is not 4.5.post3")
    except PackageNotFoundError:
        pytest.skip(f"{name} is not installed")
    rows = list(LanguagePack(name).rows())
    assert len(rows) == len({(row["source"], row["target"]) for row in rows}) == pairs
    kept = [row for row in rows if re.findall(r"%\d", row["source"])]
    same = [
        row
        for row in kept
        if {*re.findall(r"%\d", row["source"])} == {*re.findall(r"%\d", row["target"])}
    ]
    assert len(same) > 0.95 * len(kept) > 100
