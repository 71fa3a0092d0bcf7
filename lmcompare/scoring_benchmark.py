"""``python -m lmcompare.scoring_benchmark``: our scorer beside minicons and lm-evaluation-harness, in one process.

The same small random network, the same items, one after the other, several times;
each is credited with its best time. Only ratios within one run on one machine mean anything. The peers are the optional
group ``peers``; one that is not installed is left out and said so.
"""

import argparse
import json
import resource
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertForMaskedLM, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from lmcompare.model import wrap

BATCHES = (16, 64, 256)
"""Batch sizes that the peers are tried with; each is credited with its best. Ours is left at its default."""

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


def items(count: int) -> tuple[list[str], list[str]]:
    """Return pairs of 4 to 12 and 1 to 5 words; two choices share each prompt."""
    rng = np.random.default_rng(1)
    prompts = [" ".join(rng.choice(WORDS, rng.integers(4, 13))) for _ in range(count // 2)]
    completions = [" " + " ".join(rng.choice(WORDS, rng.integers(1, 6))) for _ in range(count)]
    return [prompt for prompt in prompts for _ in range(2)], completions


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


def pairs_by(size: dict[str, int]) -> dict[str, tuple[float, list[float]]]:
    """Score pairs by a causal network; return seconds and sums of nats of each tool."""
    tokenizer = tokenizer_of(size["vocabulary"], framed=False)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_embd=size["width"], n_layer=size["layers"], n_head=4, bos_token_id=1,
        eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    model: Any = GPT2LMHeadModel(config)
    model.eval()
    prompts, completions = items(size["items"])
    ours, repeats = wrap(model, tokenizer), size["repeats"]
    found = {"ours": best(lambda: [one.sum for one in ours.log_likelihood(prompts, completions)], repeats)}
    if huggingface := peer("lm_eval.models.huggingface"):
        instance = import_module("lm_eval.api.instance").Instance
        asked = [
            instance("loglikelihood", {}, pair, i) for i, pair in enumerate(zip(prompts, completions, strict=True))
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


def pseudo(size: dict[str, int]) -> dict[str, float]:
    """Score one sentence of 60 tokens by its pseudo-log-likelihood; return seconds and positions of the widest pass."""
    tokenizer = tokenizer_of(size["vocabulary"], framed=True)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=size["width"], num_hidden_layers=size["layers"], num_attention_heads=4,
        intermediate_size=4 * size["width"], pad_token_id=0,
    )  # fmt: skip
    model = wrap(BertForMaskedLM(config), tokenizer, batch_tokens=1024)
    widest = 0

    def watch(_: Any, args: Any, kwargs: dict[str, Any]) -> None:
        nonlocal widest
        widest = max(widest, kwargs["input_ids"].numel())

    model.network.transformer.register_forward_pre_hook(watch, with_kwargs=True)
    ids = model.vocabulary.encode(" ".join(WORDS * 9))[:60]
    text = model.vocabulary.decode(ids)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds, _ = best(lambda: [model.log_likelihood([""], [text], method="pll-word-l2r")[0].sum], size["repeats"])
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"tokens": len(ids), "seconds": seconds, "positions": widest, "grown_kib": grown}


def main() -> None:
    """Print a Markdown table: items a second of each tool and our ratio to it; then the pseudo-likelihood's memory."""
    parser = argparse.ArgumentParser(prog="python -m lmcompare.scoring_benchmark", description=__doc__)
    sizes = {"items": 2000, "width": 64, "layers": 2, "vocabulary": 4096, "repeats": 3}
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--json", action="store_true")
    arguments = vars(parser.parse_args())
    warnings.simplefilter("ignore")
    found, memory = pairs_by(arguments), pseudo(arguments)
    if arguments["json"]:
        print(json.dumps({"seconds": {name: seconds for name, (seconds, _) in found.items()}, "pseudo": memory}))
        return
    print(
        f"{arguments['items']} pairs, GPT-2 of width {arguments['width']}, {arguments['layers']} layers, vocabulary "
        f"{arguments['vocabulary']}, {torch.get_num_threads()} threads; peers: best of batches {BATCHES}\n"
    )
    print("| tool | seconds | pairs a second | ours is | largest difference, nats |\n|---|---:|---:|---:|---:|")
    base, ours = found["ours"]
    for name, (seconds, sums) in found.items():
        apart = np.abs(np.array(sums) - ours).max()
        rate = arguments["items"] / seconds
        print(f"| {name} | {seconds:.2f} | {rate:,.0f} | {seconds / base:.2f} times as fast | {apart:.1e} |")
    for name in {"lm-evaluation-harness", "minicons"} - set(found):
        print(f"{name} is not installed: pip install lmcompare[peers]", file=sys.stderr)
    print(
        f"\nPLL (word-l2r) of a sentence of {memory['tokens']} tokens at batch_tokens=1024: {memory['seconds']:.3f} s, "
        f"at most {memory['positions']} positions a pass, the process grew by {memory['grown_kib'] / 1024:.1f} MiB"
    )


if __name__ == "__main__":
    main()
