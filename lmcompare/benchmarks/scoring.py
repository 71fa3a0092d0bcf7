"""``python -m lmcompare.benchmarks.scoring``: our scorer beside minicons and lm-evaluation-harness.

For each of ``--sizes``: the same random network, the same pairs, one tool after the other in one
process, several times; the best time counts. Only ratios within one run on one machine mean
anything. The peers are the optional group ``peers``; one that is not installed is left out with a
message.
"""

import argparse
import json
import resource
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
)

from lmcompare.benchmarks import markdown_table
from lmcompare.language_model import wrap

PEER_BATCHES = (16, 64, 256)
"""Batch sizes of the peers, of which the best counts. Ours has its default."""

PEERS = {"lm-evaluation-harness": "lm_eval.models.huggingface", "minicons": "minicons.scorer"}


@dataclass(frozen=True)
class Workload:
    """A network and what it scores; each field is an option of the command."""

    width: int
    layers: int
    vocabulary: int
    short: int
    """pairs of 4 to 12 words and 1 to 5, two completions a prompt"""
    long: int
    """pairs of 60 to 120 words and 1 to 5, eight completions a prompt"""


SIZES = {
    "tiny": Workload(64, 2, 4_096, 2_000, 800),
    "small": Workload(256, 6, 8_192, 240, 48),
    "gpt2": Workload(768, 12, 16_384, 48, 16),
}
"""The last has GPT-2's width and layers, with a smaller vocabulary."""

WORDS = (
    "the a of film was good bad dull long short story with an actor who played it well and never "
    "lost heart"
).split()


Pairs = tuple[list[str], list[str]]
"""Prompts, and the completion of each."""


@dataclass(frozen=True)
class Timing:
    """The best time of a tool, and its log-likelihoods in nats."""

    seconds: float
    log_likelihoods: list[float]


def train_tokenizer(vocab_size: int, *, bert: bool) -> Any:
    """Return a byte-level BPE tokenizer; ``bert``: it adds [CLS] and [SEP]."""
    rng = np.random.default_rng(0)
    letters = [chr(97 + i) for i in range(26)]
    lengths = (rng.integers(2, 9) for _ in range(2 * vocab_size))
    words = ["".join(rng.choice(letters, length)) for length in lengths] + WORDS
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=["<pad>", "<s>", "</s>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([" ".join(words)] * 2, trainer)
    if bert:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
        )
    roles = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "mask_token": "<mask>"}
    wrapper: Any = PreTrainedTokenizerFast  # untyped
    return wrapper(tokenizer_object=tokenizer, cls_token="<s>", sep_token="</s>", **roles)


