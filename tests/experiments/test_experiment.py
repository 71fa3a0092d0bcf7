"""YAML becomes an Experiment, or one message with every mistake."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from lmcompare.core import settings
from lmcompare.core.errors import InputError
from lmcompare.core.settings import plain
from lmcompare.experiments.experiment import load, parse
from lmcompare.experiments.yaml import parse_yaml
from lmcompare.objectives.causal import Causal
from lmcompare.objectives.masked import Masked
from lmcompare.objectives.mixture import Mixture, Part
from lmcompare.objectives.schedule import Schedule, Stage

YAML = """\
name: small
description: a small one
corpus: {source: {kind: text, path: DATA}, validation: 0.1, test: 0.1}
tokenizer: {vocab_size: 400}
network: {hidden_size: 64, num_heads: 4, num_layers: 2}
training: {tokens: 1e5, learning_rate: 3e-3, precision: no}
models:
  causal: {objective: causal}
  masked:
    objective: {kind: masked, mask_rate: 0.3}
    training: {learning_rate: 2e-3}
    network: {num_layers: 3}
tasks:
  continuation: {kind: continuation, items: 20}
  labels: {kind: classification, source: {kind: csv, path: DATA}, adaptation: {epochs: 2}}
seeds: [1, 2]
quick: {training.tokens: 5000, tasks.continuation.items: 4, seeds: [1]}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    (tmp_path / "data.txt").write_text("some text\n")
    path.write_text(YAML.replace("DATA", str(tmp_path / "data.txt")))
    return path


def problems(path: Path | dict[str, Any], *sets: str, quick: bool = False) -> list[str]:
    with pytest.raises(InputError) as caught:
        load(path, sets, quick) if isinstance(path, Path) else parse(path, sets, quick)
    return caught.value.problems


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_file_becomes_an_experiment(file: Path) -> None:
    experiment = load(file)
    assert (experiment.name, experiment.seeds) == ("small", (1, 2))
    assert experiment.training == settings.TrainingSettings(
        tokens=100_000, learning_rate=3e-3, precision="no"
    )
    assert experiment.models["masked"].objective == Masked(mask_rate=0.3)
    assert experiment.network_of("causal") == settings.NetworkSettings(
        hidden_size=64, num_heads=4, num_layers=2
    )
    assert experiment.network_of("masked") == settings.NetworkSettings(
        hidden_size=64, num_heads=4, num_layers=3
    )
    assert experiment.training_of("masked").learning_rate == 2e-3
    assert experiment.training_of("masked").tokens == 100_000
    assert plain(experiment.tasks["labels"])["adaptation"]["epochs"] == 2
    assert plain(experiment.tasks["labels"])["source"]["kind"] == "csv"


def test_resolved_settings_load_back_to_the_same_experiment(file: Path, tmp_path: Path) -> None:
    experiment = load(file)
    assert parse(experiment.resolved()) == experiment
    assert load(written(tmp_path / "again.yaml", experiment.dump())) == experiment
    assert (
        yaml.safe_load(experiment.dump())["training"]["precision"] == "no"
    )  # for readers of YAML 1.1 too
    assert "quick" not in experiment.resolved()


def test_quick_and_set_change_what_they_name(file: Path) -> None:
    quick = load(file, quick=True)
    assert (quick.training.tokens, quick.seeds, plain(quick.tasks["continuation"])["items"]) == (
        5000,
        (1,),
        4,
    )
    assert quick.training.learning_rate == 3e-3
    assert load(file, ["training.tokens=7000"], quick=True).training.tokens == 7000
    assert load(file, {"training.tokens": "7e3"}).training.tokens == 7000
    assert load(
        file, ["models.causal.objective=masked", "models.causal.objective.mask_rate=0.5"]
    ).models["causal"].objective == Masked(mask_rate=0.5)
    assert (
        load(file, ["models.causal.network.hidden_size=32"]).network_of("causal").hidden_size == 32
    )
    assert load(file, ["training={batch_size: 4}"]).training.tokens == 100_000
    assert load(file, ["seeds=[3, 4]"]).seeds == (3, 4)


def test_numbers_may_be_quoted(file: Path) -> None:
    assert (
        load(
            file, ['training.learning_rate="3e-4"', 'training.batch_size="8"']
        ).training.learning_rate
        == 3e-4
    )


