"""How similar the hidden states of an answer's tokens are to those of a right one (BERTScore)."""

import warnings
from typing import Any

from lmcompare.core.errors import InputError
from lmcompare.metrics._judges import checkpoint, library
from lmcompare.metrics._metric import TEXT, TEXTS, metric


@metric(
    predictions=TEXT,
    references=TEXTS,
    citation="""\
    Zhang, Kishore, Wu, Weinberger & Artzi (2020). BERTScore: evaluating text generation with BERT.
    ICLR. arXiv:1904.09675. Computed by bert-score.
    """,
    url="https://github.com/Tiiiger/bert_score",
)
def bertscore(
    predictions: list[str],
    references: list[list[str]],
    model: str | None = None,
    layer: int | None = None,
    idf: bool = False,
    per_item: bool = False,
) -> dict[str, Any]:
    """BERTScore: F1 of matching each token with the most similar one of the other text.

    Similarity is the cosine of the tokens' hidden states; the mean over items, at most 1.
    Comparable only under the same model and layer; without the rescaling of the paper's section 4,
    so that values lie close together.

    Args:
        predictions: (n,) answers.
        references: (n,) the right answer, or the list of all right answers; the best of them
            counts.
        model: folder of an encoder's checkpoint with its tokenizer (the paper: RoBERTa large).
        layer: whose states; None: the last layer's. The paper chose layer 17 of RoBERTa large's 24.
        idf: weigh tokens by their inverse document frequency in the references.
        per_item: also return "items": (n,) each item's F1.

    Returns:
        {"bertscore": float, "precision": float, "recall": float}

    Raises:
        InputError: no model, no such layer, or the extra `lmcompare[judges]` is not installed.
    """
    bert_score = library("bert_score")
    folder = checkpoint(model)
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    layers = config.num_hidden_layers
    if layer is not None and not 1 <= layer <= layers:
        raise InputError(f"layer: wanted one from 1 to {layers}, got {layer}")
    right = [list(texts) for texts in references]
    scorer = bert_score.BERTScorer(
        model_type=str(folder), num_layers=layer or layers, idf=idf, device="cpu"
    )
    # A tokenizer without a longest text has 1e30, which its truncation cannot hold.
    longest = scorer._tokenizer.model_max_length
    scorer._tokenizer.model_max_length = min(longest, config.max_position_embeddings)
    if idf:
        scorer.compute_idf([text for texts in right for text in texts])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of empty texts, which score 0
        scores = scorer.score(list(predictions), right)
    scores = dict(zip(("precision", "recall", "bertscore"), scores, strict=True))
    means = {name: float(scores[name].double().numpy().mean()) for name in sorted(scores)}
    return means | ({"items": scores["bertscore"].double().tolist()} if per_item else {})
