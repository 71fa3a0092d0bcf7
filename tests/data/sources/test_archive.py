import io
import tarfile
from pathlib import Path

import pytest

from lmcompare.core.errors import InputError
from lmcompare.data.sources import _archive as archive


def packed(path: Path, members: dict[str, bytes], links: tuple[str, ...] = ()) -> str:
    with tarfile.open(path, "w:gz" if path.suffix != ".tar" else "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for name in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(info)
    return str(path)


def is_text(name: str) -> bool:
    return name.endswith(".txt")


def read(path: str, encoding: str = "utf-8") -> list[tuple[str, str]]:
    return list(archive.texts(path, is_text, encoding))


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", "a.tar"])
def test_an_archive_is_read_in_its_own_order_and_nothing_is_written(
    name: str, tmp_path: Path
) -> None:
    members = {"./x/b.txt": b"\xef\xbb\xbfb", "a.txt": b"a", "./._a.txt": b"\0", "c.csv": b"c"}
    path = packed(tmp_path / name, members)
    assert read(path) == [("b.txt", "b"), ("a.txt", "a")] == read(path)
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_links_and_paths_that_lead_out_do_no_harm(tmp_path: Path) -> None:
    path = packed(
        tmp_path / "a.tar.gz", {"../../up.txt": b"up", "/root.txt": b"root"}, links=("link.txt",)
    )
    assert read(path) == [("up.txt", "up"), ("root.txt", "root")]
    assert [file.name for file in tmp_path.iterdir()] == ["a.tar.gz"]


def test_a_folder_is_read_in_order_with_the_archives_in_it(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "a.txt").write_text("a")
    (tmp_path / "z.txt").write_text("z")
    (tmp_path / ".hidden.txt").write_text("no")
    packed(tmp_path / "c.tar.gz", {"y.txt": b"y", "x.txt": b"x"})
    assert read(str(tmp_path)) == [("a.txt", "a"), ("y.txt", "y"), ("x.txt", "x"), ("z.txt", "z")]


def test_the_fingerprint_follows_the_content_and_not_the_place(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_text("a")
    first, second = (
        archive.fingerprint(str(tmp_path / folder), is_text) for folder in ("one", "two")
    )
    (tmp_path / "two" / "a.txt").write_text("changed")
    assert first == second != archive.fingerprint(str(tmp_path / "two"), is_text)


def test_what_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Path(packed(tmp_path / "a.tar.gz", {"a.txt": bytes(range(48, 58)) * 9999})).read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "no.tar.gz").write_bytes(b"no archive")
    latin = packed(tmp_path / "latin.tar.gz", {"a.txt": b"\xef\xbb\xbfb\xe9"})
    for path, message in (
        (tmp_path / "cut.tar.gz", r"cut\.tar\.gz: (cannot be read|not a tar archive)"),
        (tmp_path / "no.tar.gz", r"no\.tar\.gz: not a tar archive"),
        (tmp_path / "lain.tar.gz", r"lain\.tar\.gz: no such file; did you mean '.*latin\.tar\.gz'"),
        (
            packed(tmp_path / "b.tar", {"b.csv": b"b"}),
            r"b\.tar: no file in it is of the kind that is wanted here",
        ),
        (latin, r"latin\.tar\.gz: a\.txt: not UTF-8: byte 0xe9 at offset 4"),
        (
            tmp_path / "${LMCOMPARE_NOWHERE}" / "x",
            "the environment variable LMCOMPARE_NOWHERE is not set",
        ),
    ):
        with pytest.raises(InputError, match=message):
            read(str(path))
    monkeypatch.setattr(archive, "_LARGEST", 1 << 10)
    with pytest.raises(InputError, match=r"a\.tar\.gz: a\.txt: larger than"):
        read(str(tmp_path / "a.tar.gz"))
