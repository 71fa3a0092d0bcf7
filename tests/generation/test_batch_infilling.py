import numpy as np
import pytest

from lmcompare.core.infilling_types import SpanInContext
from lmcompare.language_model import LanguageModel
from lmcompare.models.network import build_network
from lmcompare.objectives import OBJECTIVES
from lmcompare.objectives.masked import Masked
from lmcompare.tasks._sentence_scores import by_words

KINDS = ["causal", "masked", "seq2seq", "prefix", "glm", "bart"]


def ids(*values):
    return np.array(values, dtype=np.int64)


@pytest.fixture(scope="module", params=KINDS)
def model(request, small, tokenizer):
    objective = OBJECTIVES[request.param]()
    return LanguageModel(
        build_network(small, objective.role, tokenizer.special, seed=1), tokenizer, objective
    )


def gaps_of(tokenizer, texts, start=2, size=3):
    rows = [np.array(tokenizer.encode(text), dtype=np.int64) for text in texts]
    return [
        SpanInContext(row[:start], row[start : start + size], row[start + size :]) for row in rows
    ]


def test_no_score_depends_on_its_neighbours(model, sentences):
    gaps = gaps_of(model.tokenizer, [*sentences[:2], "the film was good and it was long"])
    for whole in (False, True):
        together = model.score_gaps(gaps, whole=whole)
        for gap, nats in zip(gaps, together, strict=True):
            (alone,) = model.score_gaps([gap], whole=whole)
            assert nats == pytest.approx(alone, abs=1e-5)
            assert len(nats) >= 3 and (nats < 0).all()


def test_the_best_fill_is_as_long_as_the_gap_and_its_first_token_is_the_likeliest(model, sentences):
    contexts = [(gap.left, gap.right) for gap in gaps_of(model.tokenizer, sentences[:2], size=1)]
    filled = model.fill_gaps(contexts, length=1)
    ordinary = model.tokenizer.special.ordinary
    left, right = contexts[0]
    nats = [
        float(row.sum())
        for row in model.score_gaps([SpanInContext(left, ids(token), right) for token in ordinary])
    ]
    assert filled.tokens[0].tolist() == [int(ordinary[int(np.argmax(nats))])]
    longer = model.fill_gaps(contexts, length=3)
    assert [len(row) for row in longer.tokens] == [3, 3] and np.isin(
        np.concatenate(longer.tokens), ordinary
    ).all()
    (alone,) = model.fill_gaps(contexts[1:], length=3).tokens
    assert alone.tolist() == longer.tokens[1].tolist()


@pytest.mark.parametrize("kind", ["masked", "seq2seq", "causal"])
def test_the_likeliest_of_some_spans_is_what_infill_chooses(kind, small, tokenizer):
    objective = OBJECTIVES[kind]()
    network = build_network(small, objective.role, tokenizer.special, seed=2)
    model = LanguageModel(network, tokenizer, objective)
    words = [
        word for word in (" good", " bad", " dull", " long") if len(tokenizer.encode(word)) == 1
    ]
    left, right = (ids(*tokenizer.encode(text)) for text in ("the film was", " and never dull"))
    spans = [ids(*tokenizer.encode(word)) for word in words]
    nats = [
        float(row.sum())
        for row in model.score_gaps(
            [SpanInContext(left, span, right) for span in spans], whole=True
        )
    ]
    found = model.infill("the film was <mask> and never dull", choices=words)
    if kind == "causal":
        assert found.tokens[0].tolist() == spans[int(np.argmax(nats))].tolist()
        assert found.score == pytest.approx(max(nats), abs=1e-4)
    else:  # infill ends the text that is read with eos, which a gap in the middle of a text does not have
        ended = [
            SpanInContext(left, span, np.append(right, tokenizer.special.eos)) for span in spans
        ]
        assert found.score == pytest.approx(
            max(row.sum() for row in model.score_gaps(ended)), abs=1e-4
        )


def test_word_by_word_a_masked_model_is_asked_as_by_pll_word_l2r(small, tokenizer, sentences):
    model = LanguageModel(
        build_network(small, "encoder", tokenizer.special, seed=1), tokenizer, Masked()
    )
    texts = [*sentences[:2], "unfilmable, playerless and heartwarming"]
    theirs = [one.sum for one in model.log_likelihood([""] * 3, texts, method="pll-word-l2r")]
    assert by_words(model, texts) == pytest.approx(theirs, abs=1e-4)
