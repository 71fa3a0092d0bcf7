import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from lmcompare.core.errors import InputError
from lmcompare.data.sources.blimp import Blimp

PAIR = {
    "sentence_good": "He runs.",
    "sentence_bad": "He run.",
    "UID": "agreement",
    "field": "syntax",
}


def test_pairs_are_read_from_a_file_packed_or_not(tmp_path: Path) -> None:
    lines = f"{json.dumps({**PAIR, 'linguistics_term': 'verbs'})}\r\n\r\n{json.dumps(PAIR)}\r\n"
    (tmp_path / "a.jsonl").write_bytes(lines.encode())
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    row = {"good": "He runs.", "bad": "He run.", "paradigm": "agreement", "field": "syntax"}
    expected = [{**row, "phenomenon": "verbs"}, {**row, "phenomenon": ""}]
    for name in ("a.jsonl", "b.jsonl.gz"):
        assert list(Blimp(str(tmp_path / name)).rows()) == expected
    assert list(Blimp(str(tmp_path)).rows()) == expected * 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[1]", r"a\.jsonl:1: wanted a JSON object, got list"),
        ("{", r"a\.jsonl:1: not JSON"),
        (json.dumps({**PAIR, "sentence_bad": None}), "wanted text in 'sentence_bad', got none"),
        (
            json.dumps({"sentence_god": "x"}),
            "wanted text in 'sentence_good', got none; did you mean 'sentence_god'",
        ),
    ],
)
def test_what_is_no_pair_is_refused(line: Any, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(line)
    with pytest.raises(InputError, match=message):
        list(Blimp(str(tmp_path / "a.jsonl")).rows())
