"""How near the distribution of generated texts is to that of real ones (MAUVE)."""

from lmcompare.metrics._judges import language_model, library
from lmcompare.metrics._metric import TEXT, metric


@metric(
    predictions=TEXT,
    references=TEXT,
    citation="""\
    Pillutla, Swayamdipta, Zellers, Thickstun, Welleck, Choi & Harchaoui (2021). MAUVE: measuring
    the gap between neural text and human text using divergence frontiers. NeurIPS.
    arXiv:2102.01454. Computed by mauve-text (GPL 3).
    """,
    url="https://github.com/krishnap25/mauve",
)
def mauve(
    predictions: list[str],
    references: list[str],
    model: str | None = None,
    clusters: int | None = None,
    seed: int = 25,
) -> dict[str, float]:
    """MAUVE: the area under the curve of divergences of two sets of texts, from 0 to 1.

    Each side is a distribution over clusters of a model's hidden states. It wants some thousand
    texts on either side and is comparable only under the same model, number of texts and clusters;
    texts are not paired.

    Args:
        predictions: (n,) generated texts.
        references: (n,) real texts, in any order.
        model: folder of the model whose states are clustered (the paper: GPT-2 large): a checkpoint
            or a network that lmcompare wrote. The state of a text's last token counts.
        clusters: how many; None: a tenth of n, at least 2.
        seed: of the clustering; 25 is the library's.

    Raises:
        InputError: no model, or the extra `lmcompare[judges]` is not installed.
    """
    mauve_text = library("mauve")
    judge = language_model(model)
    generated, real = (
        judge.embed(list(texts), pooling="last") for texts in (predictions, references)
    )
    result = mauve_text.compute_mauve(
        p_features=generated,
        q_features=real,
        num_buckets=clusters or "auto",
        seed=seed,
        verbose=False,
    )
    return {"mauve": float(result.mauve)}
