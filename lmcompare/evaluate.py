"""The work of one cell: prepare the data, pretrain a network, or measure one on a task; outcomes become records."""

import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.utils import logging as transformers_logging

from lmcompare import __version__, baselines, metrics, networks, settings
from lmcompare.adapt import Adapted, Texts, finetune
from lmcompare.blocks import Blocks, build_blocks
from lmcompare.budget import peak_memory, reset_peak_memory
from lmcompare.corpora import Corpus, Labelled, build_corpus
from lmcompare.example import Ids
from lmcompare.judge import Trigram
from lmcompare.model import LanguageModel
from lmcompare.objectives import Objective
from lmcompare.records import Record, Run
from lmcompare.settings import plain
from lmcompare.tasks.bench import Measurement, Outcome
from lmcompare.tasks.classification import labels_of
from lmcompare.train import Progress, train
from lmcompare.vocabulary import Vocabulary, build_vocabulary

GATE = 0.3
"""Nats per target by which the validation loss must lie below the unigram loss, else context was not learnt."""

LIBRARIES = ("accelerate", "datasets", "evaluate", "numpy", "scikit-learn", "tokenizers", "torch", "transformers")


class Experiment(Protocol):
    """What the work of a cell reads of an experiment; see ``experiment.Experiment``."""

    name: str
    corpus: settings.Corpus
    vocabulary: settings.Vocabulary
    blocks: settings.Blocks
    training: settings.Training
    arms: Any
    tasks: Any

    def network_of(self, arm: str) -> settings.Network:
        """Return the sizes of an arm's network."""

    def training_of(self, arm: str) -> settings.Training:
        """Return how an arm is trained."""


class Cell(Protocol):
    """What the work reads of a cell; see ``cells.Cell``."""

    name: str
    kind: str
    arm: str
    seed: int
    task: str
    condition: str
    needs: tuple[str, ...]
    key: str


@dataclass(frozen=True)
class Place:
    """Where a cell does its work.

    Attributes:
        cache: root of the cache.
        folders: of the finished cells that this one needs, by name.
        folder: where this cell puts weights and checkpoints.
        device: 'cpu', 'cuda', or None for the best there is.
        progress: is told {"done", "total", "stage", "loss", "tokens_per_second"}.
        trackers: names that accelerate knows.
        workers: processes that work side by side on this machine.
    """

    cache: Path
    folders: dict[str, Path]
    folder: Path
    device: str | None = None
    progress: Progress = lambda event: None
    trackers: tuple[str, ...] = ()
    workers: int = 1


@dataclass(frozen=True)
class Data:
    """The shared pipeline's result, read from the cache."""

    corpus: Corpus
    vocabulary: Vocabulary
    blocks: Blocks

    @classmethod
    def of(cls, experiment: Experiment, folder: Path) -> "Data":
        """Build what is not in the cache yet."""
        corpus = build_corpus(experiment.corpus, folder)
        vocabulary = build_vocabulary(corpus, experiment.vocabulary, folder)
        return cls(corpus, vocabulary, build_blocks(corpus, vocabulary, experiment.blocks, folder))


