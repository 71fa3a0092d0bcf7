import unicodedata

import hypothesis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcompare.data.cleaning import clean
from lmcompare.data.deduplication import duplicate_key, hash64, repeats

ANY = st.text(st.characters(codec=None, exclude_categories=()))
BREAKS = st.lists(
    st.sampled_from(["<br", " ", "/", ">", "<br />", "\n", "\xa0", "a", "\0", "\ufeff", "\u0301"])
).map("".join)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One.<br /><br />Two.<br>Three.<BR/>Four.", "One.\n\nTwo.\nThree.\nFour."),
        ("a  \t b\u00a0c", "a b c"),
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd"),
        ("a\n\n\n\n\nb \n c", "a\n\nb\nc"),
        ("\ufeffa\0b\ufeff", "ab"),
        ("cafe\u0301", "caf\u00e9"),
        ("a \ud800 b", "a \ufffd b"),
        ("  <br /> ", ""),
        ("<brian> 2 < 3 > 1 <i>x</i>", "<brian> 2 < 3 > 1 <i>x</i>"),
        ("中文。\u3000“好”", "中文。 “好”"),
    ],
)
def test_clean(text: str, expected: str) -> None:
    assert clean(text) == expected


@hypothesis.settings(deadline=None)
@given(ANY | BREAKS)
def test_what_is_clean_stays_as_it_is_and_is_utf8(text: str) -> None:
    cleaned = clean(text)
    assert clean(cleaned) == cleaned
    assert cleaned.encode().decode() == cleaned
    assert unicodedata.is_normalized("NFC", cleaned)
    assert cleaned == cleaned.strip() and "  " not in cleaned and "\n\n\n" not in cleaned


def test_near_duplicates_fold_to_the_same() -> None:
    assert duplicate_key("A “Good” Film...") == duplicate_key('a "good"\nfilm') == b"agoodfilm"
    assert duplicate_key("Straße!") == duplicate_key("STRASSE")
    assert duplicate_key("कि") != duplicate_key("कु"), "a vowel sign tells two words apart"
    assert duplicate_key("😀") != duplicate_key("😡") and duplicate_key("?!") == b"?!"


@hypothesis.settings(deadline=None)
@given(st.text(st.characters(codec="ascii")))
def test_ascii_folds_as_any_text_does(text: str) -> None:
    expected = "".join(filter(str.isalnum, text.casefold()))
    assert duplicate_key(text) == (expected or text).encode()
    assert duplicate_key(text + "é") == (expected + "é").encode()


@hypothesis.settings(deadline=None)
@given(st.lists(st.integers(0, 40) | st.integers(0, 2**64 - 1)))
def test_repeats_are_those_seen_before(hashes: list[int]) -> None:
    expected = [hash_ in hashes[:i] for i, hash_ in enumerate(hashes)]
    assert repeats(np.array(hashes, dtype=np.uint64)).tolist() == expected


def test_hash64_fills_64_bits() -> None:
    assert hash64(b"") == hash64(b"") != hash64(b"a")
    assert max(hash64(str(i).encode()) for i in range(100)).bit_length() == 64
