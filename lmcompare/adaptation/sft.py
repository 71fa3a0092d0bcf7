"""A network learns to answer prompts: fine-tuned on pairs with the loss on the answer alone, then asked to write."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmcompare.adaptation.finetuning import FinetuningResult, fit, seeded
from lmcompare.adaptation.sft_examples import learn_answer, score_answer
from lmcompare.adaptation.trainable_parameters import trainable
from lmcompare.core import settings
from lmcompare.core.example import Example, Ids, SpecialTokens, collate
from lmcompare.generation import DecodedTokens
from lmcompare.generation.autoregressive import left_to_right
from lmcompare.generation.unmasking import fill
from lmcompare.language_model import LanguageModel
from lmcompare.models.network import BatchTensors, Network
from lmcompare.objectives import Objective, Role
from lmcompare.scoring import scorer as asking

Pairs = Sequence[tuple[Ids, Ids]]
"""Prompts and their answers, in tokens; eos is not among them."""

LEARN, FROZEN = 1, 2
"""Which generator: one masks answers while learning, one masks those of validation, the same at every epoch."""

DRAWS = 4
"""How many times a masked LM is asked about each validation answer, each time with other masks."""

_ASKED = 64  # pairs whose questions are made at once: a masked LM has one for each token


@dataclass(frozen=True)
class SupervisedModel:
    """A model that learnt to answer.

    Attributes:
        model: with a network of its own.
        loss: on validation, in nats a token of the answers and their ends (masked: the bound of ``learn_answer``).
        trials: one mapping a trial: its learning rate, best epoch and validation loss.
        chosen: the trial of lowest validation loss.
        seconds: for all trials.
    """

    model: LanguageModel
    loss: float
    trials: list[dict[str, Any]]
    chosen: dict[str, Any]
    seconds: float


@dataclass(frozen=True)
class BidirectionalPrompt:
    """A causal objective that lets the prompt see itself whole: what ``attention: bidirectional`` fine-tunes."""

    causal: Objective

    @property
    def kind(self) -> str:
        """That of the causal objective."""
        return self.causal.kind

    @property
    def role(self) -> Role:
        """That of the causal objective."""
        return self.causal.role

    @property
    def exactness(self) -> str:
        """That of the causal objective."""
        return self.causal.exactness

    def scoring_examples(
        self, prompt: Ids, completion: Ids, special: SpecialTokens
    ) -> list[Example]:
        """Ask as the causal objective does; all before the first target is visible."""
        examples = self.causal.scoring_examples(prompt, completion, special)
        return [replace(e, attention=int(np.flatnonzero(e.has_target)[0]) + 1) for e in examples]

    def generation_prompt(self, prompt: Ids, length: int, special: SpecialTokens) -> Example:
        """Begin as the causal objective does; all of it is visible."""
        begun = self.causal.generation_prompt(prompt, length, special)
        return replace(begun, attention=len(begun.inputs))


@dataclass(frozen=True)
class GeneratedAnswers:
    """What a model says to the test prompts.

    Attributes:
        answers: tokens that it wrote, the end left out.
        nats: log p of each token of the real answer, and of a tuned model of its end.
        tuned: the model and how it was chosen; None of a model as it is.
        calls: of the network for an answer (of the longest, if they differ).
        seconds: for writing all of them.
    """

    answers: list[Ids]
    nats: list[NDArray[np.float64]]
    tuned: SupervisedModel | None
    calls: int
    seconds: float


def answer(
    model: LanguageModel,
    train: Pairs,
    validation: Pairs,
    test: Pairs,
    *,
    length: int,
    adaptation: settings.Adaptation | None,
    seed: int,
    strategy: str = "confidence",
    steps: int | None = None,
    progress: Callable[[dict[str, Any]], None] = lambda event: None,
) -> GeneratedAnswers:
    """``tune`` a copy of the model on pairs, then ``write`` an answer to each test prompt and score the real one.

    Without an ``adaptation`` the model is asked as it is. Nothing taught it how an answer ends, so the end is not
    scored (a masked model is told how long the real answer is).
    """
    tuned = None
    if adaptation is not None:
        tuned = tune(
            model,
            train,
            validation,
            length=length,
            adaptation=adaptation,
            seed=seed,
            progress=progress,
        )
        model = tuned.model
    progress({"done": 0, "total": 2, "stage": "writing"})
    decoded = write(
        model, [prompt for prompt, _ in test], length=length, strategy=strategy, steps=steps
    )
    progress({"done": 1, "total": 2, "stage": "likelihood"})
    if tuned is not None:
        nats = answer_nats(model, test, length=length)
    else:
        nats = [np.zeros(0)] * len(test)
        said = [i for i, (_, wanted) in enumerate(test) if len(wanted)]
        scores = model.score_tokens([(test[i][0], test[i][1][:length]) for i in said])
        for i, score in zip(said, scores, strict=True):
            nats[i] = score
    return GeneratedAnswers(decoded.tokens, nats, tuned, decoded.calls, decoded.seconds)


def tune(
    model: LanguageModel,
    train: Pairs,
    validation: Pairs,
    *,
    length: int,
    adaptation: settings.Adaptation,
    seed: int,
    progress: Callable[[dict[str, Any]], None] = lambda event: None,
) -> SupervisedModel:
    """Fine-tune on pairs: one trial a learning rate, each from the network as given, which is left as it was.

    Learning rate and epoch are chosen on the loss of the validation answers, not on their metric: every token of every
    answer has a say in it, while most metrics of a network this small stay at 0 for epochs, and it needs no decoding.
    Losses of different objectives are never set against one another.

    Args:
        model: what is adapted.
        train: learnt from.
        validation: decides.
        length: tokens of an answer, its end counted, at most: longer ones are cut (``objectives.answers.ended``).
        adaptation: the settings; the pooling is that of heads and of no use here.
        seed: of dropout, the order of the pairs and their masks.
        progress: is told {"done", "total", "stage", "loss"}.
    """
    start = time.perf_counter()
    objective, special = model.objective, model.tokenizer.special
    if adaptation.attention == "bidirectional" and objective.role == "decoder":
        objective = BidirectionalPrompt(objective)  # type: ignore[assignment]
    draws = DRAWS if objective.role == "encoder" else 1
    frozen = [
        learn_answer(
            objective, *pair, length, special, np.random.default_rng([FROZEN, seed, i, draw])
        )
        for i, pair in enumerate(validation)
        for draw in range(draws)
    ]
    asked = _asking(model, model.network, objective)
    steps = math.ceil(len(train) / adaptation.batch_size) * adaptation.epochs
    trials: list[dict[str, Any]] = []
    best: tuple[FinetuningResult, LanguageModel] | None = None
    for number, rate in enumerate(adaptation.learning_rates):

        def tell(done: int, value: float, before: int = number * steps) -> None:
            total = steps * len(adaptation.learning_rates)
            progress({"done": before + done, "total": total, "stage": "fine-tuning", "loss": value})

        fitted, tuned = _trial(asked, train, frozen, length, adaptation, rate, seed, tell)
        trials.append(
            {"learning_rate": rate, "epoch": fitted.epoch, "validation_loss": -fitted.score}
        )
        if best is None or fitted.score > best[0].score:
            best, chosen = (fitted, tuned), trials[-1]
    assert best is not None
    return SupervisedModel(best[1], -best[0].score, trials, chosen, time.perf_counter() - start)


def _asking(model: LanguageModel, network: Network, objective: Objective) -> LanguageModel:
    """Return a model that asks this network by this objective; the rest is that of ``model``."""
    return type(model)(
        network, model.tokenizer, objective, batch_tokens=model.batch_tokens, context=model.context
    )


def _trial(
    model: LanguageModel,
    train: Pairs,
    frozen: Sequence[Example],
    length: int,
    adaptation: settings.Adaptation,
    learning_rate: float,
    seed: int,
    progress: Callable[[int, float], None],
) -> tuple[FinetuningResult, LanguageModel]:
    """Fine-tune once; return what came out of it and the model at its best epoch."""
    objective, special, device = model.objective, model.tokenizer.special, model.network.device
    with seeded(seed, device):
        network = trainable(model.network, adaptation, whole=True)

        def loss(group: list[int], epoch: int) -> Tensor:
            rngs = [np.random.default_rng([LEARN, seed, epoch, i]) for i in group]
            made = [
                learn_answer(objective, *train[i], length, special, rng)
                for i, rng in zip(group, rngs, strict=True)
            ]
            batch = collate(made, special.pad)
            losses: Tensor = network(BatchTensors.of(batch, device))
            return (
                losses * torch.from_numpy(batch.target_weights).to(losses)
            ).sum() / batch.total_weight

        fitted = fit(
            network,
            [len(prompt) + len(answer) for prompt, answer in train],
            loss,
            lambda _: -_loss(network, special, frozen, model.batch_tokens),
            adaptation=adaptation,
            learning_rate=learning_rate,
            seed=seed,
            patience=adaptation.patience,
            progress=progress,
        )
    return fitted, _asking(model, network, objective)


def _loss(
    network: Network, special: SpecialTokens, examples: Sequence[Example], batch_tokens: int
) -> float:
    """Return the weighted mean of -log p (nats) over all targets."""
    answers = asking.ask(network, special, examples, batch_tokens)
    weights = [e.dense_weights[e.has_target] for e in examples]
    total = sum((w * a).sum() for w, a in zip(weights, answers, strict=True))
    return float(-total / sum(w.sum() for w in weights))


def write(
    model: LanguageModel,
    prompts: Sequence[Ids],
    *,
    length: int,
    strategy: str = "confidence",
    steps: int | None = None,
) -> DecodedTokens:
    """Write the likeliest answer to each prompt, greedily; eos ends it and is left out.

    Decoders and encoder-decoders write from left to right, with their cache. A masked LM fills a block of ``length``
    masks and is cut at its first eos.

    Args:
        model: fine-tuned on pairs, or as it is.
        prompts: (n,) tokens each.
        length: tokens of an answer, its end counted, at most.
        strategy: of a masked model: see ``decoding.filling.STRATEGIES``.
        steps: of a masked model: calls of the network; None: what the strategy says.
    """
    network, objective, special = model.network, model.objective, model.tokenizer.special
    if objective.role != "encoder":
        return left_to_right(
            network, objective, prompts, special, length=length, temperature=0, ends=True
        )
    free = replace(special, ordinary=np.append(special.ordinary, special.eos))
    begun = [objective.generation_prompt(prompt, length, special) for prompt in prompts]
    filled = fill(network, begun, free, strategy=strategy, steps=steps)
    return replace(filled, tokens=[_until(row, special.eos) for row in filled.tokens])


def _until(row: Ids, eos: int) -> Ids:
    ends = np.flatnonzero(row == eos)
    return row[: ends[0]] if len(ends) else row


def answer_nats(model: LanguageModel, pairs: Pairs, *, length: int) -> list[NDArray[np.float64]]:
    """Return log p (nats) of each token of the answers and of their ends: see ``objectives.answers.score_answer``."""
    objective, special = model.objective, model.tokenizer.special
    found = []
    for first in range(0, len(pairs), _ASKED):
        asked = [
            score_answer(objective, *pair, length, special)
            for pair in pairs[first : first + _ASKED]
        ]
        told = iter(model.ask([example for several in asked for example in several]))
        found += [np.concatenate([next(told) for _ in several]) for several in asked]
    return found
