"""Left to right, by transformers' ``generate``, with its cache."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from lmcompare.decoding import Decoded
from lmcompare.example import Ids, Special
from lmcompare.networks import Network
from lmcompare.objectives import Objective


def left_to_right(
    network: Network,
    objective: Objective,
    prompts: Sequence[Ids],
    special: Special,
    *,
    length: int,
    temperature: float = 1.0,
    seed: int = 0,
    batch: int = 32,
) -> Decoded:
    """Continue each prompt by ``length`` ordinary tokens.

    Args:
        network: a decoder or an encoder-decoder.
        objective: says how decoding begins.
        prompts: (n,) tokens each; they may differ in length.
        special: of the vocabulary; no special token is drawn, so every continuation has the same length.
        length: new tokens.
        temperature: 0 takes the best token, 1 samples from the network's own distribution.
        seed: of the sampling.
        batch: prompts at a time.
    """
    network.eval()
    generate: Any = network.transformer.generate
    suppressed = np.setdiff1d(np.arange(len(special.word_starts)), special.ordinary).tolist()
    sampling = (
        {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
        if temperature
        else {"do_sample": False}
    )
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    rows: list[Ids] = [np.array([], dtype=np.int64)] * len(prompts)
    start = time.perf_counter()
    cuda = [network.device] if network.device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda), torch.inference_mode():
        torch.manual_seed(seed)
        for first in range(0, len(order), batch):
            group = order[first : first + batch]
            begun = [objective.begin(prompts[i], length, special) for i in group]
            width = max(len(example.inputs) for example in begun)
            # A decoder goes on from the last place, so padding stands on the left; positions follow the mask.
            pads = [width - len(example.inputs) for example in begun]
            left = network.role == "decoder"
            inputs = np.full((len(group), width), special.pad, dtype=np.int64)
            mask = np.zeros((len(group), width), dtype=np.int64)
            for row, (example, pad) in enumerate(zip(begun, pads, strict=True)):
                place = slice(pad, width) if left else slice(0, width - pad)
                inputs[row, place], mask[row, place] = example.inputs, 1
            arguments = {"inputs": torch.from_numpy(inputs), "attention_mask": torch.from_numpy(mask)}
            if not left:
                decoders = [example.decoder_inputs for example in begun if example.decoder_inputs is not None]
                arguments["decoder_input_ids"] = torch.from_numpy(np.stack(decoders))
            output = generate(
                **{name: tensor.to(network.device) for name, tensor in arguments.items()},
                max_new_tokens=length,
                min_new_tokens=length,
                suppress_tokens=suppressed,
                pad_token_id=special.pad,
                **sampling,
            )
            for i, row in zip(group, output[:, -length:].cpu().numpy(), strict=True):
                rows[i] = row.astype(np.int64)
    return Decoded(rows, calls=length, seconds=time.perf_counter() - start)
