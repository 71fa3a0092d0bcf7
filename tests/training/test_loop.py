import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from datasets import Dataset

from lmcompare.core import settings
from lmcompare.core.errors import InputError, LmcompareError
from lmcompare.core.example import collate
from lmcompare.models.network import BatchTensors, Network, build_network, evaluation_mode
from lmcompare.objectives import OBJECTIVES, parse_objective
from lmcompare.training.batches import TrainingBatches, TrainingData, ValidationBatches, first_rows
from lmcompare.training.loop import TrainingRun, mean_loss, train
from lmcompare.training.optimizer import adamw

SMALL = settings.TrainingSettings(
    tokens=32 * 8 * 6, batch_size=8, evaluations=2, validation_sequences=8, learning_rate=1e-2
)
KINDS = ["causal", "masked", "seq2seq"]
UNIFORM = {"kind": "masked", "mask_rate": "uniform"}
MIXTURE = {
    "kind": "mixture",
    "parts": [{"objective": "causal"}, {"objective": UNIFORM}, {"objective": "glm"}],
}
SCHEDULE = {
    "kind": "schedule",
    "stages": [{"objective": "causal", "share": 0.25}, {"objective": "masked"}],
}
UL2 = {
    "kind": "mixture",
    "parts": [
        {"objective": "seq2seq"},
        {"objective": {"kind": "seq2seq", "corruption_rate": 0.5}, "name": "much"},
        {"objective": {"kind": "prefix", "architecture": "encoder-decoder"}},
    ],
    "inference": "prefix",
}
FURTHER = ["prefix", "glm", "bart", UNIFORM, MIXTURE, SCHEDULE, UL2]


@pytest.fixture
def sequences(special):
    """Rows in which a token tells the next one; a fifth are cut by eos."""
    rng = np.random.default_rng(0)
    rows = np.cumsum(rng.integers(1, 3, (64, 32)), axis=1) % 64 + 32
    rows[::5, 11] = special.eos
    counts = np.bincount(rows.ravel(), minlength=96) + 1.0
    listed = [{"tokens": row.tolist()} for row in rows]
    return SimpleNamespace(
        train=listed[:48], validation=listed[48:], unigram=np.log(counts / counts.sum())
    )


@pytest.fixture(scope="session")
def special(special):
    """The ids of conftest, of which some end a sentence."""
    ends = np.zeros(96, dtype=bool)
    ends[[40, 60, 80]] = True
    return replace(special, sentence_ends=ends)


def run(kind, sequences, special, small, folder, training=SMALL, isolated=False, **watchers):
    data = TrainingData(sequences, parse_objective(kind), special, seed=3, isolated=isolated)
    network = build_network(small, data.objective.role, special, seed=1)
    where = TrainingRun(folder, device="cpu", **watchers)
    return network, train(network, data, training, shape=small, run=where)


def batches(kind, sequences, special, training=SMALL, **processes):
    data = TrainingData(sequences, parse_objective(kind), special, seed=3)
    return TrainingBatches(data, training, **processes)


def validation_batches(kind, sequences, special, count, size):
    data = TrainingData(sequences, parse_objective(kind), special, seed=3)
    return ValidationBatches.of(data, replace(SMALL, validation_sequences=count, batch_size=size))


def weights(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()])


