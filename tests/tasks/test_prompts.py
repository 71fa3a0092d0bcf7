from types import SimpleNamespace

import numpy as np
import pytest

from lmcompare.core.errors import InputError
from lmcompare.tasks._prompts import fields_of, fit, length_for

BENCH = SimpleNamespace(
    encode=lambda texts: [np.array([ord(c) for c in text], dtype=np.int64) for text in texts],
    decode=lambda rows: ["".join(map(chr, row)) for row in rows],
)


@pytest.mark.parametrize("template", ["{", "{}", "{a.b}", "{a:>3}", "{a!r}", "{0}"])
def test_a_template_holds_names_alone(template):
    with pytest.raises(InputError, match="template: "):
        fields_of(template)


def test_a_text_is_cut_at_the_end_that_is_not_kept():
    def render(text):
        return f"<{text}>"

    assert fit(BENCH, render, "abcdef", 8) == ("<abcdef>", False)
    assert fit(BENCH, render, "abcdef", 5) == ("<abc>", True)
    assert fit(BENCH, render, "abcdef", 5, "end") == ("<def>", True)
    assert fit(BENCH, render, "abcdef", 2) == ("<>", True)
    with pytest.raises(
        InputError, match="wanted one that fits into 1 tokens without its text, got 2"
    ):
        fit(BENCH, render, "abcdef", 1)


def test_a_character_cut_in_two_is_left_out():
    bytewise = SimpleNamespace(
        encode=lambda texts: [np.array([*text.encode()]) for text in texts],
        decode=lambda rows: [bytes(row.tolist()).decode(errors="replace") for row in rows],
    )
    assert fit(bytewise, lambda text: f"{text}.", "中文", 5) == ("中.", True)


def test_no_answer_may_take_more_than_half_of_the_context():
    assert length_for([np.zeros(100, dtype=np.int64)], 64) == 32