@dataclass
class Tools:
    """The Bench that tasks are given: see ``tasks.bench.Bench``."""

    data: Data
    model: Any
    seed: int
    context: int
    budget: int
    progress: Callable[[dict[str, Any]], None]
    _metrics: dict[str, Any] = field(default_factory=dict)

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        """Return the tokens of each text, in the shared vocabulary."""
        return [np.array(row, dtype=np.int64) for row in self.data.vocabulary.encode_batch(list(texts))]

    def decode(self, rows: Sequence[Ids]) -> list[str]:
        """Return the text of each row of tokens."""
        return [self.data.vocabulary.decode(row.tolist()) for row in rows]

    def byte_length(self, tokens: Ids) -> int:
        """Return how many UTF-8 bytes the tokens stand for; a byte-level token has one character a byte."""
        return sum(map(len, self.data.vocabulary.tokenizer.convert_ids_to_tokens(tokens.tolist())))

    def test_documents(self) -> Any:
        """Return the held-out documents of the corpus."""
        return self.data.corpus.test

    def finetune(self, data: Labelled, rows: dict[str, list[Ids]], adaptation: settings.Adaptation) -> Adapted:
        """Adapt the model and answer the test items."""
        parts = {name: Texts(rows[name], labels_of(getattr(data, name))) for name in ("train", "validation", "test")}
        return finetune(
            self.model,
            **parts,
            classes=len(data.labels),
            adaptation=adaptation,
            seed=self.seed,
            progress=self.progress,
        )

    def metric(self, name: str, **inputs: Any) -> dict[str, float]:
        """Compute one of ``metrics.METRICS``."""
        if name not in self._metrics:
            self._metrics[name] = metrics.load(name)
        found: dict[str, float] = self._metrics[name].compute(**inputs)
        return found

    def unigram(self) -> NDArray[np.float64]:
        """Return log p (nats) of each id in the train split."""
        return self.data.blocks.unigram

    def judge(self) -> Trigram:
        """Return the n-gram model of the train split."""
        return self._judge

    def trigram(self) -> Trigram:
        """Return the n-gram model of as many tokens of the train split as each network reads."""
        return Trigram.of_rows(self.data.blocks.train, self.data.vocabulary.size, tokens=self.budget)

    @cached_property
    def _judge(self) -> Trigram:
        return Trigram.of_rows(self.data.blocks.train, self.data.vocabulary.size)

    def tfidf(self, data: Labelled) -> tuple[NDArray[np.float64], NDArray[np.float64], dict[str, Any]]:
        """Fit the linear control."""
        pairs = {
            name: ([item.text for item in getattr(data, name)], labels_of(getattr(data, name)).tolist())
            for name in ("train", "validation")
        }
        return baselines.tfidf(pairs["train"], pairs["validation"], [item.text for item in data.test])

    def majority(self, data: Labelled, split: str) -> NDArray[np.float64]:
        """Return what the majority control says of each item of a split."""
        return baselines.majority(labels_of(data.train).tolist(), len(data.labels), len(getattr(data, split)))


def perform(experiment: Experiment, cell: Cell, place: Place) -> tuple[Run, list[Record]]:
    """Do the work of ``cell``.

    Raises:
        InputError: the settings do not fit the data.
        LmcompareError: the work failed.
        KeyboardInterrupt: after a checkpoint was saved.
    """
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    place.progress({"done": 0, "total": 1, "stage": "reading the corpus"})
    data = Data.of(experiment, place.cache)
    reset_peak_memory()
    start = time.perf_counter()
    run, outcomes = WORK[cell.kind](experiment, cell, place, data)
    seconds = time.perf_counter() - start
    fingerprints = {
        "source": experiment.corpus.source.fingerprint(),  # type: ignore[attr-defined]
        "corpus": data.corpus.fingerprint,
        "vocabulary": data.vocabulary.fingerprint,
        "blocks": data.blocks.fingerprint,
    }
    run = replace(
        run,
        fingerprints=fingerprints | run.fingerprints,
        currencies={
            "seconds": seconds,
            **run.currencies,
            "peak_memory_bytes": run.currencies.get("peak_memory_bytes", peak_memory()),
            "threads": float(torch.get_num_threads()),
            "workers": float(place.workers),
        },
        versions={"python": platform.python_version(), "lmcompare": __version__}
        | {name: version(name) for name in LIBRARIES},
        machine=machine(place.device),
    )
    records = [
        Record(
            experiment.name,
            outcome.arm or cell.arm,
            cell.seed,
            cell.task or "pretraining",
            cell.condition or "pretrained",
            outcome.split,
            outcome.item,
            outcome.metric,
            float(outcome.value),
            outcome.exactness,
        )
        for outcome in outcomes
    ]
    return run, records


def _prepare(experiment: Experiment, cell: Cell, place: Place, data: Data) -> tuple[Run, list[Outcome]]:
    counts = {**data.corpus.counts, **data.blocks.counts, "vocabulary": data.vocabulary.size}
    return _run(experiment, cell, notes={"counts": counts}), []


