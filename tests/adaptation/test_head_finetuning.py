import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lmcompare.adaptation.finetuning import FinetuningRun, group_by_length
from lmcompare.adaptation.head_finetuning import Criterion, finetune_classifier, finetune_head
from lmcompare.adaptation.heads import PairHead, SpanHead, TokenClassificationHead
from lmcompare.adaptation.probing import LabeledTexts, choose_pooling
from lmcompare.core.example import collate
from lmcompare.core.settings import Adaptation
from lmcompare.data.tokenized_split import TokenizedSplit
from lmcompare.language_model import LanguageModel
from lmcompare.models.network import BatchTensors, build_network, evaluation_mode
from lmcompare.models.pooling import pool
from lmcompare.objectives import OBJECTIVES
from lmcompare.training.optimizer import adamw


@pytest.fixture(params=["causal", "masked", "seq2seq"])
def model(request, tokenizer, small):
    objective = OBJECTIVES[request.param]()
    return LanguageModel(
        build_network(small, objective.role, tokenizer.special, 1), tokenizer, objective
    )


@pytest.fixture(scope="module")
def parts(tokenizer):
    """Sentences whose label is whether 'good' or 'bad' stands in them, at a random place."""
    rng = np.random.default_rng(0)
    splits = []
    for count in (300, 60, 60):
        labels = rng.integers(0, 2, count)
        texts = []
        for label in labels:
            words = rng.choice(["film", "the", "story", "an", "actor"], rng.integers(2, 7)).tolist()
            words.insert(rng.integers(len(words)), ["bad", "good"][label])
            texts.append(" ".join(words))
        splits.append(
            LabeledTexts([np.array(row) for row in tokenizer.encode_batch(texts)], labels)
        )
    return splits


ADAPTATION = Adaptation(learning_rates=(1e-5, 5e-3), epochs=4, batch_size=16)
QUICK = Adaptation(learning_rates=(1e-3,), pooling=("mean",), epochs=1, batch_size=16)
LEARNS = Adaptation(learning_rates=(1e-2,), epochs=4, batch_size=16)
NAMES = ("train", "validation", "test")


def classify(model, parts, adaptation, seed=1, **watchers):
    splits = dict(zip(NAMES, parts, strict=True))
    return finetune_classifier(FinetuningRun(model, adaptation, seed, **watchers), splits, 2)


def few(parts, count=32):
    return [LabeledTexts(part.rows[:count], part.labels[:count]) for part in parts]


def test_learns_chooses_on_validation_and_leaves_the_model_as_it_was(model, parts):
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    events = []
    adapted = classify(model, parts, ADAPTATION, progress=events.append)
    assert (adapted.probabilities.argmax(1) == parts[2].labels).mean() > 0.9
    assert adapted.probabilities.sum(1) == pytest.approx(1)
    trials = [trial for trial in adapted.trials if trial["learning_rate"]]
    assert [trial["learning_rate"] for trial in trials] == [1e-5, 5e-3]
    assert adapted.chosen == max(trials, key=lambda trial: trial["validation_accuracy"])
    assert events[-1]["done"] == events[-1]["total"]
    for name, tensor in model.network.state_dict().items():
        assert torch.equal(tensor, before[name])


def written_out(model, train, validation, test, rate, pooling, adaptation, seed):
    """One trial of classification, plainly: what `finetune_classifier` must do to the last bit."""
    special = model.tokenizer.special
    torch.manual_seed(seed)
    network = copy.deepcopy(model.network)
    dropout, head = nn.Dropout(0.1), nn.Linear(network.hidden_size, 2)
    module = nn.ModuleList([network, dropout, head])
    optimizer = adamw(module, rate, adaptation.weight_decay, (0.9, 0.999))
    steps = -(-len(train.rows) // adaptation.batch_size) * adaptation.epochs
    rise = max(1, round(adaptation.warmup_ratio * steps))
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / rise, (steps - step) / max(1, steps - rise))
    )

    def logits(rows):
        batch = BatchTensors.of(
            collate([model.objective.encoding_example(row, special) for row in rows], special.pad)
        )
        return head(dropout(pool(network.states(batch), batch.attention_mask, pooling).float()))

    def say(rows):
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        probabilities = np.zeros((len(rows), 2))
        with evaluation_mode(module):
            for first in range(0, len(order), 64):
                group = order[first : first + 64]
                probabilities[group] = logits([rows[i] for i in group]).double().softmax(-1).numpy()
        return probabilities

    rng, best = np.random.default_rng(seed), (-1.0, None)
    for _ in range(adaptation.epochs):
        module.train()
        sizes = [len(model.objective.encoding_example(row, special).inputs) for row in train.rows]
        for group in group_by_length(sizes, adaptation.batch_size, rng):
            loss = F.cross_entropy(
                logits([train.rows[i] for i in group]), torch.from_numpy(train.labels[group])
            )
            loss.backward()
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
        accuracy = float((say(validation.rows).argmax(1) == validation.labels).mean())
        if accuracy > best[0]:
            best = (accuracy, say(test.rows))
    return best


