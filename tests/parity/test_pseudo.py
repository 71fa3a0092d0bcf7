"""Pseudo-log-likelihoods and the bound against the published formulas, with full logits."""

import itertools
import math

import numpy as np
import pytest
import torch
from tiny import build

import lmcompare
from lmcompare.core.errors import InputError
from lmcompare.scoring.score_types import LikelihoodBound, LogLikelihood, PseudoLogLikelihood

SENTENCE = "an actor who was unbelievably good, don't you think?"


def conditional(model, ids, hidden, asked, mask):
    inputs = torch.tensor([ids])
    inputs[0, hidden] = mask
    with torch.no_grad():
        return model(input_ids=inputs).logits[0, asked].log_softmax(-1)[ids[asked]].item()


@pytest.mark.parametrize("method", ["pll", "pll-word-l2r", "pll-whole-word"])
@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_the_three_published_forms(name, method):
    """Kauf & Ivanova 2023, section 3: the words are those of the tokenizer (`word_ids`)."""
    model, tokenizer = build(name)
    encoded = tokenizer(SENTENCE)
    ids, words = encoded.input_ids, encoded.word_ids()
    expected = []
    for t in range(1, len(ids) - 1):
        word = [j for j in range(1, len(ids) - 1) if words[j] == words[t]]
        hidden = {"pll": [t], "pll-word-l2r": [j for j in word if j >= t], "pll-whole-word": word}[
            method
        ]
        expected.append(conditional(model, ids, hidden, t, tokenizer.mask_token_id))
    (score,) = lmcompare.wrap(model, tokenizer).log_likelihood([""], [SENTENCE], method=method)
    assert score.tokens == pytest.approx(expected, abs=1e-4)
    assert (
        isinstance(score, PseudoLogLikelihood) and not score.exact and score.exactness == "pseudo"
    )
    for refused in ("perplexity", "bits_per_byte"):
        with pytest.raises(InputError, match=f"{refused}: a pseudo-log-likelihood"):
            getattr(score, refused)


def test_the_bound_is_the_mean_over_all_orders():
    """-log p <= E_k [(T/k) sum over k random masks of -log p(x_i | rest)], over all sets."""
    model, tokenizer = build("bert")
    ours = lmcompare.wrap(model, tokenizer)
    ids = tokenizer("an actor lost").input_ids
    count = len(ids) - 2
    exact = np.zeros(count)
    for k in range(1, count + 1):
        sets = list(itertools.combinations(range(count), k))
        for hidden in sets:
            for t in hidden:
                places = [1 + j for j in hidden]
                exact[t] += (
                    conditional(model, ids, places, 1 + t, tokenizer.mask_token_id) / k / len(sets)
                )
    (score,) = ours.log_likelihood([""], ["an actor lost"], method="bound", draws=600)
    assert isinstance(score, LikelihoodBound) and score.comparison == "<=" and score.draws == 600
    assert abs(score.sum - exact.sum()) < 4 * score.error
    assert score.error < 0.2 * abs(exact.sum())
    again, other = (
        ours.log_likelihood([""], ["an actor lost"], method="bound", draws=4, seed=seed)[0].sum
        for seed in (0, 1)
    )
    assert (
        again
        == ours.log_likelihood(["", ""], ["an actor lost", "a film"], method="bound", draws=4)[
            0
        ].sum
    )
    assert again != other and math.isfinite(other)


def test_a_chain_is_a_likelihood():
    model, tokenizer = build("bert")
    (score,) = lmcompare.wrap(model, tokenizer).log_likelihood(
        ["the film"], [" was good"], method="chain"
    )
    assert isinstance(score, LogLikelihood) and score.exactness == "chain" and not score.exact
    assert score.perplexity == pytest.approx(np.exp(-score.sum / len(score.tokens)))


def test_methods_are_for_masked_models():
    ours = lmcompare.wrap(*build("gpt2"))
    with pytest.raises(InputError, match="method: 'causal' .* has one likelihood, an exact one"):
        ours.log_likelihood([""], ["film"], method="pll")
    with pytest.raises(InputError, match="did you mean 'pll'"):
        lmcompare.wrap(*build("bert")).log_likelihood([""], ["film"], method="pl")
