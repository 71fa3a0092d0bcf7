import json
import sys

import numpy as np
import pytest
from rich.console import Console

from lmcompare.cli.inspect.figure import FontMetrics, draw
from lmcompare.cli.inspect.panels import panels, word_tokenizer
from lmcompare.cli.inspect.patterns import pattern
from lmcompare.cli.inspect.terminal import show
from lmcompare.cli.main import main
from lmcompare.core.errors import InputError

NOTES = "今天天气很[MASK]，适合出去玩"
KINDS = ["causal", "masked", "seq2seq", "prefix", "glm", "bart"]


@pytest.fixture(scope="module")
def notes():
    return {panel.name: panel for panel in panels(NOTES, [], KINDS)}


def targets(panel):
    return [(i, row.target) for i, row in enumerate(panel.rows) if row.target is not None]


def test_the_sentence_of_the_notes(notes):
    characters = list("今天天气很?，适合出去玩")
    assert [row.token for row in notes["causal"].rows] == ["<bos>", *characters[:-1]]
    assert [row.target for row in notes["causal"].rows] == characters
    assert targets(notes["masked"]) == [(5, "?")]
    assert notes["masked"].rows[5].token == "<mask>"
    assert [row.token for row in notes["seq2seq"].encoder] == [
        *characters[:5],
        "<0>",
        *characters[6:],
        "<eos>",
    ]
    assert targets(notes["seq2seq"]) == [(0, "<0>"), (1, "?"), (2, "<eos>")]
    assert targets(notes["glm"]) == [(13, "?"), (14, "<eos>")]
    assert [row.token for row in notes["bart"].encoder][5] == "<mask>"
    assert all(row.nats is None for row in notes["masked"].rows)


def test_what_was_measured(notes):
    assert (notes["causal"].attention.own == np.tril(np.ones((12, 12), dtype=bool))).all()
    assert notes["masked"].attention.own.all()
    assert any(
        note.startswith("A masked token does attend to itself, with")
        for note in notes["masked"].notes
    )
    assert pattern(notes["seq2seq"].attention.decoder) == "itself and all before"
    assert pattern(notes["glm"].attention.own) == "the first 13, and itself and all before"


def test_a_pattern_of_attention_in_words():
    past = np.tril(np.ones((3, 3), dtype=bool))
    assert (pattern(past), pattern(np.ones((3, 4), dtype=bool))) == (
        "itself and all before",
        "everything",
    )
    assert pattern(~past | (np.arange(3) == 0)) == "67% of the inputs, in another pattern"


def test_the_seed_draws_the_corruption():
    text = "the film was good , a dull story with a good actor"
    first, again, other = (panels(text, [], ["masked"], seed=seed)[0] for seed in (0, 0, 1))
    assert targets(first) == targets(again) != targets(other)
    assert [row.target or row.token for row in first.rows] == text.split()
    assert all(row.nats > 0 for row in first.rows if row.target)


def test_words_and_characters():
    tokenizer = word_tokenizer("It's good, 很好!")
    ids = tokenizer.encode("It's good, 很好!")
    assert [tokenizer.hf_tokenizer.convert_ids_to_tokens(i) for i in ids] == [
        "It's",
        "good",
        ",",
        "很",
        "好",
        "!",
    ]


def test_terminal(notes):
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        show(list(notes.values()), NOTES, console)
    said = console.export_text()
    assert NOTES in said
    assert all(f"{kind} (" in said for kind in KINDS)
    assert "◆" in said
    assert max(len(line) for line in said.split("\n")) <= 120


def test_figure(notes, tmp_path):
    draw([notes["masked"], notes["seq2seq"]], NOTES, tmp_path / "one.png")
    assert (tmp_path / "one.png").read_bytes()[1:4] == b"PNG"
    with pytest.raises(InputError, match="no such folder"):
        draw([notes["masked"]], NOTES, tmp_path / "none" / "one.png")
    with pytest.raises(InputError, match="is not supported"):
        draw([notes["masked"]], NOTES, tmp_path / "one.xyz")


def test_characters_without_a_font_are_spelt():
    letters = FontMetrics(["a\U0010fffe$"])
    assert letters.spell("a\U0010fffe$") == r"a‹10FFFE›\$"


@pytest.fixture
def said(monkeypatch, capsys):
    def of(*words):
        monkeypatch.setattr(sys, "argv", ["lmcompare", "inspect", *words])
        with pytest.raises(SystemExit) as caught:
            main()
        out, error = capsys.readouterr()
        return out, error, caught.value.code or 0

    return of


def test_json(said):
    out, _, code = said("the film was good", "--json", "--objective", "causal")
    (panel,) = json.loads(out)["panels"]
    assert code == 0
    assert panel["attention"] == {
        "own": np.tril(np.ones((4, 4), dtype=int)).tolist(),
        "decoder": None,
        "cross": None,
    }
    assert [row["target"] for row in panel["rows"]] == "the film was good".split()


def test_errors_for_people(said, tmp_path):
    assert said(" ")[1:] == ("lmcompare: text: wanted at least a word, got none\n", 2)
    assert "text: wanted 2 to 64 tokens" in said("word " * 70)[1]
    _, error, code = said("the film", "--objective", "casual")
    assert (code, "did you mean 'causal'" in error) == (2, True)
    _, error, code = said("the film", "--model", str(tmp_path / "none"))
    assert code == 2
    assert "none" in error


def test_a_model_that_was_saved(said, tmp_path, tokenizer, small):
    from lmcompare.language_model import MaskedLM
    from lmcompare.models.network import build_network
    from lmcompare.objectives import OBJECTIVES

    network = build_network(small, "encoder", tokenizer.special, seed=1)
    MaskedLM(network, tokenizer, OBJECTIVES["masked"]()).save_pretrained(tmp_path / "mine")
    out, _, code = said("the film was [MASK] .", "--model", str(tmp_path / "mine"), "--json")
    (panel,) = json.loads(out)["panels"]
    assert (code, panel["name"], panel["trained"]) == (0, "mine", True)
    assert [row["target"] for row in panel["rows"] if row["target"]] == ["?"]


def test_a_shifted_objective_has_its_target_one_place_to_the_left(tmp_path, tokenizer, small):
    from lmcompare.language_model import MaskedLM
    from lmcompare.models.network import build_network
    from lmcompare.objectives import OBJECTIVES

    network = build_network(small, "encoder", tokenizer.special, seed=1)
    MaskedLM(network, tokenizer, OBJECTIVES["masked"](shifted=True)).save_pretrained(tmp_path)
    (panel,) = panels("the film was [MASK] .", [tmp_path], [])
    mask = [row.token for row in panel.rows].index("<mask>")
    assert targets(panel) == [(mask - 1, "?")] and panel.rows[0].token == "<bos>"
