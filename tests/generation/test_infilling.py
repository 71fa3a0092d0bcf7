import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lmcompare.core.errors import InputError
from lmcompare.core.example import IGNORE, Example, collate
from lmcompare.core.infilling_types import FilledSpans, SpanInContext
from lmcompare.generation.infilling import RANKED_BY_TEXT
from lmcompare.generation.infilling_template import TypedTemplate, parse
from lmcompare.generation.sampling import DecodedTokens
from lmcompare.language_model import LanguageModel
from lmcompare.models.network import BatchTensors, build_network, evaluation_mode
from lmcompare.models.pretrained_objectives import PretrainedSeq2Seq, TextFrame
from lmcompare.objectives import OBJECTIVES, parse_objective
from lmcompare.objectives.causal import FROM_THE_LEFT, Causal
from lmcompare.tasks.infilling import Infilling, InfillingItem

KINDS = ["causal", "masked", "seq2seq", "prefix", "glm", "bart"]
MIXED = [{"objective": "causal"}, {"objective": {"kind": "masked", "shifted": True}}]
NOTES = "今天天气很[MASK]，适合出去玩"


@pytest.fixture(scope="module", params=KINDS)
def model(request, small, tokenizer):
    objective = OBJECTIVES[request.param]()
    network = build_network(small, objective.role, tokenizer.special, seed=1)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(3)
    return LanguageModel(network, tokenizer, objective)


def log_p(network, inputs, targets, decoder=None, attention="full"):
    example = Example(
        np.array(inputs),
        np.array(targets),
        None if decoder is None else np.array(decoder),
        attention,
    )
    with evaluation_mode(network):
        return -network(BatchTensors.of(collate([example], 0))).sum().item()


def test_the_tokenizer_s_own_mask_marks_a_span():
    assert parse("a{M}b", "{M}").lengths == [1]


def test_the_sentence_of_the_notes(model):
    filled = model.infill(NOTES)
    assert filled.text == f"今天天气很{filled.fills[0]}，适合出去玩"
    assert [len(row) for row in filled.tokens] == [1]
    assert np.isin(filled.tokens[0], model.tokenizer.special.ordinary).all()
    assert filled.score < 0
    assert filled.calls >= 1
    assert filled.handicap == (
        FROM_THE_LEFT if model.objective.kind in ("causal", "prefix") else ""
    )


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_exactly_the_holes_are_filled(model, temperature):
    text = "the <mask> [MASK] was<hole>, <mask>and never <hole>."
    filled = model.infill(text, lengths=[1, 3], temperature=temperature, seed=4)
    again = model.infill(text, lengths=[1, 3], temperature=temperature, seed=4)
    assert (again.text, again.score, again.calls) == (
        filled.text,
        pytest.approx(filled.score),
        filled.calls,
    )
    assert [len(row) for row in filled.tokens[::2]] == [2, 1]
    assert all(1 <= len(row) <= 3 for row in filled.tokens)
    assert np.isin(np.concatenate(filled.tokens), model.tokenizer.special.ordinary).all()
    kept = TypedTemplate(
        ["the", " was", ",", "and never", "."], [" ", "", " ", " "], [2, None, 1, None]
    )
    assert filled.text == kept.filled(filled.fills)


def test_the_score_is_that_of_plain_questions(model):
    """One mask in the middle: log p of the token found, by one question written out by hand."""
    network, objective, tokenizer = model.network, model.objective, model.tokenizer
    special = tokenizer.special
    left, right = tokenizer.encode("the film"), tokenizer.encode(" was good")
    filled = model.infill("the film <mask> was good")
    (token,) = filled.tokens[0].tolist()
    none, s0 = IGNORE, special.sentinels[0]
    if objective.kind == "masked":
        inputs = [*left, special.mask, *right, special.eos]
        expected = log_p(network, inputs, [token if i == special.mask else none for i in inputs])
        assert filled.score >= expected - 1e-5  # among text alone
        with evaluation_mode(network):
            batch = BatchTensors.of(
                collate([Example(np.array(inputs), np.full(len(inputs), none))], 0)
            )
            (logits,) = network.logits(batch, batch.inputs == special.mask)
        assert token == special.ordinary[int(logits[special.ordinary].argmax())]
        return
    if objective.kind in ("causal", "prefix"):
        attention = "causal" if objective.kind == "causal" else len(left) + 1
        expected = log_p(
            network, [special.bos, *left], [none] * len(left) + [token], attention=attention
        )
    elif objective.kind == "seq2seq":
        inputs = [*left, s0, *right, special.eos]
        expected = log_p(network, inputs, [none, token], [special.bos, s0])
    elif objective.kind == "glm":
        part = [*left, s0, *right, special.eos]
        expected = log_p(network, [*part, s0], [none] * len(part) + [token], attention=len(part))
    else:
        inputs = [*left, special.mask, *right, special.eos]
        expected = log_p(network, inputs, [none] * len(left) + [token], [special.bos, *left])
    assert filled.score == pytest.approx(expected, abs=1e-4)


