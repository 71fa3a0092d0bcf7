import numpy as np
import pytest
from torch.utils.flop_counter import FlopCounterMode

from lmcompare.core.example import collate
from lmcompare.models.network import BatchTensors, build_network
from lmcompare.objectives import OBJECTIVES
from lmcompare.training.costs import (
    BudgetMeter,
    batch_flops,
    decoder_lengths,
    peak_memory,
    reset_peak_memory,
)


@pytest.mark.parametrize("kind", ["causal", "masked", "seq2seq"])
def test_flops_equal_those_that_torch_counts(kind, small, special):
    objective = OBJECTIVES[kind]()
    network = build_network(small, objective.role, special, seed=1)
    parts = (
        network.transformer,
        *(getattr(network.transformer.model, name, None) for name in ("encoder", "decoder")),
    )
    for part in filter(None, parts):
        part.config._attn_implementation = (
            "eager"  # the counter has no formula for the CPU's fused kernel
        )
    rng = np.random.default_rng(0)
    batch = collate(
        [
            objective.training_example(rng.choice(special.ordinary, 64), special, rng)
            for _ in range(3)
        ],
        0,
    )
    with FlopCounterMode(display=False) as counter:
        network(BatchTensors.of(batch))
    assert batch_flops(small, objective.role, batch, 96) == pytest.approx(
        counter.get_total_flops(), rel=0.02
    )


def test_meter_counts_what_is_not_padding(small, special):
    objective = OBJECTIVES["seq2seq"](corruption_rate=0.3)
    rng = np.random.default_rng(0)
    rows = [
        objective.training_example(rng.choice(special.ordinary, n), special, rng) for n in (20, 40)
    ]
    batch = collate(rows, 0)
    assert decoder_lengths(batch).tolist() == [len(row.decoder_inputs) for row in rows]
    meter = BudgetMeter()
    meter.add(small, "encoder-decoder", batch, 96)
    assert meter.positions == sum(len(row.inputs) + len(row.decoder_inputs) for row in rows)
    assert meter.targets == sum(len(row.targets) for row in rows)


def test_peak_memory_is_in_bytes():
    reset_peak_memory()
    array = np.ones(30_000_000)
    assert peak_memory() > array.nbytes
