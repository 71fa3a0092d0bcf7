import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from lmcompare.report.markdown import code, escape, slug, unescape
from lmcompare.report.tables import Column, Table, name, strong

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
    table = Table("x", pd.DataFrame({"a": ["x" + text + "x"], "b": [1]}))
    seen = rendered(table.markdown).replace("\u200b", "")
    assert seen == "x" + text.replace("\n", " ") + "x"


@given(texts)
def test_unescaped_text_is_what_it_was(text: str) -> None:
    assert unescape(escape(text)) == text.replace("\n", " ")


@given(texts)
def test_code_stays_in_its_cell(text: str) -> None:
    table = Table("x", pd.DataFrame({"a": [name("x" + text + "x")], "b": [1]}))
    rendered(table.markdown)


def test_code() -> None:
    assert code("causal") == "`causal`" and code("a`b|c") == r"<code>a\`b&#124;c</code>"


def test_columns_of_numbers_stand_at_the_right() -> None:
    frame = pd.DataFrame(
        {"a": ["u", "v"], "b": ["−1.2 [0, 1]", strong("3")], "c": [None, "< 0.001"]}
    )
    assert Table("x", frame).markdown.splitlines()[1] == "| --- | ---: | ---: |"
    assert Table("x", pd.DataFrame({"a": []})).markdown == "| a |\n| --- |"
    left = Table("x", frame, {"b": Column(align="left")})
    assert left.markdown.splitlines()[1] == "| --- | --- | ---: |"


def test_numbers_are_written_as_their_column_says() -> None:
    frame = pd.DataFrame({"n": [1234, 5], "d": [0.1234, -0.2]})
    table = Table("x", frame, {"d": Column("difference", decimals=2, signed=True)})
    assert table.markdown.splitlines()[2:] == ["| 1,234 | +0.12 |", "| 5 | −0.20 |"]
    assert table.csv == b"n,d\n1234,0.1234\n5,-0.2\n"


def test_slug() -> None:
    assert slug("my task/é: 1") == "my-task-é-1" and slug("../..") == "task"
