"""Log-likelihoods of completions, choices and texts; the loss of training."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lmcompare.core.errors import InputError, not_whole
from lmcompare.core.example import Ids
from lmcompare.data.word_boundaries import TokenOffsets
from lmcompare.models.pretrained_objectives import end_of_training_text
from lmcompare.objectives import sequence_example
from lmcompare.scoring.model_protocol import ScoredModel, ask, check_text, check_texts, room
from lmcompare.scoring.requests import PSEUDO, TokenizedPair, fitting, tokenize_pairs
from lmcompare.scoring.score_types import (
    BitsPerByte,
    Method,
    RankedCompletion,
    Scores,
    exactness_of,
    typed_scores,
)
from lmcompare.scoring.scorer import score_pairs

Normalisation = Literal["sum", "token", "byte", "unconditional"]


def log_likelihood(
    model: ScoredModel,
    prompts: Sequence[str],
    completions: Sequence[str],
    *,
    method: Method | None = None,
    draws: int = 16,
    seed: int = 0,
    cut: bool = False,
) -> list[Scores]:
    """Return log p(completion given prompt) for each pair, in nats a token; the type says what the
    number is.

    Causal: exact. Seq2seq: exact, given what the encoder reads; after span corruption the
    completion is the span cut from the end of the prompt, else what the decoder says to the prompt.
    Masked: by ``method``.

    - None or 'chain': each token with all later ones masked; proper, given the number of tokens
      (``LogLikelihood``)
    - 'bound': in random sets of masks, by ``draws`` seeded draws (``LikelihoodBound``)
    - 'pll': with all others read (Salazar et al. 2020; ``PseudoLogLikelihood``, likewise below)
    - 'pll-word-l2r': with the later ones of its word masked, too (Kauf & Ivanova 2023)
    - 'pll-whole-word': with all of its word masked (the same)

    How pairs are cut into tokens: ``requests.tokenize_pairs``. No score depends on its batch
    neighbors.

    Args:
        model: with its tokenizer and objective.
        prompts: may be empty texts: then a network starts from its bos.
        completions: one a prompt, each with at least one token (BERT's tokenizer makes none of a
            space).
        method: of a masked model.
        draws: of 'bound', at least 1.
        seed: of 'bound'.
        cut: drop the start of a prompt that does not fit into the context, rather than refuse it.

    Raises:
        InputError: the lists differ in length, a completion has no token or is longer than the
            context, a prompt does not fit, the method is none of this model's, or there are no
            draws.
    """
    prompts, completions = check_texts(prompts, "prompts"), check_texts(completions, "completions")
    if len(prompts) != len(completions):
        raise InputError(
            f"completions: wanted as many as prompts ({len(prompts)}), got {len(completions)}"
        )
    if problems := [*not_whole("draws", draws, 1), *not_whole("seed", seed, 0)]:
        raise InputError(*problems)
    if empty := [i for i, text in enumerate(completions) if not text]:
        raise InputError(f"completions[{empty[0]}]: wanted a text, got an empty one")
    together, words = model.objective.role != "encoder-decoder", method in PSEUDO[1:]
    pairs = tokenize_pairs(model.tokenizer, prompts, completions, together=together, words=words)
    bare = [i for i, pair in enumerate(pairs) if not len(pair.completion)]
    if bare:
        raise InputError(
            f"completions[{bare[0]}]: wanted a text with tokens, got {completions[bare[0]]!r}, of "
            "which the tokenizer makes none"
        )
    # White space at the end of a prompt is scored with its completion.
    sizes = [
        len((prompt[len(prompt.rstrip()) :] + text).encode())
        for prompt, text in zip(prompts, completions, strict=True)
    ]
    pairs = room(model).check(pairs, cut=cut)
    scored = _score(model, pairs, method, draws, seed)
    return [
        typed_scores(tokens, model.objective.exactness, size, method=method, parts=parts)
        for (tokens, parts), size in zip(scored, sizes, strict=True)
    ]


def rank(
    model: ScoredModel,
    prompt: str,
    choices: Sequence[str],
    *,
    normalise: Normalisation = "sum",
    unconditional: str = "",
    method: Method | None = None,
) -> list[RankedCompletion]:
    """Return the choices, the likeliest first.

    Args:
        model: with its tokenizer and objective.
        prompt: what each of them completes.
        choices: the completions.
        normalise: 'sum': nats; 'token', 'byte': nats for each token or UTF-8 byte ('acc_norm' of
            lm-evaluation-harness); 'unconditional': nats less those after ``unconditional`` (Brown
            et al. 2020, section 2.4).
        unconditional: the prompt of that comparison.
        method: as in ``log_likelihood``; pseudo-log-likelihoods rank, too.

    Raises:
        InputError: as ``log_likelihood``, or no such normalisation.
    """
    if normalise not in ("sum", "token", "byte", "unconditional"):
        raise InputError(f"normalise: wanted sum, token, byte or unconditional, got {normalise!r}")
    prompt, unconditional = check_text(prompt, "prompt"), check_text(unconditional, "unconditional")
    choices = check_texts(choices, "choices")
    scores = log_likelihood(model, [prompt] * len(choices), choices, method=method)
    values = [score.sum for score in scores]
    if normalise == "unconditional":
        before = log_likelihood(model, [unconditional] * len(choices), choices, method=method)
        values = [value - score.sum for value, score in zip(values, before, strict=True)]
    elif normalise != "sum":
        sizes = [
            len(score.tokens) if normalise == "token" else score.completion_bytes
            for score in scores
        ]
        values = [value / size for value, size in zip(values, sizes, strict=True)]
    ranked = [RankedCompletion(choices[i], i, values[i], scores[i]) for i in range(len(choices))]
    return sorted(ranked, key=lambda choice: -choice.score)


def bits_per_byte(
    model: ScoredModel,
    texts: Sequence[str],
    *,
    stride: int | None = None,
    method: Method | None = None,
) -> BitsPerByte:
    """Return -log2 p of texts for each UTF-8 byte, in sliding windows over texts longer than the
    context.

    Each token is scored once, after as much text as its window holds: see
    ``requests.ContextLimits.windows``.

    Args:
        model: with its tokenizer and objective.
        texts: at least one, none of them empty.
        stride: tokens scored in each window after the first; None: as many as fit, which is the
            cheapest, and what `loglikelihood_rolling` of lm-evaluation-harness does. But a bos that
            the tokenizer puts before each text (Llama, Gemma) stands here before each window; there
            it is scored, unless told ``add_bos_token=False``: then texts of one window agree. GLM's
            [gMASK] is eos there. A smaller stride gives each token more context.
        method: None, 'chain' or 'bound'; a pseudo-log-likelihood has no bits.

    Raises:
        InputError: no text, an empty one, a stride that does not fit, a pseudo-log-likelihood.
    """
    if method in PSEUDO:
        raise InputError(
            f"method: wanted 'chain' or 'bound' for bits per byte, got the pseudo {method!r}"
        )
    texts = check_texts(texts, "texts")
    if not texts:
        raise InputError("texts: wanted at least one, got none")
    nats = [tokens.sum() for _, tokens in rolling_log_likelihood(model, texts, stride, method)]
    return BitsPerByte(
        bits=-np.array(nats) / np.log(2),
        bytes=np.array([len(text.encode()) for text in texts], dtype=np.int64),
        exactness=exactness_of(model.objective.exactness, method),
        context=model.context,
        stride=stride,
    )


def loss(model: ScoredModel, texts: Sequence[str], *, seed: int = 0) -> float:
    """Return the training loss on these texts, in nats a target: the objective's weighted mean over
    all targets.

    As ``run`` computes it, each text followed by eos (a checkpoint's: in its tokenizer's frame) and
    corrupted by a generator seeded with (seed, place). Losses of different objectives are not
    comparable.

    Raises:
        InputError: no target in these texts, one that the context does not hold, a checkpoint of
            which training on texts alone is not known, or a seed below 0.
    """
    if problems := not_whole("seed", seed, 0):
        raise InputError(*problems)
    special = model.tokenizer.special
    end = end_of_training_text(model.objective, special)
    rows = [
        np.array([*ids, *end], dtype=np.int64)
        for ids in model.tokenizer.encode_batch(check_texts(texts, "texts"))
    ]
    examples = [
        fitting(
            sequence_example(
                model.objective, row, special, np.random.default_rng([seed, i]), isolated=False
            ),
            model.context,
            f"texts[{i}]",
        )
        for i, row in enumerate(rows)
        if len(row)
    ]
    weights = [e.dense_weights[e.has_target] for e in examples]
    total = sum(part.sum() for part in weights)
    if not total:
        raise InputError("loss: wanted texts with at least one target, got none")
    log_p = ask(model, examples)
    return float(-sum((w * p).sum() for w, p in zip(weights, log_p, strict=True)) / total)


def score_tokens(model: ScoredModel, pairs: Sequence[tuple[Ids, Ids]]) -> list[NDArray[np.float64]]:
    """Return, for each pair of prompt and completion ids, log p (nats) of each token of the
    completion.
    """
    tokenized = [
        TokenizedPair(prompt, completion, np.arange(len(completion)))
        for prompt, completion in pairs
    ]
    return [tokens for tokens, _ in _score(model, tokenized, None)]


def _score(
    model: ScoredModel,
    pairs: Sequence[TokenizedPair],
    method: Method | None,
    draws: int = 16,
    seed: int = 0,
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    return score_pairs(
        model.network,
        model.objective,
        model.tokenizer.special,
        pairs,
        batch_tokens=model.batch_tokens,
        method=method,
        draws=draws,
        seed=seed,
    )


def rolling_log_likelihood(
    model: ScoredModel, texts: Sequence[str], stride: int | None, method: Method | None
) -> list[tuple[TokenOffsets, NDArray[np.float64]]]:
    """Return the tokens of each text and their nats, in windows over texts beyond the context."""
    pieces = model.tokenizer.target.encode_with_offsets(texts)
    empty = [i for i, piece in enumerate(pieces) if not len(piece.ids)]
    if empty:
        raise InputError(f"texts[{empty[0]}]: wanted a text with tokens, got {texts[empty[0]]!r}")
    fits = room(model)
    windows = [fits.windows(len(piece.ids), stride) for piece in pieces]
    long = [i for i, text_windows in enumerate(windows) if len(text_windows) > 1]
    if long and model.tokenizer.target is not model.tokenizer:
        raise InputError(
            f"texts[{long[0]}]: wanted at most {fits.completion} tokens, got "
            f"{len(pieces[long[0]].ids)}: a translator reads in another vocabulary than it writes "
            "in, so that no window can be its prompt"
        )
    pairs = [
        TokenizedPair(piece.ids[read:first], piece.ids[first:end], piece.words[first:end])
        for piece, text_windows in zip(pieces, windows, strict=True)
        for read, first, end in text_windows
    ]
    scored = iter(_score(model, pairs, method))
    nats = [np.concatenate([next(scored)[0] for _ in text_windows]) for text_windows in windows]
    return list(zip(pieces, nats, strict=True))
