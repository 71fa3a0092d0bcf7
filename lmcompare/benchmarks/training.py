"""``python -m lmcompare.benchmarks.training``: our training loop beside a plain loop.

Both train the same fresh network on the same batches of random tokens. The plain loop is what one
writes first: logits of all positions, the library's eager attention and its own loss (``labels=``),
AdamW with torch's defaults, one process with all cores. ``lmcompare run`` trains several networks
side by side, each on its share of the cores: its line is their total, and the line before it that
of as many plain loops. All processes live at once and take turns of a few steps, since the speed of
a machine varies. Only ratios within one run on one machine mean anything.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from lmcompare.benchmarks import markdown_table
from lmcompare.core import settings
from lmcompare.core.example import SpecialTokens
from lmcompare.execution.machine import ALLOCATOR, default_workers, worker_environment
from lmcompare.models.network import BatchTensors, build_network
from lmcompare.objectives import OBJECTIVES
from lmcompare.training.batches import TrainingBatches, TrainingData
from lmcompare.training.loop import TrainingRun, train

OBJECTIVE_SETTINGS: dict[str, dict[str, float]] = {
    "causal": {},
    "masked": {"mask_rate": 0.3},
    "seq2seq": {"corruption_rate": 0.3, "mean_span_length": 6},
}
"""Settings of each objective: those of experiments/sentiment.yaml."""

LOOPS = ("plain", "ours", "compiled")
"""The last is ours with ``training.compile``."""

STEPS_PER_TURN = 4
"""Short beside the variation of a machine's speed, long beside the change of processes."""

WARMUP_TURNS = 3
"""Turns that are not measured: memory is touched for the first time, or torch compiles."""


