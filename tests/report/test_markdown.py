import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from lmcompare.report.markdown import Table, code, escape, slug, unescape

texts = st.text(st.sampled_from("ab |`*_~[]()<>&$#!\\\n:/.w"), max_size=30)


def rendered(markdown: str) -> str:
    """Return what a reader sees of the first cell below the head."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown)
    cells = [tokens[n + 1] for n, token in enumerate(tokens) if token.type == "td_open"]
    assert len(cells) == 2, markdown
    assert {child.type for child in cells[0].children or []} <= {
        "text",
        "text_special",
        "code_inline",
        "html_inline",
    }
    return "".join(child.content for child in cells[0].children or [])


def test_escape() -> None:
    assert escape("a|b\n`c` <br> *d* $x$") == r"a&#124;b \`c\` &lt;br&gt; \*d\* &#36;x&#36;"
    assert escape("\x00\u202e") == "��"


@given(texts)
def test_escaped_text_stays_in_its_cell_and_shows_as_it_is(text: str) -> None:
    table = Table("x", ["a", "b"], [[escape("x" + text + "x"), "1"]], pd.DataFrame())
    seen = rendered(table.markdown).replace("\u200b", "")
    assert seen == "x" + text.replace("\n", " ") + "x"


@given(texts)
def test_unescaped_text_is_what_it_was(text: str) -> None:
    assert unescape(escape(text)) == text.replace("\n", " ")


@given(texts)
def test_code_stays_in_its_cell(text: str) -> None:
    rendered(Table("x", ["a", "b"], [[code("x" + text + "x"), "1"]], pd.DataFrame()).markdown)


def test_code() -> None:
    assert code("causal") == "`causal`" and code("a`b|c") == r"<code>a\`b&#124;c</code>"


def test_columns_of_numbers_stand_at_the_right() -> None:
    table = Table(
        "x", ["a", "b", "c"], [["u", "−1.2 [0, 1]", "–"], ["v", "**3**", "< 0.001"]], pd.DataFrame()
    )
    assert table.markdown.splitlines()[1] == "| --- | ---: | ---: |"
    assert Table("x", ["a"], [], pd.DataFrame()).markdown == "| a |\n| --- |"


def test_slug() -> None:
    assert slug("my task/é: 1") == "my-task-é-1" and slug("../..") == "task"
