"""Supervised fine-tuning on prompts and answers; answers generated, scored and ranked."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from torch import Tensor

from lmcompare.adaptation.finetuning import FinetuningProblem, FinetuningRun
from lmcompare.adaptation.learning_rate_search import search_learning_rate
from lmcompare.adaptation.sft_examples import answer_scoring_examples, answer_training_example
from lmcompare.adaptation.trainable_parameters import trainable_copy
from lmcompare.core.cells import Progress
from lmcompare.core.example import Example, Ids, SpecialTokens, collate
from lmcompare.generation.autoregressive import decode_autoregressively
from lmcompare.generation.sampling import DecodedTokens, Sampling
from lmcompare.generation.unmasking import unmask
from lmcompare.language_model import LanguageModel
from lmcompare.models.network import Network
from lmcompare.objectives import Objective, Role
from lmcompare.scoring.scorer import score_examples
from lmcompare.training.batches import weighted_losses

Pairs = Sequence[tuple[Ids, Ids]]
"""Prompts and their answers, in tokens without eos."""

TRAINING, VALIDATION = 1, 2
"""First number of a generator's seed: of the masks of training and of validation answers."""

VALIDATION_DRAWS = 4
"""Different masks of each validation answer of a masked LM."""

SCORING_BATCH = 64
"""Pairs whose examples are made at once: a masked LM has one for each token."""


@dataclass(frozen=True)
class SupervisedModel:
    """A model after supervised fine-tuning, and how it was chosen."""

    model: LanguageModel
    """with a network of its own"""
    loss: float
    """on validation, in nats a token of the answers and their eos (of a masked LM, a bound)"""
    trials: list[dict[str, Any]]
    """learning rate, best epoch and validation loss of each trial"""
    chosen: dict[str, Any]
    """the trial of lowest validation loss"""
    seconds: float
    """for all trials"""


@dataclass(frozen=True)
class GeneratedAnswers:
    """What a model generates for the test prompts, and how likely the references are."""

    answers: list[Ids]
    """without eos"""
    nats: list[NDArray[np.float64]]
    """log p of each token of the reference and, after fine-tuning, of its eos"""
    tuned: SupervisedModel | None
    """what generated them; None: a model without fine-tuning"""
    calls: int
    """of the network for an answer (for the longest, if they differ)"""
    seconds: float
    """for generating all of them"""


@dataclass(frozen=True)
class RankedAnswers:
    """Probabilities of the options as answers to each test prompt."""

    probabilities: NDArray[np.float64]
    """(prompts, options) their likelihoods, normalized"""
    validation_accuracy: float
    """share of the validation prompts whose own answer is the likeliest option"""
    tuned: SupervisedModel
    """what ranked them"""


@dataclass(frozen=True)
class BidirectionalPrompt:
    """A causal objective with full attention in the prompt, for ``attention: bidirectional``."""

    causal: Objective

    @property
    def kind(self) -> str:
        return self.causal.kind

    @property
    def role(self) -> Role:
        return self.causal.role

    @property
    def exactness(self) -> str:
        return self.causal.exactness

    def scoring_examples(
        self, prompt: Ids, completion: Ids, special: SpecialTokens
    ) -> list[Example]:
        """Return those of the causal objective, with full attention up to the first target."""
        examples = self.causal.scoring_examples(prompt, completion, special)
        return [replace(e, attention=int(np.flatnonzero(e.has_target)[0]) + 1) for e in examples]

    def generation_prompt(self, prompt: Ids, length: int, special: SpecialTokens) -> Example:
        """Return that of the causal objective, with full attention."""
        start = self.causal.generation_prompt(prompt, length, special)
        return replace(start, attention=len(start.inputs))


def supervised_finetune(
    run: FinetuningRun, train: Pairs, validation: Pairs, *, length: int
) -> SupervisedModel:
    """Fine-tune on pairs, with the loss on the answers alone; one trial for each learning rate.

    The validation loss chooses learning rate and epoch: every token of every answer counts in it,
    while most metrics of a small network stay at 0 for epochs, and it needs no decoding. Losses of
    different objectives are never compared.

    Args:
        run: the model and the settings, of which ``pooling`` is not read.
        train: what is learned.
        validation: what decides.
        length: tokens of an answer and its eos, at most: longer ones are cut.
    """
    start = time.perf_counter()
    model, special, seed = run.model, run.model.tokenizer.special, run.seed
    objective: Any = model.objective
    if run.adaptation.attention == "bidirectional" and objective.role == "decoder":
        objective = BidirectionalPrompt(objective)

    # Validation answers have the same masks at every epoch.
    frozen = []
    for i, pair in enumerate(validation):
        for draw in range(VALIDATION_DRAWS if objective.role == "encoder" else 1):
            rng = np.random.default_rng([VALIDATION, seed, i, draw])
            frozen.append(answer_training_example(objective, *pair, length, special, rng))

    def build() -> Network:
        return trainable_copy(model.network, run.adaptation, decoder=True)

    def loss(network: Network, indices: list[int], epoch: int) -> Tensor:
        rngs = [np.random.default_rng([TRAINING, seed, epoch, i]) for i in indices]
        examples = [
            answer_training_example(objective, *train[i], length, special, rng)
            for i, rng in zip(indices, rngs, strict=True)
        ]
        batch = collate(examples, special.pad)
        return weighted_losses(network, batch, network.device).sum() / batch.total_weight

    def score(network: Network) -> float:
        return -mean_loss(network, special, frozen, model.batch_tokens)

    lengths = [len(prompt) + len(answer) for prompt, answer in train]
    result = search_learning_rate(FinetuningProblem(build, loss, score, lengths), run)
    trials = [
        {"learning_rate": t.learning_rate, "epoch": t.epoch, "validation_loss": -t.score}
        for t in result.trials
    ]
    tuned = type(model)(
        result.module,
        model.tokenizer,
        objective,
        batch_tokens=model.batch_tokens,
        context=model.context,
    )
    chosen = trials[result.trials.index(result.best)]
    return SupervisedModel(tuned, -result.best.score, trials, chosen, time.perf_counter() - start)


