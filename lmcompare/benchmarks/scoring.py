"""``python -m lmcompare.benchmarks.scoring``: our scorer beside minicons and lm-evaluation-harness, in one process.

For each of ``--sizes``: the same random network, the same items, one tool after the other, several times; each is
credited with its best time. Only ratios within one run on one machine mean anything. The peers are the optional group
``peers``; one that is not installed is left out and said so.
"""

import argparse
import json
import resource
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
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

from lmcompare.language_model import wrap

BATCHES = (16, 64, 256)
"""Batch sizes that the peers are tried with; each is credited with its best. Ours is left at its default."""


@dataclass(frozen=True)
class NetworkSize:
    """A network, and how much it is asked.

    Attributes:
        width: of the states.
        layers: blocks.
        vocabulary: ids.
        short: pairs of 4 to 12 words and 1 to 5, two completions a prompt.
        long: pairs of 60 to 120 words and 1 to 5, eight completions a prompt.
    """

    width: int
    layers: int
    vocabulary: int
    short: int
    long: int


SIZES = {
    "tiny": NetworkSize(64, 2, 4_096, 2_000, 800),
    "small": NetworkSize(256, 6, 8_192, 240, 48),
    "gpt2": NetworkSize(768, 12, 16_384, 48, 16),
}
"""The named sizes; the last has GPT-2's width and layers, with fewer ids."""

WORDS = "the a of film was good bad dull long short story with an actor who played it well and never lost heart".split()


def tokenizer_of(size: int, *, framed: bool) -> Any:
    """Return a byte-level tokenizer; ``framed``: with [CLS], [SEP] and [MASK]."""
    rng = np.random.default_rng(0)
    letters = [chr(97 + i) for i in range(26)]
    words = ["".join(rng.choice(letters, rng.integers(2, 9))) for _ in range(2 * size)] + WORDS
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<pad>", "<s>", "</s>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([" ".join(words)] * 2, trainer)
    if framed:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
        )
    roles = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "mask_token": "<mask>"}
    wrapper: Any = PreTrainedTokenizerFast  # untyped
    return wrapper(tokenizer_object=tokenizer, cls_token="<s>", sep_token="</s>", **roles)


def items(count: int, words: tuple[int, int], choices: int) -> tuple[list[str], list[str]]:
    """Return prompts of so many words, ``choices`` completions of 1 to 5 words sharing each."""
    rng = np.random.default_rng(1)
    prompts = [
        " ".join(rng.choice(WORDS, rng.integers(words[0], words[1] + 1)))
        for _ in range(count // choices)
    ]
    completions = [
        " " + " ".join(rng.choice(WORDS, rng.integers(1, 6)))
        for _ in range(count // choices * choices)
    ]
    return [prompt for prompt in prompts for _ in range(choices)], completions


def best(work: Callable[[], Sequence[float]], repeats: int) -> tuple[float, list[float]]:
    """Return the least seconds of several runs, after one to warm up on, and what was found."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        found = list(work())
        times.append(time.perf_counter() - start)
    return min(times[1:]), found


def peer(name: str) -> Any:
    """Return a peer's module, or None if it is not installed."""
    try:
        return import_module(name)
    except ImportError:
        return None


def pairs_by(size: NetworkSize, repeats: int) -> dict[str, dict[str, tuple[float, list[float]]]]:
    """Score short and long pairs by a causal network; return seconds and sums of nats of each tool for each kind."""
    tokenizer = tokenizer_of(size.vocabulary, framed=False)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_embd=size.width, n_layer=size.layers, n_head=4, bos_token_id=1, eos_token_id=2,
        pad_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    model: Any = GPT2LMHeadModel(config)
    model.eval()
    asked = {"short": items(size.short, (4, 12), 2), "long": items(size.long, (60, 120), 8)}
    return {
        kind: _by_each(model, tokenizer, *pairs, repeats)
        for kind, pairs in asked.items()
        if pairs[0]
    }


def _by_each(
    model: Any, tokenizer: Any, prompts: list[str], completions: list[str], repeats: int
) -> dict[str, tuple[float, list[float]]]:
    ours = wrap(model, tokenizer)
    found = {
        "ours": best(
            lambda: [one.sum for one in ours.log_likelihood(prompts, completions)], repeats
        )
    }
    if huggingface := peer("lm_eval.models.huggingface"):
        instance = import_module("lm_eval.api.instance").Instance
        asked = [
            instance("loglikelihood", {}, pair, i)
            for i, pair in enumerate(zip(prompts, completions, strict=True))
        ]

        def by_harness(batch: int) -> tuple[float, list[float]]:
            harness = huggingface.HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch)
            return best(lambda: [nats for nats, _ in harness.loglikelihood(asked, True)], repeats)

        found["lm-evaluation-harness"] = min(by_harness(batch) for batch in BATCHES)
    if minicons := peer("minicons.scorer"):
        scorer = minicons.IncrementalLMScorer(model, "cpu", tokenizer=tokenizer)

        def by_minicons(batch: int) -> list[float]:
            sums: list[float] = []
            for i in range(0, len(prompts), batch):
                sums += scorer.conditional_score(
                    prompts[i : i + batch], [text[1:] for text in completions[i : i + batch]],
                    reduction=lambda scores: scores.sum().item(),
                )  # fmt: skip
            return sums

        found["minicons"] = min(best(partial(by_minicons, batch), repeats) for batch in BATCHES)
    return found


def pseudo(size: NetworkSize, repeats: int) -> dict[str, float]:
    """Score one sentence of 60 tokens by its pseudo-log-likelihood; return seconds and positions of the widest pass."""
    tokenizer = tokenizer_of(size.vocabulary, framed=True)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=size.width, num_hidden_layers=size.layers, num_attention_heads=4,
        intermediate_size=4 * size.width, pad_token_id=0,
    )  # fmt: skip
    model = wrap(BertForMaskedLM(config), tokenizer, batch_tokens=1024)
    widest = 0

    def watch(_: Any, args: Any, kwargs: dict[str, Any]) -> None:
        nonlocal widest
        widest = max(widest, kwargs["input_ids"].numel())

    model.network.transformer.register_forward_pre_hook(watch, with_kwargs=True)
    ids = model.tokenizer.encode(" ".join(WORDS * 9))[:60]
    text = model.tokenizer.decode(ids)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds, _ = best(
        lambda: [model.log_likelihood([""], [text], method="pll-word-l2r")[0].sum], repeats
    )
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"tokens": len(ids), "seconds": seconds, "positions": widest, "grown_kib": grown}