def test_the_same_numbers_as_written_out_to_the_last_bit(model, parts):
    adaptation = Adaptation(learning_rates=(5e-3,), pooling=("last",), epochs=2, batch_size=8)
    adapted = classify(model, few(parts), adaptation, seed=3)
    accuracy, probabilities = written_out(model, *few(parts), 5e-3, "last", adaptation, 3)
    assert adapted.score == accuracy
    assert np.array_equal(adapted.probabilities, probabilities)


def test_same_seed_same_answer(model, parts):
    runs = [classify(model, few(parts), QUICK, seed).probabilities for seed in (1, 1, 2)]
    assert (runs[0] == runs[1]).all()
    assert (runs[0] != runs[2]).any()


def test_test_items_decide_nothing(model, parts):
    """With other labels and texts in the test split, the trials are the same."""
    quick = Adaptation(learning_rates=(1e-3,), epochs=1, batch_size=16)
    train, validation, test = few(parts)
    other = LabeledTexts([row[::-1].copy() for row in test.rows], 1 - test.labels)
    adapted = [classify(model, [train, validation, part], quick) for part in (test, other)]
    assert adapted[0].trials == adapted[1].trials


@pytest.mark.parametrize("attention", ["bidirectional", "causal"])
def test_attention_while_fine_tuning_is_an_option(model, parts, attention):
    own = classify(model, few(parts), QUICK).probabilities
    changed = Adaptation(
        learning_rates=(1e-3,), pooling=("mean",), epochs=1, batch_size=16, attention=attention
    )
    adapted = classify(model, few(parts), changed).probabilities
    same = (model.objective.role == "decoder") == (attention == "causal")
    assert np.allclose(adapted, own, atol=1e-5) == same


def test_a_menu_of_one_needs_no_probe(model, parts):
    assert choose_pooling(model, parts[0], parts[1], ("first",)) == ("first", [])


@pytest.mark.parametrize("protocol", ["linear_probe", "lora"])
def test_probe_and_lora_train_few_weights_and_learn(model, parts, protocol):
    tried = {"learning_rates": (3e-2,), "pooling": ("mean",), "epochs": 3, "batch_size": 16}
    adaptation = Adaptation(protocol=protocol, lora_rank=2, lora_alpha=4, **tried)
    adapted = classify(model, parts, adaptation)
    assert adapted.trained_weights < model.network.parameters_counted()["parameters"] / 4
    assert protocol == "lora" or adapted.trained_weights == 2 * model.network.hidden_size + 2
    assert (adapted.probabilities.argmax(1) == parts[2].labels).mean() > 0.75
    assert not any("lora" in name for name, _ in model.network.named_parameters())
    assert all(weight.requires_grad for weight in model.network.parameters())


@pytest.fixture(scope="module")
def tagged(tokenizer):
    """Words of one to three tokens, tagged by whether they are 'good' or stand after it."""
    rng = np.random.default_rng(1)
    splits = {}
    for name, count in zip(NAMES, (250, 50, 50), strict=True):
        rows, targets, marks = [], [], []
        for _ in range(count):
            words = rng.choice(["good", "film", "story", "xyz"], rng.integers(3, 7)).tolist()
            pieces = [np.array(tokenizer.encode(" " + word)) for word in words]
            rows.append((np.concatenate(pieces),))
            marks.append(np.repeat(np.arange(len(words)), [len(piece) for piece in pieces]))
            before = ["", *words]
            tags = [
                2 if b == "good" else int(w == "good") for b, w in zip(before, words, strict=False)
            ]
            targets.append(np.array(tags))
        splits[name] = TokenizedSplit(rows, targets, marks)
    return splits


def share_right(part):
    def score(answers):
        labels = np.concatenate([answer.argmax(1) for answer in answers])
        return float((labels == np.concatenate(part.targets)).mean())

    return score


def words_adapted(model, parts, adaptation):
    menu = {pooling: TokenClassificationHead(3, pooling) for pooling in adaptation.pooling}
    score = share_right(parts["validation"])
    run = FinetuningRun(model, adaptation, seed=1)
    return finetune_head(run, menu, parts, Criterion("accuracy", score))


def test_a_word_head_learns_words_and_what_stands_before_them(model, tagged):
    adapted = words_adapted(
        model, tagged, Adaptation(learning_rates=(5e-3,), epochs=6, batch_size=16)
    )
    assert [len(answer) for answer in adapted.predictions] == [
        len(targets) for targets in tagged["test"].targets
    ]
    assert share_right(tagged["test"])(adapted.predictions) > 0.82  # by the word alone: 3 in 4
    assert {trial["pooling"] for trial in adapted.trials if trial["epoch"] is None} == {
        "mean",
        "last",
        "first",
    }