@pytest.mark.parametrize("isolated", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_accumulation_changes_nothing(kind, isolated, sequences, special, small, tmp_path):
    one, first = run(kind, sequences, special, small, tmp_path / "1", isolated=isolated)
    four, second = run(
        kind,
        sequences,
        special,
        small,
        tmp_path / "4",
        replace(SMALL, gradient_accumulation_steps=4),
        isolated=isolated,
    )
    assert [p["loss"] for p in second.curve] == pytest.approx(
        [p["loss"] for p in first.curve], abs=1e-5
    )
    torch.testing.assert_close(weights(four), weights(one), rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", FURTHER, ids=str)
def test_accumulation_changes_nothing_for_further_objectives(
    kind, sequences, special, small, tmp_path
):
    test_accumulation_changes_nothing(kind, False, sequences, special, small, tmp_path)


def test_accumulation_changes_nothing_where_documents_are_isolated_and_targets_weighted(
    sequences, special, small, tmp_path
):
    weighted = {"kind": "mixture", "parts": [{"objective": "causal"}, {"objective": UNIFORM}]}
    test_accumulation_changes_nothing(weighted, True, sequences, special, small, tmp_path)


@pytest.mark.parametrize("kind", [*KINDS, UNIFORM], ids=str)
def test_gradient_of_a_step_is_that_of_the_mean_over_all_its_targets(
    kind, sequences, special, small, tmp_path
):
    """One step of AdamW by hand, from all logits, moves the weights as the loop does."""
    objective = parse_objective(kind)
    training = replace(
        SMALL,
        tokens=8 * 32,
        warmup_ratio=0.0,
        max_grad_norm=1e9,
        gradient_accumulation_steps=3,
        evaluations=1,
    )
    ours, _ = run(kind, sequences, special, small, tmp_path, training)
    theirs = build_network(small, objective.role, special, seed=1)
    optimizer = adamw(theirs, training.learning_rate, training.weight_decay, training.adam_betas)
    (batch,) = batches(kind, sequences, special, replace(training, gradient_accumulation_steps=1))[
        0
    ]
    tensors = BatchTensors.of(batch)
    inputs = {"input_ids": tensors.inputs, "attention_mask": tensors.attention_mask.long()}
    if tensors.decoder_inputs is not None:
        inputs["decoder_input_ids"] = tensors.decoder_inputs
    logits = theirs.transformer(**inputs).logits
    losses = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), tensors.targets.flatten(), reduction="none"
    )
    weights_of = torch.from_numpy(
        batch.targets >= 0 if batch.weights is None else batch.weights
    ).flatten()
    (losses @ weights_of.to(losses) / weights_of.sum()).backward()
    optimizer.step()
    torch.testing.assert_close(weights(ours), weights(theirs), rtol=0, atol=2e-5)


@pytest.mark.parametrize("kind", [*KINDS, *FURTHER], ids=str)
def test_learns_what_the_rows_hold(kind, sequences, special, small, tmp_path):
    _, trained = run(kind, sequences, special, small, tmp_path, replace(SMALL, tokens=32 * 8 * 150))
    assert trained.last_validation["text_loss"] < trained.last_validation["unigram"] - 0.3
    assert trained.costs["corpus_tokens"] == 32 * 8 * 150
    assert trained.costs["unique_tokens"] == 32 * 48
    assert trained.costs["epochs"] == pytest.approx(25)


def test_a_schedule_s_network_sees_causal_examples_and_then_masked_ones(
    sequences, special, small, tmp_path, monkeypatch
):
    seen = []
    forward = Network.forward

    def watch(network, batch):
        if network.training:
            seen.append(
                (bool((batch.prefix_lengths > 0).any()), bool((batch.inputs == special.mask).any()))
            )
        return forward(network, batch)

    monkeypatch.setattr(Network, "forward", watch)
    _, trained = run(
        SCHEDULE, sequences, special, small, tmp_path, replace(SMALL, tokens=32 * 8 * 8)
    )
    assert seen == [(False, False)] * 2 + [(True, True)] * 6
    points = [point for point in trained.curve if point["split"] == "train"]
    assert points[-1]["targets"] < 2 * 32 * 8 + 6 * 32 * 8 * 0.25


def test_the_curve_of_a_schedule_is_of_its_last_stage(sequences, special):
    schedule_, masked = (
        validation_batches(kind, sequences, special, 8, 8) for kind in (SCHEDULE, "masked")
    )
    assert (schedule_.batches[0].inputs == masked.batches[0].inputs).all()


def test_validation_loss_weighs_its_targets(sequences, special, small):
    network = build_network(small, "encoder", special, seed=1)
    losses = [
        validation_batches(UNIFORM, sequences, special, 16, size).evaluate(network)
        for size in (16, 5)
    ]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    uniform = parse_objective(UNIFORM)
    examples = [
        uniform.training_example(np.array(row["tokens"]), special, np.random.default_rng([3, i]))
        for i, row in enumerate(sequences.validation)
    ]
    with evaluation_mode(network):
        sums = [
            float(
                (network(BatchTensors.of(collate([e], 0))).numpy() * e.weights[e.has_target]).sum()
            )
            for e in examples
        ]
    text = sum(
        int((~special.is_special(np.array(row["tokens"]))).sum()) for row in sequences.validation
    )
    assert losses[0]["loss"] == losses[0]["text_loss"] == pytest.approx(sum(sums) / text, abs=1e-5)


