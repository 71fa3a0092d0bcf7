"""``python -m lmcompare.benchmarks.training``: our loop beside a plain one that calls the same class with ``labels=``.

Both train the same fresh network on the same batches of random tokens. The plain loop is what one writes first: logits
everywhere, the library's own attention for this class and its own loss, AdamW as torch has it, one process with all
cores. `lmcompare run` trains several networks side by side, each on its share of the cores: its line is what all of
them read together, the one before it what as many plain loops do. All processes live at once and take turns of a few
steps, since a machine is faster at one time than at another. Only ratios within one run on one machine mean anything.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from lmcompare.core import settings
from lmcompare.core.example import SpecialTokens
from lmcompare.execution.machine import ALLOCATOR, default_workers, worker_environment
from lmcompare.models.network import BatchTensors, build_network
from lmcompare.objectives import OBJECTIVES
from lmcompare.training.batches import TrainingBatches, TrainingData
from lmcompare.training.loop import TrainingRun, train

RATES: dict[str, dict[str, float]] = {
    "causal": {}, "masked": {"rate": 0.3}, "seq2seq": {"rate": 0.3, "mean_span": 6},
}  # fmt: skip
"""Settings of each objective other than its defaults: those of experiments/sentiment.yaml."""

SIZES = {"width": 128, "layers": 4, "vocabulary": 4096, "length": 128, "batch": 16, "steps": 32}
LOOPS = ("plain", "ours", "compiled")
"""The last is ours with ``training.compile``."""
TURN = 4
"""Steps of a turn: short beside the moods of a machine, long beside the change from one process to the next."""
WARM = 3
"""Turns, the first among them, that are not counted: memory is touched for the first time, or torch compiles."""


def special_ids(size: int, sentinels: int = 32) -> SpecialTokens:
    """Return special ids as a vocabulary of our own has them."""
    first = 4 + sentinels
    return SpecialTokens(
        0, 1, 2, 3, tuple(range(4, first)), np.arange(first, size), np.ones(size, dtype=bool)
    )


def train_plainly(
    data: TrainingData,
    training: settings.TrainingSettings,
    network: settings.NetworkSettings,
    device: str,
) -> None:
    """Train with a plain loop."""
    # The same class, with the library's own attention.
    fresh = build_network(network, data.objective.role, data.special, seed=1)
    config = fresh.transformer.config
    for part in (config, getattr(config, "encoder", config), getattr(config, "decoder", config)):
        part._attn_implementation = "eager"
    model: Any = type(fresh.transformer)(config)
    model.to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    batches = TrainingBatches(data, training)
    for step in range(len(batches)):
        for batch in batches[step]:
            tensors = BatchTensors.of(batch, device)
            arguments = {"input_ids": tensors.inputs, "labels": tensors.targets}
            if data.objective.role == "decoder":
                # The class shifts its labels itself.
                arguments["labels"] = tensors.inputs
            if tensors.decoder_inputs is not None:
                arguments["decoder_input_ids"] = tensors.decoder_inputs
            model(**arguments).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()


def train_ours(
    data: TrainingData,
    training: settings.TrainingSettings,
    network: settings.NetworkSettings,
    device: str,
) -> None:
    """Train with our loop."""
    fresh = build_network(network, data.objective.role, data.special, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        run = TrainingRun(Path(folder), device)
        train(fresh, data, training, shape=network, run=run)


def train_in_turns(loop: str, kind: str, size: Mapping[str, int], device: str) -> None:
    """Train by one of the ``LOOPS``; after each turn, write a line and wait until one can be read."""
    special = special_ids(size["vocabulary"])
    rng = np.random.default_rng(0)
    rows = [{"tokens": rng.choice(special.ordinary, size["length"])} for _ in range(64)]
    unigram = np.zeros(len(special.word_starts))
    sequences = SimpleNamespace(train=rows, validation=rows[:1], unigram=unigram)
    data = TrainingData(sequences, OBJECTIVES[kind](**RATES[kind]), special, seed=1)
    network = settings.NetworkSettings(
        hidden_size=size["width"], num_layers=size["layers"], num_heads=4
    )
    # One turn more than is measured, so that validation, which only our loop has, never comes.
    steps = turns_in(size) * TURN + WARM * TURN + TURN
    training = settings.TrainingSettings(
        tokens=steps * size["batch"] * size["length"],
        batch_size=size["batch"],
        evaluations=1,
        validation_sequences=1,
        compile=loop == "compiled",
    )
    steps_done = 0

    def pause_after_a_turn(*_: Any) -> None:
        nonlocal steps_done
        steps_done += 1
        if steps_done % TURN == 0:
            if device != "cpu":
                torch.accelerator.synchronize()
            print("done", flush=True)
            sys.stdin.readline()

    with register_optimizer_step_post_hook(pause_after_a_turn):
        training_loop = train_plainly if loop == "plain" else train_ours
        training_loop(data, training, network, device)


def turns_in(size: Mapping[str, int]) -> int:
    """Return how many turns are counted: those that hold so many steps, one at least."""
    return max(1, size["steps"] // TURN)


@dataclass(frozen=True)
class LoopVariant:
    """One line of the table: a loop, the environment of its process, and how many of these run side by side."""

    loop: str
    environment: dict[str, str]
    processes: int = 1

    @contextmanager
    def started(
        self, kind: str, size: Mapping[str, Any]
    ) -> Iterator[list["subprocess.Popen[str]"]]:
        """Start processes of their own, since the allocator is set before Python starts; end them at the end."""
        command = [
            sys.executable,
            "-m",
            "lmcompare.benchmarks.training",
            "--loop",
            self.loop,
            "--kind",
            kind,
        ]
        for name in (*SIZES, "device"):
            command += [f"--{name}", str(size[name])]
        pipe = subprocess.PIPE
        started = [
            subprocess.Popen(
                command, env=os.environ | self.environment, stdin=pipe, stdout=pipe, text=True
            )
            for _ in range(self.processes)
        ]
        try:
            yield started
        finally:
            for process in started:
                process.kill()
                process.communicate()


def contest(
    every: Mapping[str, LoopVariant], kind: str, size: Mapping[str, Any]
) -> dict[str, float]:
    """Let all ways train in turns; return the tokens a second of each, over all turns that count.

    Raises:
        SystemExit: a process failed.
    """
    seconds = dict.fromkeys(every, 0.0)
    with ExitStack() as stack:
        started = {
            name: stack.enter_context(way.started(kind, size)) for name, way in every.items()
        }

        def wait(name: str) -> None:
            for process in started[name]:
                assert process.stdout is not None
                if process.stdout.readline() != "done\n":
                    raise SystemExit(f"{name}, {kind}: a process failed; see above")

        for name in every:
            wait(name)
        for turn in range(2 - WARM, turns_in(size) + 1):
            for name in list(every)[:: 1 if turn % 2 else -1]:
                start = time.perf_counter()
                for process in started[name]:
                    assert process.stdin is not None
                    process.stdin.write("go\n")
                    process.stdin.flush()
                wait(name)
                seconds[name] += (time.perf_counter() - start) * (turn > 0)
    tokens = turns_in(size) * TURN * size["batch"] * size["length"]
    return {name: way.processes * tokens / seconds[name] for name, way in every.items()}


def ways(device: str, compiling: bool = False) -> dict[str, LoopVariant]:
    """Return the lines of the table by name; ``compiling`` adds our loop with ``training.compile``."""
    workers = default_workers(device)
    found = {
        "plain": LoopVariant("plain", {}),
        "plain, allocator set": LoopVariant("plain", ALLOCATOR),
        "ours": LoopVariant("ours", {}),
        "ours, allocator set": LoopVariant("ours", ALLOCATOR),
    }
    environment = worker_environment(workers, device)
    alone = {"OMP_NUM_THREADS": environment["OMP_NUM_THREADS"]}
    found[f"plain, {workers} side by side"] = LoopVariant("plain", alone, workers)
    ours = f"`lmcompare run`: {workers} side by side, allocator set"
    found[ours] = LoopVariant("ours", environment, workers)
    if compiling:
        found["ours, allocator set, compiled"] = LoopVariant("compiled", ALLOCATOR)
        found[f"{ours}, compiled"] = LoopVariant("compiled", environment, workers)
    return found


def main() -> None:
    """Print a Markdown table: tokens a second of both loops, with and without the allocator's settings, and ratios."""
    parser = argparse.ArgumentParser(
        prog="python -m lmcompare.benchmarks.training", description=__doc__
    )
    for name, default in SIZES.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--repeats", type=int, default=3, help="how often all is done anew; medians are shown"
    )
    parser.add_argument(
        "--compile",
        action="store_true",
        help="also with training.compile, which needs a C++ compiler",
    )
    parser.add_argument("--loop", choices=LOOPS, help=argparse.SUPPRESS)
    parser.add_argument("--kind", choices=list(RATES), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    size = vars(arguments)
    if arguments.loop:
        train_in_turns(arguments.loop, arguments.kind, size, arguments.device)
        return
    every = ways(arguments.device, arguments.compile)
    speeds: dict[str, dict[str, list[float]]] = {
        name: {kind: [] for kind in RATES} for name in every
    }
    for _ in range(arguments.repeats):
        for kind in RATES:
            for name, speed in contest(every, kind, size).items():
                speeds[name][kind].append(speed)
    print(_table(speeds, size))


def _table(speeds: dict[str, dict[str, list[float]]], size: dict[str, Any]) -> str:
    head = f"width {size['width']}, {size['layers']} layers, vocabulary {size['vocabulary']}, "
    head += f"{size['batch']} blocks of {size['length']} a step, {torch.get_num_threads()} threads, {size['device']}\n"
    lines = [head, "| loop | " + " | ".join(RATES) + " |", "|---|" + "---:|" * len(RATES)]
    for way, measured in speeds.items():
        cells = []
        for kind in RATES:
            ratios = np.array(measured[kind]) / np.array(speeds["plain"][kind])
            cell = f"{np.median(measured[kind]):,.0f} tokens/s ({np.median(ratios):.2f}"
            cells.append(
                cell + (")" if way == "plain" else f"; {ratios.min():.2f} to {ratios.max():.2f})")
            )
        lines.append(f"| {way} | " + " | ".join(cells) + " |")
    said = "In brackets: the ratio to the plain loop of the same objective, its median and its range over the repeats."
    return "\n".join([*lines, "", said])


if __name__ == "__main__":
    main()