def test_a_trial_that_does_not_get_better_ends(model, tagged):
    few = {
        name: TokenizedSplit(part.rows[:8], part.targets[:8], part.marks[:8])
        for name, part in tagged.items()
    }
    for patience, epochs in ((2, 3), (None, 5)):
        scored = []
        adaptation = Adaptation(learning_rates=(1e-3,), epochs=5, patience=patience)

        def score(predictions, scored=scored):
            scored.append(predictions)
            return 1.0

        adapted = finetune_head(
            FinetuningRun(model, adaptation, seed=1),
            {"last": TokenClassificationHead(3, "last")},
            few,
            Criterion("accuracy", score),
        )
        assert len(scored) == epochs
        assert adapted.chosen["epoch"] == 1


def test_a_pair_head_learns_how_many_words_are_shared(model, tokenizer):
    rng = np.random.default_rng(2)
    parts = {}
    for name, count in zip(NAMES, (300, 60, 60), strict=True):
        rows, targets = [], []
        for _ in range(count):
            one, other = (rng.choice(["good", "bad"]) for _ in range(2))
            texts = [
                f"the {word} {rng.choice(['film', 'story', 'actor'])}" for word in (one, other)
            ]
            rows.append(tuple(np.array(row) for row in tokenizer.encode_batch(texts)))
            targets.append(float(one == other))
        parts[name] = TokenizedSplit(rows, targets)
    menu = {pooling: PairHead(pooling) for pooling in ("mean", "last")}

    def score(answers):
        return float(np.corrcoef(np.concatenate(answers), parts["validation"].targets)[0, 1])

    run = FinetuningRun(model, LEARNS, seed=1)
    adapted = finetune_head(run, menu, parts, Criterion("pearson", score))
    assert np.corrcoef(np.concatenate(adapted.predictions), parts["test"].targets)[0, 1] > 0.8
    assert len(adapted.trials) == 3


def spans(tokenizer, count, seed):
    """The answer is the word after 'good', in the second part of the text, if there is one."""
    rng = np.random.default_rng(seed)
    rows, targets, marks = [], [], []
    for _ in range(count):
        words = rng.choice(["film", "story", "actor", "the"], 6).tolist()
        place = int(rng.integers(0, 5))
        if has_answer := rng.random() < 0.8:
            words[place] = "good"
        pieces = [np.array(tokenizer.encode(" " + word)) for word in ["who", *words]]
        ends = np.cumsum([len(piece) for piece in pieces])
        rows.append((np.concatenate(pieces),))
        marks.append(np.repeat([0, *[1] * 6], [len(piece) for piece in pieces]))
        targets.append(np.array([ends[place + 1], ends[place + 2] - 1] if has_answer else [-1, -1]))
    return TokenizedSplit(rows, targets, marks)


def exact(part):
    def score(answers):
        has_answer = [
            (targets, answer)
            for targets, answer in zip(part.targets, answers, strict=True)
            if targets[0] >= 0
        ]
        return float(
            np.mean([np.array_equal(targets, answer[:2]) for targets, answer in has_answer])
        )

    return score


def test_a_span_head_finds_the_answer_and_knows_where_it_is_not(model, tokenizer):
    parts = {
        name: spans(tokenizer, count, i)
        for i, (name, count) in enumerate(zip(NAMES, (300, 60, 60), strict=True))
    }
    run, criterion = FinetuningRun(model, LEARNS, seed=1), exact(parts["validation"])
    adapted = finetune_head(run, {None: SpanHead()}, parts, Criterion("exact", criterion))
    assert exact(parts["test"])(adapted.predictions) > 0.8
    has_answer = np.array([targets[0] >= 0 for targets in parts["test"].targets])
    margins = np.array([answer[2] for answer in adapted.predictions])
    assert margins[has_answer].mean() > margins[~has_answer].mean()
    assert adapted.chosen.keys() == {"learning_rate", "epoch", "validation_exact"}


def test_test_items_decide_nothing_of_a_word_head(model, tagged):
    small = {
        name: TokenizedSplit(part.rows[:24], part.targets[:24], part.marks[:24])
        for name, part in tagged.items()
    }
    other = TokenizedSplit(
        [(row[::-1].copy(),) for (row,) in small["test"].rows],
        [1 - w for w in small["test"].targets],
        [mark.max() - mark[::-1] for mark in small["test"].marks],
    )
    quick = Adaptation(learning_rates=(1e-3,), epochs=1, batch_size=16)
    trials = [
        words_adapted(model, {**small, "test": test}, quick).trials
        for test in (small["test"], other)
    ]
    assert trials[0] == trials[1]
