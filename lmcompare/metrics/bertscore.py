"""How alike the states of an answer's tokens are to those of a right one (BERTScore)."""

import warnings
from typing import Any

import evaluate

from lmcompare.core.errors import InputError
from lmcompare.metrics import _pairs
from lmcompare.metrics._checks import checkpoint, package, require_answers

_DESCRIPTION = """\
BERTScore: each token of an answer is matched with the most similar token of a right one, by the cosine of their states,
and the reverse; F1 of the two, the mean over items. At most 1, higher is better. Comparable only under the same model
and layer; without the rescaling of the paper's section 4, so that values lie close together.
"""
_INPUTS = """
Args:
    predictions: (n,) answers.
    references: (n,) the right answer, or the list of all right answers; the best of them counts.
    model: folder of an encoder's checkpoint with its tokenizer (the paper: RoBERTa large).
    layer: which states; None (default): the last ones. The paper chose layer 17 of RoBERTa large's 24.
    idf: weigh tokens by their inverse document frequency in the references. Default False.
    per_item: also return each item's F1. Default False.
Returns:
    {"bertscore": float, "precision": float, "recall": float}; with per_item also {"items": (n,) F1}.
Raises:
    InputError: there is no prediction or no model, no such layer, or the extra `lmcompare[judges]` is not installed.
Example:
    load("bertscore").compute(predictions=["a good film"], references=["a fine film"], model="path/to/roberta-large")
"""
_CITATION = """\
Zhang, Kishore, Wu, Weinberger & Artzi (2020). BERTScore: evaluation_mode text generation with BERT. ICLR. arXiv:1904.09675.
Computed by bert-score.
"""


class BertScore(_pairs.TextMetric):
    """Mean F1 of matched states (bert-score's ``score``)."""

    def _info(self) -> Any:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=_pairs.TEXTS,
            reference_urls=["https://github.com/Tiiiger/bert_score"],
        )

    def _compute(
        self,
        predictions: list[str],
        references: list[list[str]],
        model: str | None = None,
        layer: int | None = None,
        idf: bool = False,
        per_item: bool = False,
    ) -> dict[str, Any]:
        require_answers("bertscore", predictions)
        library = package("bertscore", "bert_score")
        folder = checkpoint("bertscore", model)
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        layers = config.num_hidden_layers
        if layer is not None and not 1 <= layer <= layers:
            raise InputError(f"bertscore: layer: wanted one from 1 to {layers}, got {layer}")
        right = [list(texts) for texts in references]
        scorer = library.BERTScorer(
            model_type=str(folder), num_layers=layer or layers, idf=idf, device="cpu"
        )
        # A tokenizer that was told no longest text says 1e30, which its truncation cannot hold.
        longest = scorer._tokenizer.model_max_length
        scorer._tokenizer.model_max_length = min(longest, config.max_position_embeddings)
        if idf:
            scorer.compute_idf([text for texts in right for text in texts])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of empty texts, which score 0
            said = scorer.score(list(predictions), right)
        precision, recall, f1 = (values.double().numpy() for values in said)
        found = {
            "bertscore": float(f1.mean()),
            "precision": float(precision.mean()),
            "recall": float(recall.mean()),
        }
        return found | ({"items": f1.tolist()} if per_item else {})