def test_a_model_may_be_a_checkpoint(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLDER", "/far")
    experiment = load(
        file,
        [
            "models.here={checkpoint: $FOLDER/bert}",
            "models.hub={checkpoint: org/name, revision: v1}",
        ],
    )
    assert experiment.models["here"] == settings.ModelSettings(checkpoint="$FOLDER/bert")
    assert experiment.models["hub"] == settings.ModelSettings(checkpoint="org/name", revision="v1")
    assert experiment.models["causal"].objective == Causal()
    assert parse(experiment.resolved()) == experiment
    assert "checkpoint" not in experiment.resolved()["models"]["causal"]
    said = problems(file, "models.causal.objective=")
    assert (
        said[0].endswith("; or models.causal.checkpoint: a folder, or a name of the hub")
        and len(said) == 1
    )


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "experiments").glob("*.yaml")), ids=lambda p: p.stem
)
def test_the_experiments_that_ship_are_valid(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "LMCOMPARE_DATA", str(tmp_path)
    )  # whether data are there is asked later, by `plan`
    for quick in (False, True):
        assert load(path, quick=quick).name == path.stem


def test_all_problems_are_said_at_once(file: Path) -> None:
    text = file.read_text()
    for old, new in (
        ("name: small", "nam: small"),
        ("kind: text,", "kind: txt,"),
        ("size: 400", "size: 10"),
        ("hidden_size: 64", "hidden_size: wide"),
        ("num_layers: 2", "num_layers: true"),
        ("learning_rate: 3e-3", "learning_rate: .inf"),
        ("mask_rate: 0.3", "mask_rte: 0.3"),
        ("objective: causal", "objective: causl"),
        ("{learning_rate: 2e-3}", "{learning_rat: 2e-3}"),
        ("epochs: 2", "epochs: 0"),
        ("seeds: [1, 2]", "seeds: [1, 1]"),
        ("training.tokens: 5000", "training.tokns: 5000"),
        ("tasks.continuation.items: 4", "tasks.continuatoin.items: 4"),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    said = problems(written(file, text))
    for line in (
        "nam: no such key; did you mean 'name'?",
        "corpus.source.kind: no source 'txt'; did you mean 'text'?",
        "tokenizer.vocab_size: wanted an integer at least 300, got 10",
        'network.hidden_size: wanted an integer greater than 0, got "wide"',
        "network.num_layers: wanted an integer greater than 0, got true",
        "training.learning_rate: wanted a number greater than 0, got Infinity",
        "models.masked.objective.mask_rte: no such key; did you mean 'mask_rate'?",
        "models.causal.objective: no objective 'causl'; did you mean 'causal'?",
        "models.masked.training.learning_rat: no such key; did you mean 'learning_rate'?",
        "tasks.labels.adaptation.epochs: wanted an integer greater than 0, got 0",
        "seeds: wanted each once, got [1, 1]",
        "quick.training.tokns: no such key; did you mean 'tokens'?",
        "quick.tasks.continuatoin: no such key; did you mean 'continuation'?",
    ):
        assert line in said
    assert len(said) == 13


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("network.num_heads=5", "network.num_heads: wanted a divisor of the hidden_size 64, got 5"),
        (
            "network.num_heads=64",
            "network.num_heads: wanted an even width of each head (rotary positions come in pairs)",
        ),
        (
            "models.masked.network.num_heads=3",
            "models.masked.network.num_heads: wanted a divisor of the hidden_size 64, got 3",
        ),
        ("models.mask.training.batch_size=3", "models.mask: no such key; did you mean 'masked'?"),
        ("trainig.batch_size=3", "trainig: no such key; did you mean 'training'?"),
        ("training.tokens.x=3", "training.tokens.x: no such key; training.tokens is 100000"),
        (
            "training.batch_size",
            "--set training.batch_size: wanted key=value, e.g. training.tokens=60000",
        ),
        ("training.batch_size=[", "--set training.batch_size:1:2: "),
        ("training=3", "training: wanted a mapping of tokens, unique_tokens, batch_size, "),
        (
            "training.precision=b16",
            'training.precision: wanted one of "auto", "no", "bf16", "fp16", got "b16"',
        ),
        (
            "training.adam_betas=[0.9]",
            "training.adam_betas: wanted a list of 2: a number greater than 0 and less than 1, a ",
        ),
        (
            "training.adam_betas=[0.9, x]",
            'training.adam_betas.1: wanted a number greater than 0 and less than 1, got "x"',
        ),
        (
            "models.masked.objective.whole_word=1",
            "models.masked.objective.whole_word: wanted true or false, got 1",
        ),
        (
            "models.causal.objective={mask_rate: 0.2}",
            "models.causal.objective.kind: missing; wanted one of bart, causal, ",
        ),
        (
            "models.masked.objective=",
            "models.masked.objective: missing; wanted one of bart, causal, ",
        ),
        (
            "models.masked.objective=[masked]",
            "models.masked.objective: wanted one of bart, causal, ",
        ),
        (
            "models.masked.objective.random_token_share=0.5",
            "models.masked.objective.mask_token_share + random_token_share: wanted a sum of at "
            "most 1",
        ),
        (
            "models.masked=",
            "models.masked: wanted a mapping of objective, checkpoint, revision, network, ",
        ),
        (
            "models.causal.checkpoint=gpt2",
            'models.causal: wanted either an objective or a checkpoint, got both: "causal',
        ),
        (
            "models.causal={checkpoint: [gpt2]}",
            'models.causal.checkpoint: wanted a text or nothing, got ["gpt2"]',
        ),
        (
            "models.causal={checkpoint: $NOWHERE/x}",
            "models.causal.checkpoint: the environment variable NOWHERE is not set",
        ),
        (
            "models.causal={checkpont: gpt2}",
            "models.causal.checkpont: no such key; did you mean 'checkpoint'?",
        ),
        (
            "models.causal.revision=main",
            'models.causal.revision: wanted only beside a checkpoint, got "main"',
        ),
        (
            "models.causal={checkpoint: gpt2, training: {batch_size: 4}}",
            "models.causal.training: wanted none: a checkpoint ",
        ),
        ("models={}", "models: missing; wanted at least one"),
        ("models={a/b: {objective: causal}}", "models.a/b: wanted a name of letters"),
        ("tasks.prepare=continuation", "tasks.prepare: the name is taken"),
        (
            "corpus.validation=0.95",
            "corpus.validation: wanted less than 1 together with corpus.test, got 0.95 + 0.1",
        ),
        (
            "tokenizer.sentinels=200",
            "tokenizer.vocab_size: wanted at least 460 (256 bytes, 4 special tokens",
        ),
        ("corpus.source=", "corpus.source: missing; wanted one of blimp, "),
        ("corpus=", "corpus: missing; wanted where the text comes from"),
        ("seeds=[-1]", "seeds: wanted a list of integers from 0"),
        ("seeds=[true]", "seeds: wanted a list of integers from 0"),
        ("name=a/b", "name: wanted a name of letters"),
        ("name=2024", "name: wanted a name of letters"),
        ("description=3", "description: wanted a text, got 3"),
        ("quick=3", "quick: wanted a mapping of dotted keys, got 3"),
    ],
)
def test_each_problem_names_the_key_the_wanted_and_the_got(
    file: Path, change: str, said: str
) -> None:
    if change.startswith("quick"):
        file.write_text(file.read_text().partition("quick:")[0] + change.replace("=", ": "))
        change = "seeds=[1]"
    if change.startswith("tasks.prepare"):
        change = "tasks.prepare={kind: continuation}"
    assert any(problem.startswith(said) for problem in problems(file, change)), problems(
        file, change
    )