def _pretrain(experiment: Experiment, cell: Cell, place: Place, data: Data) -> tuple[Run, list[Outcome]]:
    network_settings, training = experiment.network_of(cell.arm), experiment.training_of(cell.arm)
    model = fresh(experiment, cell, data)
    objective = model.objective
    trained = train(
        model.network,
        objective,
        data.blocks,
        data.vocabulary.special,
        training,
        shape=network_settings,
        seed=cell.seed,
        isolated=experiment.blocks.documents == "isolated",
        folder=place.folder,
        device=place.device,
        trackers=place.trackers,
        name=f"{experiment.name}-{cell.name}".replace("/", "-"),
        progress=place.progress,
    )
    model.save_pretrained(place.folder / "weights")
    margin = trained.gate["unigram"] - trained.gate["loss"]
    currencies = {**model.network.parameters_counted(), **trained.currencies}
    notes = {
        "objective": objective.kind,
        "role": objective.role,
        "family": objective.family,
        "exactness": objective.exactness,
        "gate": {**trained.gate, "margin": margin, "wanted": GATE, "passed": margin >= GATE},
        "target_share": trained.currencies["targets"] / trained.currencies["corpus_tokens"],
    }
    config = {
        "objective": plain(objective),
        "network": asdict(network_settings),
        "training": asdict(training),
    }
    last = [point for point in trained.curve if point["split"] == "validation"][-1]
    values = {"loss": last["loss"], "text_loss": last["text_loss"], "unigram_loss": last["unigram"], "margin": margin}
    outcomes = [Outcome(metric, value, split="validation") for metric, value in values.items()]
    run = _run(experiment, cell, config=config, currencies=currencies, curve=trained.curve, notes=notes)
    return run, outcomes


def _measure(experiment: Experiment, cell: Cell, place: Place, data: Data) -> tuple[Run, list[Outcome]]:
    if cell.condition == "scratch":
        model = fresh(experiment, cell, data)
    else:
        (folder,) = (path for name, path in place.folders.items() if name.startswith("pretrain/"))
        model = LanguageModel.from_pretrained(folder / "weights")
    model.network.to(_device(place.device))
    tools = Tools(data, model, cell.seed, experiment.blocks.length, experiment.training.tokens, place.progress)
    return _measured(experiment, cell, experiment.tasks[cell.task].measure(tools), {"role": model.objective.role})


def _control(experiment: Experiment, cell: Cell, place: Place, data: Data) -> tuple[Run, list[Outcome]]:
    tools = Tools(data, None, cell.seed, experiment.blocks.length, experiment.training.tokens, place.progress)
    return _measured(experiment, cell, experiment.tasks[cell.task].control(tools), {})


def _measured(
    experiment: Experiment, cell: Cell, measurement: Measurement, notes: dict[str, Any]
) -> tuple[Run, list[Outcome]]:
    task = experiment.tasks[cell.task]
    said = ("kind", "primary_metric", "better", "family", "conditions", "smallest_effect")
    about = {name: getattr(task, name) for name in said}
    run = _run(
        experiment,
        cell,
        currencies=measurement.currencies,
        samples=measurement.samples,
        fingerprints=measurement.fingerprints,
        notes={**notes, **measurement.notes, "task": {**about, "description": task.describe()}},
    )
    return run, measurement.outcomes


WORK = {"prepare": _prepare, "pretrain": _pretrain, "task": _measure, "control": _control}


def fresh(experiment: Experiment, cell: Cell, data: Data) -> LanguageModel:
    """Return the cell's network before any training; pretraining and the 'scratch' control start from the same."""
    objective: Objective = experiment.arms[cell.arm].objective
    network = networks.build(experiment.network_of(cell.arm), objective.role, data.vocabulary.special, seed=cell.seed)
    return LanguageModel(network, data.vocabulary, objective)


def _run(experiment: Experiment, cell: Cell, **fields: Any) -> Run:
    start = Run(experiment.name, cell.name, cell.key, cell.arm, cell.seed, cell.task, cell.condition, config={})
    return replace(start, **fields)


def _device(device: str | None) -> str:
    return device or ("cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu")


@cache
def machine(device: str | None) -> dict[str, str]:
    """Return what the report says of the machine."""
    chosen = _device(device)
    name = torch.cuda.get_device_name() if chosen.startswith("cuda") else platform.processor() or platform.machine()
    if chosen == "cpu" and Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    return {"device": chosen, "processor": name, "cores": str(os.cpu_count()), "system": platform.system()}