def test_choices(model):
    filled = model.infill("the film was <hole>.", choices=["good", "bad"])
    assert filled.text in ("the film was good.", "the film was bad.")
    one = [model.infill("the film was <hole>.", choices=[choice]) for choice in ("good", "bad")]
    assert filled.score == pytest.approx(max(each.score for each in one), abs=1e-4)
    assert filled.handicap == (
        RANKED_BY_TEXT if model.objective.kind in ("causal", "prefix") else ""
    )
    with pytest.raises(InputError, match="choices: wanted some, for a text with one hole"):
        model.infill("<hole> <mask> a <mask>", choices=["a"])
    with pytest.raises(InputError, match=r"choices\[1\]: wanted a text with tokens, got ''"):
        model.infill("the film was <hole>.", choices=["good", ""])


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        (3, "lengths: wanted a list of numbers of tokens, got 3"),
        ([], "lengths: wanted at least one, got none"),
        ([1, 0], r"lengths\[1\]: wanted at least 1, got 0"),
        ([1.5], r"lengths\[0\]: wanted an integer, at least 1, got 1\.5"),
    ],
)
def test_lengths_that_cannot_be(model, lengths, message):
    with pytest.raises(InputError, match=message):
        model.infill("the film was<hole>.", lengths=lengths)


def test_lengths_may_come_one_by_one(model):
    text = "the film was<hole>."
    assert model.infill(text, lengths=iter([1, 2])).text == model.infill(text, lengths=[1, 2]).text


def test_a_network_in_training_stays_so(model):
    before = model.infill("the <mask> was<hole>.", lengths=[1, 2])
    model.network.train()
    try:
        again = model.infill("the <mask> was<hole>.", lengths=[1, 2])
        assert model.network.training and model.network.transformer.training
    finally:
        model.network.eval()
    assert again.text == before.text


def test_no_hole(model):
    with pytest.raises(
        InputError, match=r"text: wanted a hole in it \(\[MASK\], <mask>, <hole>\), got none"
    ):
        model.infill("the film")


@pytest.mark.parametrize("model", ["masked"], indirect=True)
def test_holes_of_unknown_length_are_sized_together(model):
    """The best of all combinations, each written out."""
    lengths = [1, 2, 4]
    for text in ("the<hole> was<hole>.", "a<hole> story with<hole> and never"):
        parts, best = text.split("<hole>"), -np.inf
        for sizes in itertools.product(lengths, repeat=len(parts) - 1):
            written = "".join(
                part + " <mask>" * size for part, size in zip(parts, (*sizes, 0), strict=True)
            )
            found = model.infill(written)
            best = max(best, found.score / sum(map(len, found.tokens)))
        together = model.infill(text, lengths=lengths)
        assert together.score / sum(map(len, together.tokens)) == pytest.approx(best, abs=1e-5)


@pytest.mark.parametrize("model", ["masked"], indirect=True)
def test_one_hole_after_another_misses_what_two_longer_ones_gain(model, monkeypatch):
    nats = {(1, 1): -1.0, (1, 2): -2.0, (2, 1): -2.0, (2, 2): -0.5}

    def unmask(network, examples, special, sampling, shift):
        masked = [example.inputs == special.mask for example in examples]
        sizes = [
            tuple(map(len, np.split(i := np.flatnonzero(m), np.flatnonzero(np.diff(i) > 1) + 1)))
            for m in masked
        ]
        rows = [np.full(sum(each), special.ordinary[0]) for each in sizes]
        return DecodedTokens(
            rows, 1, 0.0, [np.full(sum(each), nats[each]) for each in sizes], "chain"
        )

    monkeypatch.setattr("lmcompare.generation.infilling.unmask", unmask)
    for joint, expected in ((64, [2, 2]), (3, [1, 1])):
        monkeypatch.setattr("lmcompare.objectives.masked.JOINT", joint)
        found = model.infill("the<hole> was<hole>.", lengths=[1, 2])
        assert [len(row) for row in found.tokens] == expected


def test_a_translator_is_not_asked_to_fill(small, tokenizer):
    network = build_network(small, "encoder-decoder", tokenizer.special, seed=1)
    translator = PretrainedSeq2Seq(TextFrame(), (tokenizer.special.bos,))
    with pytest.raises(
        InputError, match="learnt to fill holes .* got a translator .* `rank` compares"
    ):
        LanguageModel(network, tokenizer, translator).infill(NOTES)
    filling = LanguageModel(network, tokenizer, replace(translator, fills=True))
    assert filling.infill(NOTES).exactness == "exact"