def test_every_objective_reads_the_same_sequences_in_the_same_order(sequences, special):
    inputs = []
    for kind in ("causal", "masked"):
        steps = batches(kind, sequences, special)
        inputs.append([batch for step in range(len(steps)) for batch in steps[step]])
    for causal, masked in zip(*inputs, strict=True):
        has_target = masked.targets >= 0
        assert (causal.targets[has_target] == masked.targets[has_target]).all()


def test_a_part_of_the_text_is_read_again_and_again(sequences, special, small, tmp_path):
    rows = Dataset.from_list(sequences.train)
    assert [len(first_rows(rows, tokens)) for tokens in (None, 10**6, 8 * 32 + 5, 1)] == [
        48,
        48,
        8,
        1,
    ]
    assert first_rows(rows, 8 * 32)[:]["tokens"] == [row["tokens"] for row in sequences.train[:8]]
    repeated = replace(SMALL, unique_tokens=8 * 32)
    _, trained = run(
        "causal", replace_train(sequences, rows), special, small, tmp_path / "a", repeated
    )
    assert trained.costs["unique_tokens"] == 8 * 32
    assert trained.costs["epochs"] == trained.costs["corpus_tokens"] / (8 * 32) > 1
    _, same = run(
        "causal", replace_train(sequences, rows.select(range(8))), special, small, tmp_path / "b"
    )
    assert [point["loss"] for point in trained.curve] == [point["loss"] for point in same.curve]


def replace_train(sequences, rows):
    return SimpleNamespace(**{**vars(sequences), "train": rows})


def test_processes_share_a_step(sequences, special):
    whole = batches("causal", sequences, special)[2][0].inputs
    halves = [
        batches("causal", sequences, special, process=i, processes=2)[2][0].inputs for i in (0, 1)
    ]
    assert sorted(map(tuple, whole)) == sorted(map(tuple, np.concatenate(halves)))


def test_validation_is_the_same_every_time(sequences, special):
    validations = [validation_batches("masked", sequences, special, 8, size) for size in (8, 3)]
    rows = [
        np.concatenate([batch.targets for batch in validation.batches])
        for validation in validations
    ]
    assert (rows[0] == rows[1]).all()


def test_validation_loss_does_not_depend_on_the_batch(sequences, special, small):
    network = build_network(small, "encoder-decoder", special, seed=1)
    losses = [
        validation_batches("seq2seq", sequences, special, 16, size).evaluate(network)
        for size in (16, 5)
    ]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_interrupted_and_resumed_is_as_if_never_interrupted(sequences, special, small, tmp_path):
    whole, expected = run("masked", sequences, special, small, tmp_path / "whole")

    def interrupt(event):
        if event["done"] >= 32 * 8 * 3:
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run("masked", sequences, special, small, tmp_path / "cut", progress=interrupt)
    assert signal.getsignal(signal.SIGINT) is before
    assert json.loads((tmp_path / "cut/checkpoint/meter.json").read_text())["meter"]["steps"] == 3
    resumed, trained = run("masked", sequences, special, small, tmp_path / "cut")
    torch.testing.assert_close(weights(resumed), weights(whole), rtol=0, atol=1e-6)
    assert [p["loss"] for p in trained.curve] == pytest.approx(
        [p["loss"] for p in expected.curve], abs=1e-6
    )
    assert trained.costs["targets"] == expected.costs["targets"]


TORCH_WARNS_OF_ITSELF = pytest.mark.filterwarnings(
    "ignore:The .grad attribute:UserWarning", "ignore:.torch.jit:DeprecationWarning"
)


def compile_by(backend, monkeypatch):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))