NESTED = """
models:
  ul2:
    objective:
      kind: mixture
      inference: PART
      parts:
        - {objective: causal, weight: WEIGHT}
        - {objective: {kind: masked, RATE: uniform}}
        - objective:
            kind: schedule
            stages: [{objective: FIRST, share: 0.25}, {objective: masked}]
"""


def nested(
    file: Path,
    part: str = "masked",
    weight: str = "3",
    rate: str = "mask_rate",
    first: str = "causal",
) -> Path:
    head, _, rest = file.read_text().partition("models:\n")
    text = (
        NESTED.replace("PART", part)
        .replace("WEIGHT", weight)
        .replace("RATE", rate)
        .replace("FIRST", first)
    )
    return written(file, f"{head}{text}tasks: {{}}\n")


def test_objectives_may_hold_objectives(file: Path, tmp_path: Path) -> None:
    experiment = load(nested(file))
    schedule = Schedule((Stage(Causal(), 0.25), Stage(Masked())))
    parts = (Part(Causal(), 3.0), Part(Masked("uniform")), Part(schedule))
    assert experiment.models["ul2"].objective == Mixture(parts, "masked")
    assert load(written(tmp_path / "again.yaml", experiment.dump())) == experiment


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"rate": "mask_rte"},
            [
                "models.ul2.objective.parts.1.objective.mask_rte: no such key; did you mean "
                "'mask_rate'?"
            ],
        ),
        (
            {"weight": "0"},
            ["models.ul2.objective.parts.0.weight: wanted a number greater than 0, got 0"],
        ),
        (
            {"part": "mask"},
            ["models.ul2.objective.inference: no part 'mask'; did you mean 'masked'?"],
        ),
        (
            {"first": "causl", "rate": "mask_rte", "weight": "x"},
            [
                'models.ul2.objective.parts.0.weight: wanted a number greater than 0, got "x"',
                "models.ul2.objective.parts.1.objective.mask_rte: no such key; did you mean "
                "'mask_rate'?",
                "models.ul2.objective.parts.2.objective.stages.0.objective: no objective 'causl'; "
                "did you mean 'causal'?",
            ],
        ),
        (
            {"first": "seq2seq"},
            [
                "models.ul2.objective.parts.2.objective.stages.1.objective: wanted one that "
                "shares a network with "
                "seq2seq (encoder-decoder), got masked (encoder); a decoder and an encoder are "
                "one stack under two "
                "masks, an encoder-decoder goes with its like alone"
            ],
        ),
    ],
)
def test_problems_of_nested_objectives_name_their_path(
    file: Path, change: dict[str, str], said: list[str]
) -> None:
    assert sorted(problems(nested(file, **change))) == said