def mean_loss(
    network: Network, special: SpecialTokens, examples: Sequence[Example], batch_tokens: int
) -> float:
    """Return the weighted mean of -log p (nats) over all targets of the examples."""
    log_p = score_examples(network, special, examples, batch_tokens)
    weights = [e.dense_weights[e.has_target] for e in examples]
    total = sum((w * nats).sum() for w, nats in zip(weights, log_p, strict=True))
    return float(-total / sum(w.sum() for w in weights))


def generate_answers(
    model: LanguageModel,
    test: Pairs,
    sampling: Sampling,
    *,
    tuned: SupervisedModel | None = None,
    progress: Progress = lambda event: None,
) -> GeneratedAnswers:
    """Generate an answer to each test prompt and score the reference, by ``tuned`` if given.

    A model without fine-tuning has not learned how an answer ends, so eos is not scored (and a
    masked model gets the length of the reference).
    """
    length = sampling.length
    model = model if tuned is None else tuned.model
    progress({"done": 0, "total": 2, "stage": "writing"})
    prompts = [prompt for prompt, _ in test]
    decoded = generate(model, prompts, sampling)
    progress({"done": 1, "total": 2, "stage": "likelihood"})
    if tuned is not None:
        nats = answer_log_p(model, test, length=length)
    else:
        nats = [np.zeros(0)] * len(test)
        not_empty = [i for i, (_, reference) in enumerate(test) if len(reference)]
        scores = model.score_tokens([(test[i][0], test[i][1][:length]) for i in not_empty])
        for i, score in zip(not_empty, scores, strict=True):
            nats[i] = score
    return GeneratedAnswers(decoded.tokens, nats, tuned, decoded.calls, decoded.seconds)


def greedy(length: int, strategy: str = "confidence", steps: int | None = None) -> Sampling:
    """Return settings of greedy decoding; eos ends an answer of at most ``length`` tokens."""
    return Sampling(length=length, temperature=0.0, may_end=True, strategy=strategy, steps=steps)


def generate(model: LanguageModel, prompts: Sequence[Ids], sampling: Sampling) -> DecodedTokens:
    """Generate an answer to each prompt, (n,) tokens; eos ends it and is left out.

    Decoders and encoder-decoders generate from left to right. A masked LM fills a span of
    ``sampling.length`` masks, which is cut at its first eos.
    """
    network, objective, special = model.network, model.objective, model.tokenizer.special
    starts = [objective.generation_prompt(prompt, sampling.length, special) for prompt in prompts]
    if objective.role != "encoder":
        return decode_autoregressively(network, starts, special, sampling)
    with_eos = replace(special, ordinary=np.append(special.ordinary, special.eos))
    filled = unmask(network, starts, with_eos, sampling)
    return replace(filled, tokens=[_before_eos(row, special.eos) for row in filled.tokens])


def _before_eos(row: Ids, eos: int) -> Ids:
    ends = np.flatnonzero(row == eos)
    return row[: ends[0]] if len(ends) else row


def rank_answers(
    tuned: SupervisedModel, pairs: Mapping[str, Pairs], options: Sequence[Ids]
) -> RankedAnswers:
    """Rank the options, each with its eos, as answers to validation and test prompts."""
    length = max(map(len, options)) + 1

    def probabilities(prompts: Pairs) -> NDArray[np.float64]:
        candidates = [(prompt, option) for prompt, _ in prompts for option in options]
        nats = [row.sum() for row in answer_log_p(tuned.model, candidates, length=length)]
        normalized: NDArray[np.float64] = softmax(
            np.array(nats).reshape(len(prompts), len(options)), axis=1
        )
        return normalized

    best = probabilities(pairs["validation"]).argmax(1)
    correct = [
        np.array_equal(options[i], answer)
        for i, (_, answer) in zip(best, pairs["validation"], strict=True)
    ]
    return RankedAnswers(probabilities(pairs["test"]), float(np.mean(correct)), tuned)


def answer_log_p(model: LanguageModel, pairs: Pairs, *, length: int) -> list[NDArray[np.float64]]:
    """Return log p (nats) of each token of the answers and of their eos."""
    objective, special = model.objective, model.tokenizer.special
    log_p = []
    for first in range(0, len(pairs), SCORING_BATCH):
        groups = [
            answer_scoring_examples(objective, *pair, length, special)
            for pair in pairs[first : first + SCORING_BATCH]
        ]
        scores = iter(model.ask([example for group in groups for example in group]))
        log_p += [np.concatenate([next(scores) for _ in group]) for group in groups]
    return log_p