def random_pairs(count: int, prompt_words: tuple[int, int], choices: int) -> Pairs:
    """Return prompts of so many words, each with ``choices`` completions of 1 to 5 words."""
    rng = np.random.default_rng(1)

    def text(least: int, most: int) -> str:
        return " ".join(rng.choice(WORDS, rng.integers(least, most + 1)))

    prompts = [text(*prompt_words) for _ in range(count // choices)]
    completions = [" " + text(1, 5) for _ in range(len(prompts) * choices)]
    return [prompt for prompt in prompts for _ in range(choices)], completions


def best_time(score: Callable[[], Sequence[float]], repeats: int) -> Timing:
    """Return the least seconds of several runs after one to warm up."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        log_likelihoods = list(score())
        times.append(time.perf_counter() - start)
    return Timing(min(times[1:]), log_likelihoods)


def peer(name: str) -> Any:
    """Return the module of a peer, or None if it is not installed."""
    try:
        return import_module(PEERS[name])
    except ImportError:
        return None


def time_pairs(workload: Workload, repeats: int) -> dict[str, dict[str, Timing]]:
    """Return the timing of each tool on 'short' and on 'long' pairs, by a causal network."""
    tokenizer = train_tokenizer(workload.vocabulary, bert=False)
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_embd=workload.width,
        n_layer=workload.layers,
        n_head=4,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    torch.manual_seed(0)
    model: Any = GPT2LMHeadModel(config)
    model.eval()
    pairs = {
        "short": random_pairs(workload.short, (4, 12), 2),
        "long": random_pairs(workload.long, (60, 120), 8),
    }
    return {
        kind: time_tools(model, tokenizer, *texts, repeats)
        for kind, texts in pairs.items()
        if texts[0]
    }


def time_tools(
    model: Any, tokenizer: Any, prompts: list[str], completions: list[str], repeats: int
) -> dict[str, Timing]:
    """Return the timing of each tool that is installed; ours comes first."""
    ours = wrap(model, tokenizer)

    def by_us() -> list[float]:
        return [score.sum for score in ours.log_likelihood(prompts, completions)]

    timings = {"ours": best_time(by_us, repeats)}
    if harness := peer("lm-evaluation-harness"):
        instance = import_module("lm_eval.api.instance").Instance
        requests = [
            instance("loglikelihood", {}, pair, i)
            for i, pair in enumerate(zip(prompts, completions, strict=True))
        ]

        def by_harness(lm: Any) -> list[float]:
            return [nats for nats, _ in lm.loglikelihood(requests, True)]

        lms = [
            harness.HFLM(pretrained=model, tokenizer=tokenizer, batch_size=size)
            for size in PEER_BATCHES
        ]
        runs = [best_time(partial(by_harness, lm), repeats) for lm in lms]
        timings["lm-evaluation-harness"] = min(runs, key=lambda timing: timing.seconds)
    if minicons := peer("minicons"):
        scorer = minicons.IncrementalLMScorer(model, "cpu", tokenizer=tokenizer)

        def by_minicons(size: int) -> list[float]:
            sums: list[float] = []
            for i in range(0, len(prompts), size):
                sums += scorer.conditional_score(
                    prompts[i : i + size],
                    [text[1:] for text in completions[i : i + size]],
                    reduction=lambda scores: scores.sum().item(),
                )
            return sums

        runs = [best_time(partial(by_minicons, size), repeats) for size in PEER_BATCHES]
        timings["minicons"] = min(runs, key=lambda timing: timing.seconds)
    return timings


def measure_pll(workload: Workload, repeats: int) -> dict[str, float]:
    """Score a sentence of 60 tokens by pseudo-log-likelihood.

    Returns:
        Tokens, seconds, positions of the widest forward pass, and growth of the process in KiB.
    """
    tokenizer = train_tokenizer(workload.vocabulary, bert=True)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=workload.width,
        num_hidden_layers=workload.layers,
        num_attention_heads=4,
        intermediate_size=4 * workload.width,
        pad_token_id=0,
    )
    model = wrap(BertForMaskedLM(config), tokenizer, batch_tokens=1024)
    widest = 0

    def record_width(_: Any, args: Any, kwargs: dict[str, Any]) -> None:
        nonlocal widest
        widest = max(widest, kwargs["input_ids"].numel())

    model.network.transformer.register_forward_pre_hook(record_width, with_kwargs=True)
    ids = model.tokenizer.encode(" ".join(WORDS * 9))[:60]
    text = model.tokenizer.decode(ids)

    def score() -> list[float]:
        return [model.log_likelihood([""], [text], method="pll-word-l2r")[0].sum]

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = best_time(score, repeats).seconds
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"tokens": len(ids), "seconds": seconds, "positions": widest, "grown_kib": grown}


def measure(workloads: Mapping[str, Workload], repeats: int) -> dict[str, Any]:
    """Return the workloads, the timing of each tool on each kind of pairs, and the PLL of each."""
    pairs = []
    for name, workload in workloads.items():
        for kind, timings in time_pairs(workload, repeats).items():
            ours = timings["ours"]
            for tool, timing in timings.items():
                apart = np.abs(np.subtract(timing.log_likelihoods, ours.log_likelihoods)).max()
                pairs.append(
                    {
                        "size": name,
                        "pairs": kind,
                        "count": len(ours.log_likelihoods),
                        "tool": tool,
                        "seconds": timing.seconds,
                        "slowdown": timing.seconds / ours.seconds,
                        "apart": float(apart),
                    }
                )
    pseudo = [{"size": name, **measure_pll(w, repeats)} for name, w in workloads.items()]
    sizes = {name: asdict(workload) for name, workload in workloads.items()}
    return {"sizes": sizes, "pairs": pairs, "pseudo": pseudo}


def report(measured: Mapping[str, Any]) -> str:
    """Return what ``measure`` measured as a Markdown table and a line for each PLL."""
    rows = [
        {
            "size": row["size"],
            "width x layers": "{width} x {layers}".format(**measured["sizes"][row["size"]]),
            "pairs": f"{row['count']} {row['pairs']}",
            "tool": row["tool"],
            "seconds": f"{row['seconds']:.2f}",
            "a second": f"{row['count'] / row['seconds']:,.0f}",
            "ours is": f"{row['slowdown']:.2f} times as fast",
            "largest difference, nats": f"{row['apart']:.1e}",
        }
        for row in measured["pairs"]
    ]
    lines = [
        "{size}: PLL (word-l2r) of a sentence of {tokens} tokens at batch_tokens=1024: "
        "{seconds:.3f} s, at most {positions} positions a pass, the process grew by "
        "{grown_kib} KiB".format(**row)
        for row in measured["pseudo"]
    ]
    threads = torch.get_num_threads()
    head = f"GPT-2 at each size, {threads} threads; peers: best of batches {PEER_BATCHES}\n"
    return "\n".join([head, markdown_table(rows), "", *lines])


def main() -> None:
    """Print pairs per second of each tool, and the memory of a pseudo-log-likelihood."""
    parser = argparse.ArgumentParser(
        prog="python -m lmcompare.benchmarks.scoring", description=__doc__
    )
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["tiny"], help="default: tiny")
    names = [field.name for field in fields(Workload)]
    for name in names:
        parser.add_argument(f"--{name}", type=int, help=f"instead of the {name} of each size")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = vars(parser.parse_args())
    changes = {name: options[name] for name in names if options[name] is not None}
    warnings.simplefilter("ignore")
    for tool in PEERS:
        if peer(tool) is None:
            print(f"{tool} is not installed: pip install lmcompare[peers]", file=sys.stderr)
    workloads = {name: replace(SIZES[name], **changes) for name in options["sizes"]}
    measured = measure(workloads, options["repeats"])
    print(json.dumps(measured) if options["json"] else report(measured))


if __name__ == "__main__":
    main()