@TORCH_WARNS_OF_ITSELF
@pytest.mark.parametrize("kind", KINDS)
def test_compiled_layers_learn_the_same(kind, sequences, special, small, tmp_path, monkeypatch):
    """Traced by torch, but not translated; micro-batches differ in their number of rows."""
    graphs = []

    def keep(graph, inputs):
        assert torch.is_grad_enabled()  # validation has none, and is not compiled
        graphs.append(graph)
        return graph.forward

    compile_by(keep, monkeypatch)
    eager, expected = run(
        kind,
        sequences,
        special,
        small,
        tmp_path / "eager",
        replace(SMALL, gradient_accumulation_steps=3),
    )
    assert not graphs
    stages = []
    network, trained = run(
        kind,
        sequences,
        special,
        small,
        tmp_path / "compiled",
        replace(SMALL, gradient_accumulation_steps=3, compile=True),
        progress=lambda event: stages.append(event["stage"]),
    )
    assert graphs
    assert stages[:2] == ["compiling", "training"]
    assert [p["loss"] for p in trained.curve] == pytest.approx(
        [p["loss"] for p in expected.curve], abs=1e-5
    )
    torch.testing.assert_close(weights(network), weights(eager), rtol=0, atol=1e-4)
    assert not any("forward" in vars(module) for module in network.modules())


@TORCH_WARNS_OF_ITSELF
@pytest.mark.skipif(
    not shutil.which(os.environ.get("CXX", "g++"))
    or not Path(sysconfig.get_path("include"), "Python.h").is_file(),
    reason="no C++ compiler here, or none of Python's headers",
)
def test_torch_s_own_compiler_learns_the_same(sequences, special, small, tmp_path):
    _, expected = run("seq2seq", sequences, special, small, tmp_path / "eager")
    _, trained = run(
        "seq2seq", sequences, special, small, tmp_path / "compiled", replace(SMALL, compile=True)
    )
    assert [p["loss"] for p in trained.curve] == pytest.approx(
        [p["loss"] for p in expected.curve], abs=1e-5
    )


@TORCH_WARNS_OF_ITSELF
def test_a_machine_that_cannot_compile(sequences, special, small, tmp_path, monkeypatch):
    def broken(graph, inputs):
        raise OSError("no g++")

    compile_by(broken, monkeypatch)
    with pytest.raises(
        InputError,
        match=r"training\.compile: .* wanted a C\+\+ compiler .*, got: no g\+\+; or leave",
    ):
        run("causal", sequences, special, small, tmp_path, replace(SMALL, compile=True))


def test_a_loss_that_is_not_a_number(sequences, special, small, tmp_path):
    data = TrainingData(sequences, parse_objective("causal"), special, seed=3)
    network = build_network(small, "decoder", special, seed=1)
    with torch.no_grad():
        network.transformer.get_input_embeddings().weight.fill_(float("nan"))
    with pytest.raises(
        LmcompareError,
        match=r"the loss of step 1 is nan: lower training\.learning_rate \(now 0\.01\)",
    ):
        train(network, data, SMALL, shape=small, run=TrainingRun(tmp_path, device="cpu"))


def test_trains_in_a_thread_too(sequences, special, small, tmp_path):
    done = []
    thread = threading.Thread(
        target=lambda: done.append(run("causal", sequences, special, small, tmp_path))
    )
    thread.start()
    thread.join()
    assert done


def test_tensorboard_gets_the_losses(sequences, special, small, tmp_path):
    run("causal", sequences, special, small, tmp_path, trackers=("tensorboard",), name="a-run")
    assert list(tmp_path.glob("a-run/events.out.tfevents.*"))


def in_two(script):
    """Run a script in two gloo processes under torchrun."""
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        "2",
        str(script),
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]


def test_two_processes_stop_at_one_step_though_one_alone_is_interrupted(
    sequences, special, small, tmp_path
):
    script = tmp_path / "stop.py"
    script.write_text(
        f"""
import os, pickle, signal
from pathlib import Path
import torch
from lmcompare.models.network import Network, build_network
from lmcompare.objectives import parse_objective
from lmcompare.training.batches import TrainingData
from lmcompare.training.loop import TrainingRun, train

folder = Path({str(tmp_path)!r})
sequences, special, small, training = pickle.loads((folder / "inputs.pickle").read_bytes())

def interrupt(event):
    if os.environ["RANK"] == "1" and event["done"] >= 32 * 8 * 3:
        signal.raise_signal(signal.SIGINT)

network = build_network(small, "decoder", special, seed=1)
try:
    data = TrainingData(sequences, parse_objective("causal"), special, seed=3)
    run = TrainingRun(folder, device="cpu", progress=interrupt)
    train(network, data, training, shape=small, run=run)
except KeyboardInterrupt:
    (folder / f"stopped-{{os.environ['RANK']}}").touch()
torch.distributed.destroy_process_group()
"""
    )
    (tmp_path / "inputs.pickle").write_bytes(pickle.dumps((sequences, special, small, SMALL)))
    in_two(script)
    assert [(tmp_path / f"stopped-{rank}").exists() for rank in (0, 1)] == [True, True]
    assert json.loads((tmp_path / "checkpoint/meter.json").read_text())["meter"]["steps"] == 3


