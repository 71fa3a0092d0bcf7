"""Every causal family reuses the KV cache of a shared prompt, and nothing else changes."""

import numpy as np
import pytest
from tiny import FAMILIES

import lmcompare
from lmcompare.scoring import prefix_sharing

CAUSAL = [
    name
    for name, (cls, _) in FAMILIES.items()
    if cls.__name__.endswith(("ForCausalLM", "LMHeadModel"))
]
STATEFUL = {"mamba", "mamba2", "recurrent_gemma"}
"""Their cache is a state, not keys and values: they read a prompt as often as it is given."""

PROMPT = (
    "the film was a good bad dull long short story with an actor who played it well and never lost "
    "heart, and"
)
CHOICES = [" good", " unbelievably long", " a story", " 😀 今天"]


@pytest.mark.parametrize("family", CAUSAL, scope="session")
def test_shared_is_unshared(family, folders, monkeypatch):
    model = lmcompare.load(folders(family))
    assert prefix_sharing.has_kv_cache(model.network) == (family not in STATEFUL)
    if family in STATEFUL:
        return
    assert prefix_sharing.reads_branches(model.network), (
        "asked once, here, so that it is not counted"
    )
    tokens = np.tile(model.tokenizer.encode(PROMPT), 2)[:45]
    pairs = [(tokens, np.array(model.tokenizer.encode(choice))) for choice in CHOICES]
    read = []
    model.network.transformer.base_model.register_forward_pre_hook(
        lambda _, args, given: read.append((*args, given.get("input_ids"))[0].shape),
        with_kwargs=True,
    )
    ours = model.score_tokens(pairs)
    assert read[0] == (1, 32), "the beginning, once"
    # A short one is the trunk of one row.
    short = [(tokens[:12], completion) for _, completion in pairs]
    row = model.score_tokens(short)
    framed = len(model.objective.generation_prompt(tokens[:12], 1, model.tokenizer.special).inputs)
    assert read[2] == (1, framed - 1 + sum(len(completion) for _, completion in short))
    for name in ("LEAST_CACHED", "LEAST_TRUNK"):
        monkeypatch.setattr(prefix_sharing, name, 10_000)
    theirs = [*model.score_tokens(pairs), *model.score_tokens(short)]
    assert sum(map(np.prod, read[:2])) < np.prod(read[3])
    for one, other in zip([*ours, *row], theirs, strict=True):
        assert one == pytest.approx(other, abs=1e-5)