def test_quick_without_a_quick_section_is_said(file: Path) -> None:
    file.write_text(file.read_text().partition("quick:")[0])
    assert problems(file, quick=True)[0].startswith("quick: missing")


def test_a_model_does_not_repeat_the_problems_of_the_shared_settings(file: Path) -> None:
    assert problems(file, "network.hidden_size=0") == [
        "network.hidden_size: wanted an integer greater than 0, got 0"
    ]


def test_paths_may_hold_environment_variables(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(file.read_text().replace(f"path: {file.parent}", "path: $LMCOMPARE_DATA"))
    monkeypatch.setenv("LMCOMPARE_DATA", str(file.parent))
    found = load(file)
    # The name stays, so that what a run writes down reads on another machine.
    assert plain(found.corpus)["source"]["path"] == "$LMCOMPARE_DATA/data.txt"
    assert "path: $LMCOMPARE_DATA/data.txt" in found.dump()
    assert next(found.corpus.source.rows())["text"]
    models = {"ready": {"checkpoint": "$LMCOMPARE_DATA/gpt"}}
    given = parse_yaml(file.read_text(), "small.yaml")
    ready = parse({**given, "quick": None, "models": models}).models["ready"]
    assert ready.checkpoint == "$LMCOMPARE_DATA/gpt"
    monkeypatch.delenv("LMCOMPARE_DATA")
    said = problems(file)
    assert said[0].startswith(
        "corpus.source.path: the environment variable LMCOMPARE_DATA is not set"
    )
    assert said[1].startswith(
        "tasks.labels.source.path: the environment variable LMCOMPARE_DATA is not set"
    )


def test_a_name_is_the_file_s_if_it_gives_none(file: Path) -> None:
    file.write_text(file.read_text().replace("name: small\n", ""))
    assert load(file).name == "small"


NAMES = st.from_regex(r"[a-z][\w -]{0,8}", fullmatch=True)
KINDS = st.sampled_from(["causal", "masked", "seq2seq"])
SEEDS = st.lists(st.integers(0, 2**32 - 1), min_size=1, unique=True)


@settings_of_hypothesis(deadline=None, max_examples=50)
@given(st.dictionaries(NAMES, KINDS, min_size=1), SEEDS, st.text(), st.floats(1e-9, 10))
def test_any_experiment_survives_its_dump(
    models: dict[str, str], seeds: list[int], said: str, rate: float
) -> None:
    data = {
        "name": "x",
        "corpus": {"source": {"kind": "text", "path": "x.txt"}},
        "description": said,
        "seeds": seeds,
    }
    data |= {
        "models": {
            name: {"objective": kind, "training": {"learning_rate": rate}}
            for name, kind in models.items()
        }
    }
    experiment = parse(data)
    assert parse(parse_yaml(experiment.dump(), "dump")) == experiment
    assert yaml.safe_load(experiment.dump()) == experiment.resolved()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("vocabulary.size=400", "vocabulary: no such key; it is called 'tokenizer' now"),
        ("arms={}", "arms: no such key; it is called 'models' now"),
        ("training.batch=4", "training.batch: no such key; it is called 'batch_size' now"),
        (
            "models.masked.network.width=4",
            "models.masked.network.width: no such key; it is called 'hidden_size' now",
        ),
        (
            "tasks.labels.adaptation.warmup=0.1",
            "tasks.labels.adaptation.warmup: no such key; it is called 'warmup_ratio' now",
        ),
    ],
)
def test_a_key_that_was_renamed_is_told_its_new_name(file: Path, change: str, said: str) -> None:
    assert said in problems(file, change)
