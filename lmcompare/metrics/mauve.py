"""How near the distribution of generated texts is to that of real ones (MAUVE), in the states of a model."""

from typing import Any

import datasets
import evaluate

from lmcompare.metrics._checks import judge, package, require_answers

_DESCRIPTION = """\
MAUVE: the area under the curve of divergences between generated and real texts, each a cluster of states of a model.
From 0 to 1, higher is nearer. It wants some thousand texts on either side and is comparable only under the same model,
number of texts and clusters; texts are not paired.
"""
_INPUTS = """
Args:
    predictions: (n,) generated texts.
    references: (n,) real texts, in any order.
    model: folder of the model whose states are clustered (the paper: GPT-2 large): a checkpoint or a network that
        lmcompare wrote. The state of a text's last token counts.
    clusters: how many; None (default): a tenth of n, at least 2.
    seed: of the clustering. Default 25, as the library's.
Returns:
    {"mauve": float}
Raises:
    InputError: there is no prediction or no model, or the extra `lmcompare[judges]` is not installed.
Example:
    load("mauve").compute(predictions=generated, references=real, model="path/to/gpt2-large")
"""
_CITATION = """\
Pillutla, Swayamdipta, Zellers, Thickstun, Welleck, Choi & Harchaoui (2021). MAUVE: measuring the gap between neural
text and human text using divergence frontiers. NeurIPS. arXiv:2102.01454. Computed by mauve-text (GPL 3).
"""


class Mauve(evaluate.Metric):  # type: ignore[misc]
    """MAUVE of generated beside real texts (mauve-text's ``compute_mauve``)."""

    def _info(self) -> Any:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features({"predictions": text, "references": text}),
            reference_urls=["https://github.com/krishnap25/mauve"],
        )

    def _compute(
        self,
        predictions: list[str],
        references: list[str],
        model: str | None = None,
        clusters: int | None = None,
        seed: int = 25,
    ) -> dict[str, float]:
        require_answers("mauve", predictions)
        library = package("mauve", "mauve")
        states = judge("mauve", model)
        ours, real = (
            states.embed(list(texts), pooling="last") for texts in (predictions, references)
        )
        found = library.compute_mauve(
            p_features=ours,
            q_features=real,
            num_buckets=clusters or "auto",
            seed=seed,
            verbose=False,
        )
        return {"mauve": float(found.mauve)}