@dataclass(frozen=True)
class Workload:
    """What every loop trains, and where; each field is an option of the command."""

    width: int = 128
    layers: int = 4
    vocabulary: int = 4096
    length: int = 128
    batch: int = 16
    steps: int = 32
    device: str = "cpu"

    @property
    def turns(self) -> int:
        """Measured turns."""
        return max(1, self.steps // STEPS_PER_TURN)

    @property
    def tokens(self) -> int:
        """Tokens of all measured turns."""
        return self.turns * STEPS_PER_TURN * self.batch * self.length


def special_tokens(vocab_size: int, sentinels: int = 32) -> SpecialTokens:
    """Return special tokens with the ids that a tokenizer of ours has."""
    first = 4 + sentinels
    ordinary, word_starts = np.arange(first, vocab_size), np.ones(vocab_size, dtype=bool)
    return SpecialTokens(0, 1, 2, 3, tuple(range(4, first)), ordinary, word_starts)


def train_plainly(
    data: TrainingData,
    training: settings.TrainingSettings,
    network: settings.NetworkSettings,
    device: str,
) -> None:
    """Train with a plain loop."""
    # The same class, with the library's eager attention.
    ours = build_network(network, data.objective.role, data.special, seed=1)
    config = ours.transformer.config
    for part in (config, getattr(config, "encoder", config), getattr(config, "decoder", config)):
        part._attn_implementation = "eager"
    model: Any = type(ours.transformer)(config)
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
    ours = build_network(network, data.objective.role, data.special, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        train(ours, data, training, shape=network, run=TrainingRun(Path(folder), device))


def train_in_turns(loop: str, kind: str, workload: Workload) -> None:
    """Train by one of the ``LOOPS``; after each turn, print 'done' and wait for a line of input."""
    special = special_tokens(workload.vocabulary)
    rng = np.random.default_rng(0)
    rows = [{"tokens": rng.choice(special.ordinary, workload.length)} for _ in range(64)]
    unigram = np.zeros(workload.vocabulary)
    sequences = SimpleNamespace(train=rows, validation=rows[:1], unigram=unigram)
    data = TrainingData(sequences, OBJECTIVES[kind](**OBJECTIVE_SETTINGS[kind]), special, seed=1)
    network = settings.NetworkSettings(
        hidden_size=workload.width, num_layers=workload.layers, num_heads=4
    )
    # One turn more than is measured: validation, which only our loop has, is never reached.
    steps = (workload.turns + WARMUP_TURNS + 1) * STEPS_PER_TURN
    training = settings.TrainingSettings(
        tokens=steps * workload.batch * workload.length,
        batch_size=workload.batch,
        evaluations=1,
        validation_sequences=1,
        compile=loop == "compiled",
    )
    steps_done = 0

    def pause_after_a_turn(*_: Any) -> None:
        nonlocal steps_done
        steps_done += 1
        if steps_done % STEPS_PER_TURN == 0:
            if workload.device != "cpu":
                torch.accelerator.synchronize()
            print("done", flush=True)
            sys.stdin.readline()

    with register_optimizer_step_post_hook(pause_after_a_turn):
        training_loop = train_plainly if loop == "plain" else train_ours
        training_loop(data, training, network, workload.device)


@dataclass(frozen=True)
class LoopVariant:
    """A row of the table: a loop, its environment variables, and how many run side by side."""

    loop: str
    environment: dict[str, str]
    processes: int = 1

    @contextmanager
    def started(self, kind: str, workload: Workload) -> Iterator[list["subprocess.Popen[str]"]]:
        """Start the processes, since the allocator is set before Python starts; end them."""
        module = [sys.executable, "-m", "lmcompare.benchmarks.training"]
        options = [f"--{name}={value}" for name, value in asdict(workload).items()]
        command = [*module, f"--loop={self.loop}", f"--kind={kind}", *options]
        environment, pipe = os.environ | self.environment, subprocess.PIPE
        processes = [
            subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True)
            for _ in range(self.processes)
        ]
        try:
            yield processes
        finally:
            for process in processes:
                process.kill()
                process.communicate()


def measure(variants: Mapping[str, LoopVariant], kind: str, workload: Workload) -> dict[str, float]:
    """Let all variants train in turns; return the tokens per second of each.

    Raises:
        SystemExit: a process failed.
    """
    seconds = dict.fromkeys(variants, 0.0)
    with ExitStack() as stack:
        processes = {
            name: stack.enter_context(variant.started(kind, workload))
            for name, variant in variants.items()
        }

        def wait(name: str) -> None:
            for process in processes[name]:
                assert process.stdout is not None
                if process.stdout.readline() != "done\n":
                    raise SystemExit(f"{name}, {kind}: a process failed; see above")

        # The first warm-up turn begins by itself.
        for name in variants:
            wait(name)
        for turn in range(2 - WARMUP_TURNS, workload.turns + 1):
            for name in list(variants)[:: 1 if turn % 2 else -1]:
                start = time.perf_counter()
                for process in processes[name]:
                    assert process.stdin is not None
                    process.stdin.write("go\n")
                    process.stdin.flush()
                wait(name)
                seconds[name] += (time.perf_counter() - start) * (turn > 0)
    return {
        name: variant.processes * workload.tokens / seconds[name]
        for name, variant in variants.items()
    }


def loop_variants(device: str, compiling: bool = False) -> dict[str, LoopVariant]:
    """Return the rows of the table by name; ``compiling`` adds our loop with ``compile``."""
    workers = default_workers(device)
    environment = worker_environment(workers, device)
    share = {"OMP_NUM_THREADS": environment["OMP_NUM_THREADS"]}
    ours = f"`lmcompare run`: {workers} side by side, allocator set"
    variants = {
        "plain": LoopVariant("plain", {}),
        "plain, allocator set": LoopVariant("plain", ALLOCATOR),
        "ours": LoopVariant("ours", {}),
        "ours, allocator set": LoopVariant("ours", ALLOCATOR),
        f"plain, {workers} side by side": LoopVariant("plain", share, workers),
        ours: LoopVariant("ours", environment, workers),
    }
    if compiling:
        variants["ours, allocator set, compiled"] = LoopVariant("compiled", ALLOCATOR)
        variants[f"{ours}, compiled"] = LoopVariant("compiled", environment, workers)
    return variants


def table(speeds: Mapping[str, Mapping[str, list[float]]], workload: Workload) -> str:
    """Return the speeds of each variant and objective, one a repeat, as a Markdown table."""
    head = f"width {workload.width}, {workload.layers} layers, vocabulary {workload.vocabulary}, "
    head += f"{workload.batch} sequences of {workload.length} a step, "
    head += f"{torch.get_num_threads()} threads, {workload.device}\n"
    rows = []
    for name, measured in speeds.items():
        cells = {"loop": name}
        for kind in OBJECTIVE_SETTINGS:
            # A repeat is compared with the plain loop of the same repeat.
            ratios = np.array(measured[kind]) / np.array(speeds["plain"][kind])
            spread = "" if name == "plain" else f"; {ratios.min():.2f} to {ratios.max():.2f}"
            speed = f"{np.median(measured[kind]):,.0f} tokens/s"
            cells[kind] = f"{speed} ({np.median(ratios):.2f}{spread})"
        rows.append(cells)
    note = "In brackets: the ratio to the plain loop, its median and its range over the repeats."
    return "\n".join([head, markdown_table(rows), "", note])


def main() -> None:
    """Print a Markdown table of tokens per second and ratios to the plain loop."""
    parser = argparse.ArgumentParser(
        prog="python -m lmcompare.benchmarks.training", description=__doc__
    )
    for field in fields(Workload):
        parser.add_argument(f"--{field.name}", type=type(field.default), default=field.default)
    parser.add_argument("--repeats", type=int, default=3, help="of everything; medians are shown")
    parser.add_argument("--compile", action="store_true", help="also with training.compile")
    parser.add_argument("--loop", choices=LOOPS, help=argparse.SUPPRESS)
    parser.add_argument("--kind", choices=list(OBJECTIVE_SETTINGS), help=argparse.SUPPRESS)
    options = vars(parser.parse_args())
    workload = Workload(**{field.name: options[field.name] for field in fields(Workload)})
    if options["loop"]:
        train_in_turns(options["loop"], options["kind"], workload)
        return
    variants = loop_variants(workload.device, options["compile"])
    speeds: dict[str, dict[str, list[float]]] = {
        name: {kind: [] for kind in OBJECTIVE_SETTINGS} for name in variants
    }
    for _ in range(options["repeats"]):
        for kind in OBJECTIVE_SETTINGS:
            for name, speed in measure(variants, kind, workload).items():
                speeds[name][kind].append(speed)
    print(table(speeds, workload))


if __name__ == "__main__":
    main()
