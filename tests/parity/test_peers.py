"""Parity with lm-evaluation-harness and minicons (the optional group ``peers``)."""

import pytest
from tiny import build

import lmcompare

pytestmark = pytest.mark.filterwarnings("ignore")

PAIRS = [
    ("the film was", " unbelievably good"),
    ("an actor who never", " lost heart."),
    ("", "a story"),
    ("今天天气很", "好，"),
    ("well ", "played 😀"),
]
SENTENCES = [
    "the film was unbelievably good.",
    "an actor who never lost heart, don't you think?",
    "a long story",
]


@pytest.fixture(scope="module")
def harness():
    """Return HFLM over a model in memory."""
    huggingface = pytest.importorskip("lm_eval.models.huggingface")

    def make(model, tokenizer, **settings):
        return huggingface.HFLM(pretrained=model, tokenizer=tokenizer, batch_size=3, **settings)

    return make


def requests(kind, *arguments):
    from lm_eval.api.instance import Instance

    return [Instance(kind, {}, one, i) for i, one in enumerate(arguments)]


@pytest.mark.parametrize("name", ["gpt2", "llama", "qwen3", "gpt_neox", "t5", "marian", "t5gemma"])
def test_log_likelihood_is_that_of_lm_evaluation_harness(name, harness):
    model, tokenizer = build(name)
    ours = lmcompare.wrap(model, tokenizer)
    if name == "t5":
        # The harness knows no sentinels: it asks every encoder-decoder in the plain form.
        from lmcompare.models.pretrained_objectives import PretrainedSeq2Seq, TextFrame

        ours.objective = PretrainedSeq2Seq(TextFrame(*ours.tokenizer.frame), (0,))
    backend = "seq2seq" if name in ("t5", "marian", "t5gemma") else "causal"
    pairs = [pair for pair in PAIRS if backend == "causal" or pair[0]]
    theirs = harness(model, tokenizer, backend=backend).loglikelihood(
        requests("loglikelihood", *pairs), True
    )
    scores = ours.log_likelihood(*zip(*pairs, strict=True))
    assert [one.sum for one in scores] == pytest.approx([total for total, _ in theirs], abs=1e-4)


def test_a_prompt_that_does_not_fit_is_cut_as_there(harness):
    model, tokenizer = build("gpt2")
    pair = (" ".join(SENTENCES * 4), " lost heart.")
    ((theirs, _),) = harness(model, tokenizer).loglikelihood(requests("loglikelihood", pair), True)
    (score,) = lmcompare.wrap(model, tokenizer).log_likelihood(*([text] for text in pair), cut=True)
    assert score.sum == pytest.approx(theirs, abs=1e-4)


@pytest.mark.parametrize("name", ["gpt2", "qwen3"])
def test_bits_per_byte_is_loglikelihood_rolling(name, harness):
    """Texts of less than a context (64), and of several."""
    model, tokenizer = build(name)
    model.double()  # in float32 the sum over a long text is less precise than the tolerance
    texts = [*SENTENCES, " ".join(SENTENCES * 5)]
    theirs = harness(model, tokenizer).loglikelihood_rolling(
        requests("loglikelihood_rolling", *((text,) for text in texts)), True
    )
    ours = lmcompare.wrap(model, tokenizer).bits_per_byte(texts)
    assert (-ours.bits * 0.6931471805599453).tolist() == pytest.approx(theirs, abs=1e-4, rel=0)


@pytest.mark.parametrize("name", ["llama", "recurrent_gemma"])
def test_with_a_bos_before_every_text_rolling_agrees_if_told_so(name, harness):
    """By default the harness scores that bos, after one of its own; we begin with it."""
    model, tokenizer = build(name)
    model.double()
    ours = lmcompare.wrap(model, tokenizer).bits_per_byte(SENTENCES)
    nats = (-ours.bits * 0.6931471805599453).tolist()
    asked = requests("loglikelihood_rolling", *((text,) for text in SENTENCES))
    once = harness(model, tokenizer, add_bos_token=False).loglikelihood_rolling(asked, True)
    assert nats == pytest.approx(once, abs=1e-4, rel=0)
    twice = harness(model, tokenizer).loglikelihood_rolling(asked, True)
    assert all(abs(one - two) > 1e-3 for one, two in zip(nats, twice, strict=True))


MINICONS = {"pll": "original", "pll-word-l2r": "within_word_l2r"}


@pytest.mark.parametrize("name", ["bert", "roberta", "electra"])
@pytest.mark.parametrize("method", list(MINICONS))
def test_pseudo_log_likelihood_is_that_of_minicons(name, method):
    scorer = pytest.importorskip("minicons.scorer")
    model, tokenizer = build(name)
    # minicons 0.3.39 calls `batch_encode_plus`, which transformers 5 no longer has.
    encoded = tokenizer(SENTENCES, padding="longest", return_attention_mask=True)
    theirs = scorer.MaskedLMScorer(model, "cpu", tokenizer=tokenizer).sequence_score(
        encoded, reduction=lambda scores: scores.sum().item(), PLL_metric=MINICONS[method]
    )
    ours = lmcompare.wrap(model, tokenizer).log_likelihood(
        [""] * len(SENTENCES), SENTENCES, method=method
    )
    assert [one.sum for one in ours] == pytest.approx(theirs, abs=1e-4)
    assert any(len(one.tokens) > 6 for one in ours)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_surprisal_is_that_of_minicons(name):
    scorer = pytest.importorskip("minicons.scorer")
    model, tokenizer = build(name)
    ours = lmcompare.wrap(model, tokenizer)
    frame = ours.surprisal(SENTENCES[0])
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token_id = tokenizer.eos_token_id
    (theirs,) = scorer.IncrementalLMScorer(model, "cpu", tokenizer=tokenizer).token_score(
        SENTENCES[0], surprisal=True, base_two=True, bos_token=name == "gpt2"
    )
    theirs = [row[1] for row in theirs][-len(frame) :]
    assert frame.surprisal.tolist() == pytest.approx(theirs, abs=1e-4)
