"""Renamed YAML keys: the error message for an old key names the new one."""

from fnmatch import fnmatchcase

RENAMED = {
    "arms": "models",
    "vocabulary": "tokenizer",
    "blocks": "sequence",
    "tokenizer.size": "vocab_size",
    "sequence.documents": "packing",
    "*network.block": "architecture",
    "*network.width": "hidden_size",
    "*network.layers": "num_layers",
    "*network.heads": "num_heads",
    "*network.feedforward": "ffn_multiplier",
    "*training.batch": "batch_size",
    "*training.accumulation": "gradient_accumulation_steps",
    "*training.warmup": "warmup_ratio",
    "*training.decay": "lr_scheduler",
    "*training.betas": "adam_betas",
    "*training.clip": "max_grad_norm",
    "*training.validation_blocks": "validation_sequences",
    "*adaptation.batch": "batch_size",
    "*adaptation.warmup": "warmup_ratio",
    "*adaptation.rank": "lora_rank",
    "*adaptation.alpha": "lora_alpha",
    "*adaptation.method": "tasks.<name>.protocol",
    "hypotheses.*.first": "model",
    "hypotheses.*.second": "reference",
    "hypotheses.*.says": "test",
    "hypotheses.*.found": "reported",
}
"""Pattern of an old path -> the new key."""

RENAMED_OF_KIND = {
    "masked.rate": "mask_rate",
    "masked.masked": "mask_token_share",
    "masked.random": "random_token_share",
    "seq2seq.rate": "corruption_rate",
    "seq2seq.mean_span": "mean_span_length",
    "glm.rate": "corruption_rate",
    "glm.mean_span": "mean_span_length",
    "bart.rate": "mask_rate",
    "bart.mean_span": "mean_span_length",
    "bart.permute": "permute_sentences",
    "prefix.network": "architecture",
    "mixture.answer": "inference",
    "classification.route": "protocol",
    "classification.words": "verbalizer",
    "classification.shots": "num_fewshot",
    "similarity.route": "protocol",
    "text_to_text.shots": "num_fewshot",
    "text_to_text.between": "fewshot_delimiter",
    "text_to_text.as_is": "keep_whitespace",
    "text_to_text.length": "max_new_tokens",
    "text_to_text.keep": "truncation_side",
    "instruction_following.length": "max_new_tokens",
    "instruction_following.keep": "truncation_side",
    "*tuned.*.words": "verbalizer",
    "*unseen.*.words": "verbalizer",
    "question_answering.longest": "max_answer_length",
    "nbest_rescoring.weights": "lm_weights",
    "nbest_rescoring.bonuses": "word_bonuses",
}
"""Pattern of an old key after the kind of its plug-in -> the new key."""

RENAMED_KINDS = {
    "extraction": "question_answering",
    "transduction": "text_to_text",
    "rescoring": "nbest_rescoring",
    "instructions": "instruction_following",
}
"""Old kind of a task -> the new one."""


def renamed(path: str, kind: str = "") -> str:
    """Return ``"; it is called 'tokenizer' now"`` for the path of a renamed key, else ''.

    >>> renamed("vocabulary"), renamed("models.a.network.width"), renamed("training.tokns")
    ("; it is called 'tokenizer' now", "; it is called 'hidden_size' now", '')
    >>> renamed("models.a.objective.rate", "masked")
    "; it is called 'mask_rate' now"
    """
    of_kind = f"{kind}.{path.rpartition('.')[2]}"
    for table, key in ((RENAMED, path), (RENAMED_OF_KIND, of_kind), (RENAMED_OF_KIND, path)):
        for pattern, new in table.items():
            if fnmatchcase(key, pattern):
                return f"; it is called {new!r} now"
    return ""


def renamed_kind(kind: str) -> str:
    """Return what ``renamed`` does, of the kind of a task."""
    return f"; it is called {RENAMED_KINDS[kind]!r} now" if kind in RENAMED_KINDS else ""
