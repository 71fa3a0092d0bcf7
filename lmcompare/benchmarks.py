"""``python -m lmcompare.benchmarks``: our loop beside a plain one that calls the same class with ``labels=``.

Both train the same fresh network on the same batches of random tokens, in turns. The plain loop is what one writes
first: logits everywhere, the library's own attention for this class and its own loss, AdamW as torch has it, one
process with all cores. `lmcompare run` trains several networks side by side, each on its share of the cores: the last
line is what all of them read together, the one before it what as many plain loops do. Only ratios within one run on one
machine mean anything.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from lmcompare import networks, settings
from lmcompare.example import Special
from lmcompare.machine import ALLOCATOR, room_for, worker_environment
from lmcompare.networks import Tensors
from lmcompare.objectives import OBJECTIVES
from lmcompare.steps import Steps
from lmcompare.train import train

RATES: dict[str, dict[str, float]] = {
    "causal": {}, "masked": {"rate": 0.3}, "seq2seq": {"rate": 0.3, "mean_span": 6},
}  # fmt: skip
"""Settings of each objective other than its defaults: those of experiments/sentiment.yaml."""

SIZES = {"width": 128, "layers": 4, "vocabulary": 4096, "length": 128, "batch": 16, "steps": 40}


def special_ids(size: int, sentinels: int = 32) -> Special:
    """Return special ids as a vocabulary of our own has them."""
    first = 4 + sentinels
    return Special(0, 1, 2, 3, tuple(range(4, first)), np.arange(first, size), np.ones(size, dtype=bool))


def plain_seconds(kind: str, steps: Steps, network: settings.Network, special: Special, device: str) -> float:
    """Train with a plain loop; return seconds."""
    fresh = networks.build(network, steps.objective.role, special, seed=1)
    config = fresh.transformer.config
    for part in (config, getattr(config, "encoder", config), getattr(config, "decoder", config)):
        part._attn_implementation = "eager"
    model: Any = type(fresh.transformer)(config)
    model.to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    start = time.perf_counter()
    for step in range(len(steps)):
        for batch in steps[step]:
            tensors = Tensors.of(batch, device)
            arguments = {"input_ids": tensors.inputs, "labels": tensors.targets}
            if kind == "causal":
                # The class shifts its labels itself.
                arguments["labels"] = tensors.inputs
            if tensors.decoder_inputs is not None:
                arguments["decoder_input_ids"] = tensors.decoder_inputs
            model(**arguments).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return time.perf_counter() - start


def our_seconds(kind: str, steps: Steps, network: settings.Network, special: Special, device: str) -> float:
    """Train with our loop; return seconds, validation left out."""
    fresh = networks.build(network, steps.objective.role, special, seed=1)
    blocks = SimpleNamespace(train=steps.rows, validation=steps.rows[:1], unigram=np.zeros(len(special.word_starts)))
    with tempfile.TemporaryDirectory() as folder:
        trained = train(
            fresh, steps.objective, blocks, special, steps.training,
            shape=network, seed=steps.seed, folder=Path(folder), device=device,
        )  # fmt: skip
    return trained.currencies["seconds"]


def measure(loop: str, kind: str, size: dict[str, int], device: str) -> float:
    """Return the tokens a second of one loop ('ours' or 'plain') with one objective."""
    special = special_ids(size["vocabulary"])
    rng = np.random.default_rng(0)
    rows = [{"tokens": rng.choice(special.ordinary, size["length"])} for _ in range(64)]
    network = settings.Network(width=size["width"], layers=size["layers"], heads=4)
    training = settings.Training(
        tokens=size["steps"] * size["batch"] * size["length"], batch=size["batch"], evaluations=1, validation_blocks=1
    )
    time_of = our_seconds if loop == "ours" else plain_seconds
    objective = OBJECTIVES[kind](**RATES[kind])
    warm = Steps(rows, objective, special, replace(training, tokens=2 * size["batch"] * size["length"]), 1, False)
    time_of(kind, warm, network, special, device)
    return training.tokens / time_of(kind, replace(warm, training=training), network, special, device)


@dataclass(frozen=True)
class Way:
    """One line of the table: a loop, the environment of its process, and how many of these run side by side."""

    loop: str
    environment: dict[str, str]
    processes: int = 1

    def speed(self, kind: str, arguments: argparse.Namespace) -> float:
        """Measure in processes of their own, since the allocator is set before Python starts; return their sum."""
        command = [sys.executable, "-m", "lmcompare.benchmarks", "--loop", self.loop, "--kind", kind]
        for name in (*SIZES, "device"):
            command += [f"--{name}", str(getattr(arguments, name))]
        started = [
            subprocess.Popen(command, env=os.environ | self.environment, stdout=subprocess.PIPE, text=True)
            for _ in range(self.processes)
        ]
        said = [process.communicate()[0] for process in started]
        if any(process.returncode for process in started):
            raise SystemExit(f"{self.loop}, {kind}: a process failed; see above")
        return sum(float(line.splitlines()[-1]) for line in said)


def ways(device: str) -> dict[str, Way]:
    """Return the lines of the table by name."""
    workers = room_for(device)
    found = {
        "plain": Way("plain", {}),
        "plain, allocator set": Way("plain", ALLOCATOR),
        "ours": Way("ours", {}),
        "ours, allocator set": Way("ours", ALLOCATOR),
    }
    environment = worker_environment(workers, device)
    alone = {"OMP_NUM_THREADS": environment["OMP_NUM_THREADS"]}
    found[f"plain, {workers} side by side"] = Way("plain", alone, workers)
    return found | {f"`lmcompare run`: {workers} side by side, allocator set": Way("ours", environment, workers)}


def main() -> None:
    """Print a Markdown table: tokens a second of both loops, with and without the allocator's settings, and ratios."""
    parser = argparse.ArgumentParser(prog="python -m lmcompare.benchmarks", description=__doc__)
    for name, default in SIZES.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=3, help="the loops take turns so often; medians are shown")
    parser.add_argument("--loop", choices=["ours", "plain"], help=argparse.SUPPRESS)
    parser.add_argument("--kind", choices=list(RATES), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.loop:
        print(measure(arguments.loop, arguments.kind, vars(arguments), arguments.device))
        return
    every = ways(arguments.device)
    speeds: dict[str, dict[str, list[float]]] = {name: {kind: [] for kind in RATES} for name in every}
    for _ in range(arguments.repeats):
        for kind in RATES:
            for name, way in every.items():
                speeds[name][kind].append(way.speed(kind, arguments))
    print(_table(speeds, vars(arguments)))


def _table(speeds: dict[str, dict[str, list[float]]], size: dict[str, Any]) -> str:
    head = f"width {size['width']}, {size['layers']} layers, vocabulary {size['vocabulary']}, "
    head += f"{size['batch']} blocks of {size['length']} a step, {torch.get_num_threads()} threads, {size['device']}\n"
    lines = [head, "| loop | " + " | ".join(RATES) + " |", "|---|" + "---:|" * len(RATES)]
    for way, measured in speeds.items():
        cells = []
        for kind in RATES:
            # Paired by turn: a machine is faster at one time than at another.
            ratios = np.array(measured[kind]) / np.array(speeds["plain"][kind])
            cell = f"{np.median(measured[kind]):,.0f} tokens/s ({np.median(ratios):.2f}"
            cells.append(cell + (")" if way == "plain" else f"; {ratios.min():.2f} to {ratios.max():.2f})"))
        lines.append(f"| {way} | " + " | ".join(cells) + " |")
    said = "In brackets: the ratio to the plain loop of the same objective in the same turn, its median and its range."
    return "\n".join([*lines, "", said])


if __name__ == "__main__":
    main()