def main() -> None:
    """Print a Markdown table: pairs a second of each tool and our ratio to it; then the pseudo-likelihood's memory."""
    parser = argparse.ArgumentParser(
        prog="python -m lmcompare.benchmarks.scoring", description=__doc__
    )
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["tiny"], help="default: tiny")
    for name in NetworkSize.__dataclass_fields__:
        parser.add_argument(f"--{name}", type=int, help=f"of each size, instead of its own {name}")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = vars(parser.parse_args())
    changed = {
        name: arguments[name]
        for name in NetworkSize.__dataclass_fields__
        if arguments[name] is not None
    }
    warnings.simplefilter("ignore")
    made: list[dict[str, Any]] = []
    memory: list[dict[str, Any]] = []
    tools: set[str] = set()
    if not arguments["json"]:
        print(
            f"GPT-2 at each size, {torch.get_num_threads()} threads; peers: best of batches {BATCHES}\n"
        )
        print(
            "| size | width x layers | pairs | tool | seconds | a second | ours is | largest difference, nats |"
        )
        print("|---|---:|---|---|---:|---:|---:|---:|")
    for name in arguments["sizes"]:
        size = replace(SIZES[name], **changed)
        for kind, found in pairs_by(size, arguments["repeats"]).items():
            base, ours = found["ours"]
            for tool, (seconds, sums) in found.items():
                tools.add(tool)
                apart = float(np.abs(np.array(sums) - ours).max())
                made.append(
                    {"size": name, "pairs": kind, "tool": tool, "seconds": seconds, "apart": apart}
                )
                if not arguments["json"]:
                    print(
                        f"| {name} | {size.width} x {size.layers} | {len(sums)} {kind} | {tool} | {seconds:.2f} | "
                        f"{len(sums) / seconds:,.0f} | {seconds / base:.2f} times as fast | {apart:.1e} |",
                        flush=True,
                    )
        memory.append({"size": name, **pseudo(size, arguments["repeats"])})
    if arguments["json"]:
        sizes = {name: asdict(replace(SIZES[name], **changed)) for name in arguments["sizes"]}
        print(json.dumps({"sizes": sizes, "pairs": made, "pseudo": memory}))
        return
    for tool in {"lm-evaluation-harness", "minicons"} - tools:
        print(f"{tool} is not installed: pip install lmcompare[peers]", file=sys.stderr)
    print()
    for one in memory:
        print(
            f"{one['size']}: PLL (word-l2r) of a sentence of {one['tokens']} tokens at batch_tokens=1024: "
            f"{one['seconds']:.3f} s, at most {one['positions']} positions a pass, the process grew by "
            f"{one['grown_kib'] / 1024:.1f} MiB"
        )


if __name__ == "__main__":
    main()