def test_a_state_that_is_not_a_number_is_not_saved_where_few_steps_are_looked_at(
    sequences, special, small, tmp_path, monkeypatch
):
    """Off the CPU the loss is read now and then; here it is never read but before saving."""
    read = []

    def never_but_before_saving(state, loss):
        read.append(state.meter.steps)
        return 0.0 if len(read) <= 3 else mean_loss(state, loss)

    monkeypatch.setattr("lmcompare.training.loop.mean_loss", never_but_before_saving)
    data = TrainingData(sequences, parse_objective("causal"), special, seed=3)
    network = build_network(small, "decoder", special, seed=1)
    with torch.no_grad():
        network.transformer.get_input_embeddings().weight.fill_(float("nan"))

    def interrupt(event):
        if event["done"] >= 32 * 8 * 3:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(LmcompareError, match="the loss of step 3 is nan"):
        where = TrainingRun(tmp_path, device="cpu", progress=interrupt)
        train(network, data, SMALL, shape=small, run=where)
    assert read == [1, 2, 3, 3]
    assert not (tmp_path / "checkpoint").exists()


def test_two_processes_train_as_one(sequences, special, small, tmp_path):
    """Two gloo processes under torchrun each read half of a step; the result is that of one."""
    script = tmp_path / "two.py"
    script.write_text(
        f"""
import json, pickle, sys
from pathlib import Path
import torch
from lmcompare.models.network import Network, build_network
from lmcompare.objectives import parse_objective
from lmcompare.training.batches import TrainingData
from lmcompare.training.loop import TrainingRun, train

folder = Path({str(tmp_path)!r})
sequences, special, small, training = pickle.loads((folder / "inputs.pickle").read_bytes())
for number, kind in enumerate({[*KINDS, MIXTURE]!r}):
    objective = parse_objective(kind)
    network = build_network(small, objective.role, special, seed=1)
    data = TrainingData(sequences, objective, special, seed=3)
    run = TrainingRun(folder / str(number), device="cpu")
    trained = train(network, data, training, shape=small, run=run)
    rank, world = torch.distributed.get_rank(), torch.distributed.get_world_size()
    weights = torch.cat([p.detach().flatten() for p in network.parameters()])
    torch.save(weights, folder / f"{{number}}-{{rank}}.pt")
    (folder / f"{{number}}-{{rank}}.json").write_text(json.dumps(
        {{"world": world, "curve": trained.curve, "costs": trained.costs}}))
torch.distributed.destroy_process_group()
"""
    )
    training = replace(SMALL, gradient_accumulation_steps=2)
    (tmp_path / "inputs.pickle").write_bytes(pickle.dumps((sequences, special, small, training)))
    in_two(script)
    for number, kind in enumerate([*KINDS, MIXTURE]):
        network, one = run(kind, sequences, special, small, tmp_path / f"{number}-one")
        for rank in (0, 1):
            two = json.loads((tmp_path / f"{number}-{rank}.json").read_text())
            assert two["world"] == 2
            assert [p["loss"] for p in two["curve"]] == pytest.approx(
                [p["loss"] for p in one.curve], abs=1e-5
            )
            assert two["costs"]["targets"] == one.costs["targets"]
            assert two["costs"]["training_flops"] == pytest.approx(one.costs["training_flops"])
            torch.testing.assert_close(
                torch.load(tmp_path / f"{number}-{rank}.pt"), weights(network), rtol=0, atol=1e-4
            )


def test_dropout_is_off_while_validating(sequences, special, small):
    network = build_network(replace(small, dropout=0.5), "decoder", special, seed=1).train()
    objective = OBJECTIVES["causal"]()
    batch = BatchTensors.of(
        collate(
            [objective.training_example(np.arange(40, 60), special, np.random.default_rng(0))], 0
        )
    )
    with evaluation_mode(network):
        assert torch.equal(network(batch), network(batch))
    assert network.training
    assert not torch.equal(network(batch), network(batch))
