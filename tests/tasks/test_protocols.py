"""Each task takes some protocols of adaptation, and refuses the others before anything runs."""

from typing import get_args, get_type_hints

import pytest

from lmcompare.core.errors import InputError
from lmcompare.tasks import TASKS

PROTOCOLS = {"finetune", "linear_probe", "lora", "zero_shot", "few_shot", "text_to_text"}
TAKEN = {
    kind: set(get_args(get_type_hints(TASKS[kind])["protocol"]))
    for kind in TASKS
    if "protocol" in get_type_hints(TASKS[kind])
}


def test_which_tasks_take_which_protocols():
    heads = {"finetune", "linear_probe", "lora"}
    assert TAKEN == {
        "classification": PROTOCOLS,
        "instruction_following": {"finetune", "lora"},
        "question_answering": heads,
        "similarity": heads | {"zero_shot"},
        "tagging": heads,
        "text_to_text": {"finetune", "lora", "zero_shot", "few_shot"},
    }


@pytest.mark.parametrize(
    ("kind", "protocol"),
    [(kind, protocol) for kind, taken in TAKEN.items() for protocol in sorted(PROTOCOLS - taken)],
)
def test_another_protocol_is_refused(make, kind, protocol):
    with pytest.raises(InputError, match=f"tasks.x.protocol: .*{protocol}"):
        make(tasks={"x": {"kind": kind, "source": "docstrings", "protocol": protocol}})


def test_the_protocols_are_what_a_network_is_adapted_by():
    adaptation = TASKS["tagging"](None).adaptation
    assert adaptation.by("lora").lora and not adaptation.by("finetune").lora
    assert not adaptation.by("text_to_text").lora
