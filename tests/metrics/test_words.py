import re
import string

from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.tokenizers import DefaultTokenizer

from lmcompare.metrics._words import answer_words, words


def test_each_chinese_character_is_a_word():
    assert words("The 3rd 版本, naïve!") == ["the", "3rd", "版", "本", "naïve"]
    assert words("「我」爱北京。") == ["我", "爱", "北", "京"]
    assert words("𠀀㐀 カナ") == ["𠀀", "㐀", "カ", "ナ"]


def test_marks_do_not_divide_a_word():
    assert words("हिन्दी भाषा") == ["हिन्दी", "भाषा"]


@settings(deadline=None, max_examples=200)
@given(st.text(alphabet=string.printable))
def test_on_ascii_they_are_those_of_rouge_score(text):
    assert words(text) == DefaultTokenizer().tokenize(text)


def official(text):
    """SQuAD's evaluate-v1.1.py, ``normalize_answer(s).split()``."""
    kept = "".join(ch for ch in text.lower() if ch not in set(string.punctuation))
    return re.sub(r"\b(a|an|the)\b", " ", kept).split()


@settings(deadline=None, max_examples=200)
@given(st.text(alphabet=string.printable + "éß–“”’"))
def test_answers_are_divided_as_squads_script_divides_them(text):
    assert answer_words(text) == official(text)


def test_answers_in_chinese():
    assert answer_words("The Eiffel Tower!") == ["eiffel", "tower"]
    assert answer_words("在北京。") == ["在", "北", "京"]
    assert answer_words("“北京”，2008 年") == ["北", "京", "2008", "年"]