def test_a_shifted_objective_is_asked_where_it_answers(small, tokenizer):
    """At the token before the mask: by hand, in plain questions; as a part of a mixture, too."""
    objective, special = OBJECTIVES["masked"](shifted=True), tokenizer.special
    network = build_network(small, "encoder", special, seed=1)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(3)
    left, right = tokenizer.encode("the film"), tokenizer.encode(" was good")
    inputs = [special.bos, *left, special.mask, *right, special.eos]
    place = len(left)

    def nats(token, read=inputs, where=place):
        return log_p(network, read, [token if i == where else IGNORE for i in range(len(read))])

    with evaluation_mode(network):
        batch = BatchTensors.of(
            collate([Example(np.array(inputs), np.full(len(inputs), IGNORE))], 0)
        )
        (logits,) = network.logits(batch, torch.arange(len(inputs))[None] == place)
    best = int(special.ordinary[int(logits[special.ordinary].argmax())])
    log_z = logits[special.ordinary].logsumexp(0) - logits.logsumexp(0)
    for asked in (
        objective,
        parse_objective({"kind": "mixture", "parts": MIXED, "inference": "masked"}),
    ):
        filled = LanguageModel(network, tokenizer, asked).infill("the film <mask> was good")
        assert filled.tokens[0].tolist() == [best]
        assert filled.score == pytest.approx(nats(best) - float(log_z), abs=1e-4)
    model = LanguageModel(network, tokenizer, objective)
    chosen = model.infill("the film <hole> was good", choices=["bad"])
    two = tokenizer.encode(" bad")
    expected, read = 0.0, [special.bos, *left, *[special.mask] * len(two), *right, special.eos]
    for t, token in enumerate(two):
        expected += nats(token, list(read), place + t)
        read[1 + place + t] = token
    assert chosen.score == pytest.approx(expected, abs=1e-4)


class RightToLeft:
    """An objective from elsewhere: it reads the right context alone, and fills a span by a copy of
    it.
    """

    kind = "right_to_left"
    role = "decoder"
    family = "autoregressive"
    exactness = "exact"
    share = 1.0

    def training_example(self, tokens, special, rng):
        return Causal().training_example(tokens[::-1], special, rng)

    def scoring_examples(self, prompt, completion, special):
        return Causal().scoring_examples(prompt, completion, special)

    def generation_prompt(self, prompt, length, special):
        return Causal().generation_prompt(prompt, length, special)

    def encoding_example(self, tokens, special):
        return Causal().encoding_example(tokens[::-1], special)

    def reads_right_context(self, special):
        return True

    def infilling_examples(self, context, special, *, score_right=False):
        return Causal().scoring_examples(context.right, context.span, special)

    def fill_spans(self, template, network):
        special, (_, right) = network.special, template.parts
        span = right[: template.lengths[0]]
        (example,) = Causal().scoring_examples(right, span, special)
        return FilledSpans([span], network.log_likelihood([example]), "exact", 1, "a copy")


def test_an_objective_from_outside_infills_in_its_own_way(small, tokenizer):
    objective = RightToLeft()
    network = build_network(small, objective.role, tokenizer.special, seed=1)
    model = LanguageModel(network, tokenizer, objective)
    filled = model.infill("the film <mask> was good")
    assert filled.text == "the film was was good" and filled.handicap == "a copy"
    right, span = (np.array(tokenizer.encode(text)) for text in (" was good", " was"))
    assert [filled.score] == pytest.approx([model.score_tokens([(right, span)])[0].sum()], abs=1e-4)

    # Choices, gaps and their filling read the right context alone, too.
    chosen = model.infill("a long story <mask> was good", choices=["was"])
    assert chosen.score == pytest.approx(filled.score, abs=1e-4) and not chosen.handicap
    (nats,) = model.score_gaps([SpanInContext(right[:1], span, right)], whole=True)
    assert nats.sum() == pytest.approx(filled.score, abs=1e-4)
    one, other = model.fill_gaps([(right[:1], right), (right[:0], right)], length=2).tokens
    assert one.tolist() == other.tolist()


def test_the_infilling_task_uses_the_infilling_of_the_objective(small, tokenizer, monkeypatch):
    network = build_network(small, "decoder", tokenizer.special, seed=1)
    model = LanguageModel(network, tokenizer, RightToLeft())
    left, span, right = (np.array(tokenizer.encode(text)) for text in ("the film", " was", " good"))
    item = InfillingItem("0", SpanInContext(left, span, right), [span, right])
    monkeypatch.setattr(Infilling, "questions", lambda task, harness: [item])
    harness = SimpleNamespace(
        model=model,
        has_own_tokenizer=False,
        progress=lambda event: None,
        byte_length=len,
        decode=lambda rows: [tokenizer.decode(row.tolist()) for row in rows],
    )
    task = Infilling(left=len(left), span=len(span), right=len(right), choices=2, samples=1)
    outcomes = {outcome.metric: outcome.value for outcome in task.measure(harness).outcomes}
    expected = -model.score_tokens([(right, span)])[0].sum() / np.log(2)
    assert outcomes["bits"] == pytest.approx(expected, abs=1e-4)
