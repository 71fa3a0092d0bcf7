"""``match``: in what the models of an experiment are made equal."""

from collections.abc import Callable
from typing import Any

import pytest

from lmcompare.core.errors import InputError
from lmcompare.execution.plan import plan
from lmcompare.experiments.cost_model import COSTS, cost_model
from lmcompare.experiments.experiment import Experiment, parse
from lmcompare.experiments.matching import matching_lines

Make = Callable[..., Experiment]
SHAPE = {
    "tokenizer": {"vocab_size": 512},
    "sequence": {"length": 64},
    "network": {"hidden_size": 64, "num_layers": 2, "num_heads": 2},
    "training": {"tokens": 64 * 8 * 200, "batch_size": 8},
}
MODELS = {
    "causal": {"objective": "causal"},
    "masked": {"objective": {"kind": "masked", "mask_rate": 0.3}},
    "seq2seq": {"objective": {"kind": "seq2seq", "corruption_rate": 0.3}},
}


def ratio(experiment: Experiment, model: str, cost: str, reference: str = "causal") -> float:
    return cost_model(experiment, model).cost(cost) / cost_model(experiment, reference).cost(cost)


@pytest.mark.parametrize("cost", COSTS)
def test_one_matching_keeps_the_names(cost: str, make: Make) -> None:
    experiment = make(models=MODELS, match=cost, **SHAPE)
    assert list(experiment.models) == ["causal", "masked", "seq2seq"]
    assert experiment.models["causal"] == make(models=MODELS, **SHAPE).models["causal"]
    for model in ("masked", "seq2seq"):
        assert ratio(experiment, model, cost) == pytest.approx(1, abs=0.02)
    assert experiment.match is not None
    assert {name: one.reference for name, one in experiment.match.solved.items()} == {
        "masked": "causal",
        "seq2seq": "causal",
    }


def test_several_matchings_give_several_models_and_one_that_is_in_several_is_one(
    make: Make,
) -> None:
    experiment = make(models=MODELS, match=["tokens", "parameters", "flops"], **SHAPE)
    assert list(experiment.models) == [
        "causal",
        "masked at equal tokens + parameters",
        "masked at equal flops",
        "seq2seq at equal tokens",
        "seq2seq at equal parameters",
        "seq2seq at equal flops",
    ]
    assert (
        experiment.models["seq2seq at equal tokens"]
        == make(models=MODELS, **SHAPE).models["seq2seq"]
    )
    small = experiment.network_of("seq2seq at equal parameters")
    assert small.hidden_size < 64 and (small.num_layers, small.num_heads) == (2, 2)
    assert experiment.training_of("seq2seq at equal parameters") == experiment.training
    assert experiment.network_of("masked at equal flops") == experiment.network
    assert experiment.training_of("masked at equal flops").tokens > experiment.training.tokens
    assert len({cell.key for cell in plan(experiment)}) == len(plan(experiment))


def test_what_is_solved_is_read_back_and_not_solved_again(make: Make) -> None:
    experiment = make(models=MODELS, match=["flops", "parameters"], **SHAPE)
    assert parse(experiment.resolved()) == experiment
    assert make(models=MODELS, **SHAPE).resolved()["match"] is None
    assert plan(parse(experiment.resolved())) == plan(experiment)


def test_a_matching_without_effect_repeats_no_work(make: Make) -> None:
    plain, equal = make(models=MODELS, **SHAPE), make(models=MODELS, match="tokens", **SHAPE)
    assert equal.models == plain.models and plan(equal) == plan(plain)


def test_the_reference_may_be_another_and_a_checkpoint_stays_as_it_is(make: Make) -> None:
    models = MODELS | {"bert": {"checkpoint": "some/bert"}}
    experiment = make(models=models, match={"by": "targets", "reference": "masked"}, **SHAPE)
    assert experiment.match is not None and list(experiment.match.solved) == ["causal", "seq2seq"]
    assert experiment.training_of("masked") == experiment.training
    assert experiment.training_of("causal").tokens == pytest.approx(
        0.3 * experiment.training.tokens, rel=0.02
    )
    assert experiment.models["bert"].checkpoint == "some/bert"


def test_an_model_is_matched_at_its_own_point_of_the_grid(make: Make) -> None:
    models = MODELS | {
        "masked": {"objective": "masked", "grid": {"objective.mask_rate": [0.15, 0.3]}}
    }
    shape = SHAPE | {"grid": {"network.hidden_size": [48, 96]}}
    experiment = make(models=models, match="parameters", **shape)
    assert experiment.match is not None
    assert {name: one.reference for name, one in experiment.match.solved.items()} == {
        f"{model} hidden_size={width}{own}": f"causal hidden_size={width}"
        for width in (48, 96)
        for model, own in (
            ("masked", " mask_rate=0.15"),
            ("masked", " mask_rate=0.3"),
            ("seq2seq", ""),
        )
    }
    for width in (48, 96):
        assert ratio(
            experiment, f"seq2seq hidden_size={width}", "parameters", f"causal hidden_size={width}"
        ) == pytest.approx(1, abs=0.02)
    one = make(
        models=models, match={"by": "parameters", "reference": "causal hidden_size=96"}, **shape
    )
    assert one.match is not None and {said.reference for said in one.match.solved.values()} == {
        "causal hidden_size=96"
    }
    assert ratio(
        one, "causal hidden_size=48", "parameters", "causal hidden_size=96"
    ) == pytest.approx(1, abs=0.02)


def test_hypotheses_name_the_models_that_a_matching_makes(make: Make) -> None:
    claim = {"claim": "x", "task": "next", "model": "causal", "reference": "seq2seq at equal flops"}
    experiment = make(models=MODELS, match=["tokens", "flops"], hypotheses={"H": claim}, **SHAPE)
    assert experiment.hypotheses["H"].reference == "seq2seq at equal flops"


def test_what_was_solved_is_said(make: Make) -> None:
    experiment = make(models=MODELS, match="parameters", **SHAPE)
    assert experiment.match is not None
    masked, seq2seq = matching_lines(experiment, experiment.match)
    assert masked.startswith(
        "models.masked: parameters 1.000 x of causal: hidden_size 64, ffn_multiplier 3, 102,400 "
        "tokens, "
    )
    network = experiment.network_of("seq2seq")
    assert (
        f"hidden_size {network.hidden_size}, ffn_multiplier {network.ffn_multiplier:g}" in seq2seq
    )


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({"match": "flps"}, "match: no matching \"flps\"; did you mean 'flops'?"),
        ({"match": ["flops", "flops"]}, 'match: wanted each once, got ["flops", "flops"]'),
        ({"match": []}, "match: wanted one or a list of tokens, flops, "),
        ({"match": {"reference": "causal"}}, "match.by: wanted one or a list of tokens, flops, "),
        (
            {"match": {"by": "flops", "refrence": "x"}},
            "match.refrence: no such key; did you mean 'reference'?",
        ),
        (
            {"match": {"by": "flops", "reference": "casual"}},
            "match.reference: no model 'casual'; did you mean 'causal'?",
        ),
        ({"match": "seconds"}, "match: wanted one or a list of "),
        (
            {"match": "flops", "models": {"causal": {"objective": "causal"}}},
            "match: wanted another model that is trained",
        ),
        (
            {"match": "flops", "models": {"bert": {"checkpoint": "some/bert"}} | MODELS},
            "match.reference: wanted a model that is trained here, got the checkpoint bert",
        ),
        (
            {"match": "flops", "training": {"tokens": 64 * 8 * 3, "batch_size": 8}},
            "match: wanted seq2seq within 5% of the training FLOPs of causal (",
        ),
        (
            {
                "match": "parameters_without_embeddings",
                "network": {"hidden_size": 16, "num_layers": 1, "num_heads": 8},
            },
            "match: wanted seq2seq within 5% of the parameters without embeddings of causal (",
        ),
        (
            {
                "match": {"by": "flops", "reference": "masked"},
                "models": MODELS
                | {"masked": {"objective": "masked", "grid": {"objective.mask_rate": [0.15, 0.3]}}},
            },
            "match.reference: wanted one model to set causal against, got 2 of masked at that "
            "point of the grid; "
            "name one of masked mask_rate=0.15, masked mask_rate=0.3",
        ),
        (
            {
                "match": ["flops", "tokens"],
                "models": MODELS | {"masked at equal flops": {"objective": "causal"}},
            },
            "models.masked at equal flops: the name is taken",
        ),
        (
            {"match": "flops", "tokenizer": {"vocab_size": 512, "sentinels": 2}},
            "match: tokenizer.sentinels: wanted at least ",
        ),
        (
            {
                "match": {
                    "by": "flops",
                    "solved": {"msked": {"by": ["flps"], "reference": "causal"}},
                }
            },
            "match.solved.msked: no model 'msked'; did you mean 'masked'?",
        ),
    ],
)
def test_what_is_wrong_is_said(more: dict[str, Any], wanted: str, make: Make) -> None:
    with pytest.raises(InputError) as caught:
        make(**({"models": MODELS} | SHAPE | more))
    assert any(problem.startswith(wanted) for problem in caught.value.problems), (
        caught.value.problems
    )


def test_wall_time_is_refused_with_the_reason(make: Make) -> None:
    with pytest.raises(InputError, match="known when a run is over.*match flops"):
        make(models=MODELS, match="seconds", **SHAPE)


def test_a_matching_that_is_wrong_spares_the_hypotheses(make: Make) -> None:
    claim = {"claim": "x", "task": "next", "model": "causal", "reference": "seq2seq at equal flops"}
    with pytest.raises(InputError) as caught:
        make(models=MODELS, match=["tokns", "flops"], hypotheses={"H": claim}, **SHAPE)
    assert caught.value.problems == ["match: no matching \"tokns\"; did you mean 'tokens'?"]


def test_models_that_are_not_named_stay_as_they_are(make: Make) -> None:
    matching = {"by": ["parameters", "flops"], "models": ["seq2seq"]}
    experiment = make(models=MODELS, match=matching, **SHAPE)
    assert list(experiment.models) == [
        "causal",
        "masked",
        "seq2seq at equal parameters",
        "seq2seq at equal flops",
    ]
    assert experiment.models["masked"] == make(models=MODELS, **SHAPE).models["masked"]
    assert experiment.match is not None and "masked" not in experiment.match.solved
    again = parse(experiment.resolved())
    assert again.models == experiment.models
    wrongs = {
        "maskd": "no model 'maskd'; did you mean 'masked'?",
        "causal": "wanted another model than the reference, got 'causal'",
        "ready": "wanted a model that is trained here, got the checkpoint 'ready'",
    }
    for wrong, said in wrongs.items():
        with pytest.raises(InputError) as caught:
            make(
                models={**MODELS, "ready": {"checkpoint": "org/name"}},
                match={**matching, "models": [wrong]},
                **SHAPE,
            )
        assert caught.value.problems == [f"match.models.0: {said}"]
