"""Tiny random checkpoints of each family, with a tokenizer that follows its conventions."""

import io
import json
import tempfile
import warnings
from pathlib import Path

import torch
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForMaskedLM,
    DebertaV2Config,
    DebertaV2ForMaskedLM,
    ElectraConfig,
    ElectraForMaskedLM,
    Glm4Config,
    Glm4ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Mamba2Config,
    Mamba2ForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MarianConfig,
    MarianMTModel,
    ModernBertConfig,
    ModernBertDecoderConfig,
    ModernBertDecoderForCausalLM,
    ModernBertForMaskedLM,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
    RecurrentGemmaConfig,
    RecurrentGemmaForCausalLM,
    RobertaConfig,
    RobertaForMaskedLM,
    T5Config,
    T5ForConditionalGeneration,
    T5GemmaConfig,
    T5GemmaForConditionalGeneration,
)

WORDS = (
    "the film was a good bad dull long short story with an actor who played it well and never lost "
    "heart"
).split()
TEXTS = [" ".join(WORDS[i:] + WORDS[:i]) + "." for i in range(len(WORDS))] + [
    "unbelievably played, don't you think?"
]


def byte_level(special, first="", last="", **roles):
    """GPT-2's kind; ``first`` and ``last`` are put around a text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330, special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator(TEXTS, trainer)
    return _framed(tokenizer, first, last, roles)


def word_piece():
    """BERT's kind: lower case, [CLS] and [SEP]."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=150, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
        show_progress=False,
        initial_alphabet=list("今天气很好适合出去玩的"),
    )  # fmt: skip
    tokenizer.train_from_iterator(TEXTS, trainer)
    return _framed(
        tokenizer, "[CLS]", "[SEP]",
        {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"},
    )  # fmt: skip


def metaspace(last, special, **roles):
    """T5's and Marian's kind: '▁' before words."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=120, special_tokens=special, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    return _framed(tokenizer, "", last, roles)


def _framed(tokenizer, first, last, roles):
    if first or last:
        pair = [(token, tokenizer.token_to_id(token)) for token in {first, last} - {""}]
        template = f"{first} $A {last}".strip()
        tokenizer.post_processor = processors.TemplateProcessing(
            single=template, special_tokens=pair
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **{f"{role}_token": token for role, token in roles.items()}
    )


def _gpt2_tokenizer():
    return byte_level(
        ["<|endoftext|>"], bos="<|endoftext|>", eos="<|endoftext|>", unk="<|endoftext|>"
    )


def _llama_tokenizer():
    return byte_level(["<unk>", "<s>", "</s>"], first="<s>", unk="<unk>", bos="<s>", eos="</s>")


def _roberta_tokenizer():
    return byte_level(
        ["<s>", "<pad>", "</s>", "<unk>", "<mask>"], "<s>", "</s>",
        bos="<s>", pad="<pad>", eos="</s>", unk="<unk>", mask="<mask>", cls="<s>", sep="</s>",
    )  # fmt: skip


def _glm_tokenizer():
    return byte_level(
        ["<|endoftext|>", "[gMASK]", "<sop>"], "[gMASK]", pad="<|endoftext|>", eos="<|endoftext|>"
    )


def _t5_tokenizer():
    return metaspace(
        "</s>", ["<pad>", "</s>", "<unk>", *(f"<extra_id_{n}>" for n in range(8))],
        pad="<pad>", eos="</s>", unk="<unk>",
    )  # fmt: skip


def _marian_tokenizer():
    return metaspace("</s>", ["</s>", "<unk>", "<pad>"], pad="<pad>", eos="</s>", unk="<unk>")


def translator(separate=False):
    """Marian's own: a sentencepiece model for each side; the ids are those of vocab.json."""
    import sentencepiece
    from transformers import MarianTokenizer

    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Recommended: pip install sacremoses")
        files, tables = {}, []
        for side, size, kind in (("source", 55, "unigram"), ("target", 70, "bpe")):
            model = io.BytesIO()
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(TEXTS),
                model_writer=model,
                vocab_size=size,
                model_type=kind,
                minloglevel=2,
            )
            files[side] = Path(name) / f"{side}.spm"
            files[side].write_bytes(model.getvalue())
            read = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
            tables.append([read.id_to_piece(i) for i in reversed(range(3, read.get_piece_size()))])
        if not separate:
            tables = [[*dict.fromkeys(tables[0] + tables[1])]]
        paths = []
        for i, pieces in enumerate(tables):
            tokens = ["</s>", "<unk>", *pieces, *([] if i else [">>fra<<"]), "<pad>"]
            paths.append(Path(name) / f"{i}.json")
            paths[i].write_text(json.dumps({token: n for n, token in enumerate(tokens)}))
        return MarianTokenizer(
            str(files["source"]), str(files["target"]), str(paths[0]),
            target_vocab_file=str(paths[-1]) if separate else None, separate_vocabs=separate,
        )  # fmt: skip


def _gemma_tokenizer():
    return byte_level(
        ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"],
        "<bos>",
        pad="<pad>",
        eos="<eos>",
        bos="<bos>",
        unk="<unk>",
    )


SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
}
GROUPED = SIZES | {"num_key_value_heads": 1, "head_dim": 16}
BART = {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48,
    "max_position_embeddings": 64,
}  # fmt: skip


def _t5gemma(tokens, **ids):
    part = GROUPED | {
        "query_pre_attn_scalar": 16, "vocab_size": tokens, "max_position_embeddings": 64,
        "sliding_window": 64,
        "layer_types": ["full_attention"] * 2, **ids,
    }  # fmt: skip
    return T5GemmaConfig(encoder=dict(part), decoder=dict(part), vocab_size=tokens, **ids)


def _config(name, n, special):
    found = {
        "pad": special["pad"],
        "bos": special["bos"] or special["cls"],
        "eos": special["eos"] or special["sep"],
    }
    ids = {f"{role}_token_id": i for role, i in found.items() if i is not None}
    if name == "gpt2":
        ids["pad_token_id"] = None
    long = {"vocab_size": n, "max_position_embeddings": 64} | ids
    return {
        "gpt2": lambda: GPT2Config(
            vocab_size=n, n_positions=64, n_embd=32, n_layer=2, n_head=2, **ids
        ),
        "llama": lambda: LlamaConfig(**GROUPED, **long),
        "qwen3": lambda: Qwen3Config(**GROUPED, **long),
        "gpt_neox": lambda: GPTNeoXConfig(**SIZES, **long),
        "glm4": lambda: Glm4Config(**GROUPED, **long),
        "modernbert_decoder": lambda: ModernBertDecoderConfig(**SIZES, **long),
        "mamba": lambda: MambaConfig(
            vocab_size=n, hidden_size=32, state_size=8, num_hidden_layers=2, **ids
        ),
        "mamba2": lambda: Mamba2Config(
            vocab_size=n, hidden_size=32, state_size=8, num_hidden_layers=2, num_heads=4,
            head_dim=16, n_groups=1,
            chunk_size=8, **ids,
        ),
        "recurrent_gemma": lambda: RecurrentGemmaConfig(
            **SIZES | {"num_hidden_layers": 3, "intermediate_size": 96}, num_key_value_heads=1,
            lru_width=32,
            attention_window_size=8, vocab_size=n, **ids,
        ),
        "bert": lambda: BertConfig(**SIZES, **long),
        "deberta_v2": lambda: DebertaV2Config(
            **SIZES, **long, relative_attention=True, pos_att_type=["p2c", "c2p"],
            position_biased_input=False,
            norm_rel_ebd="layer_norm", share_att_key=True, position_buckets=8, type_vocab_size=0,
        ),
        "roberta": lambda: RobertaConfig(**SIZES, **long),
        "electra": lambda: ElectraConfig(**SIZES, **long, embedding_size=16),
        "modernbert": lambda: ModernBertConfig(
            **SIZES, **long, cls_token_id=special["cls"], sep_token_id=special["sep"]
        ),
        "t5": lambda: T5Config(
            vocab_size=n, d_model=32, d_kv=16, d_ff=48, num_layers=2, num_heads=2,
            decoder_start_token_id=0, **ids
        ),
        "bart": lambda: BartConfig(
            vocab_size=n, decoder_start_token_id=2, forced_eos_token_id=2, **BART, **ids
        ),
        "marian": lambda: MarianConfig(
            vocab_size=n, decoder_vocab_size=n, decoder_start_token_id=found["pad"],
            forced_eos_token_id=0,
            **BART, **ids,
        ),
        "marian_spm": lambda: MarianConfig(
            vocab_size=n, decoder_vocab_size=n, decoder_start_token_id=found["pad"],
            forced_eos_token_id=0,
            **BART, **ids,
        ),
        "t5gemma": lambda: _t5gemma(n, **ids),
    }[name]()  # fmt: skip


FAMILIES = {
    "gpt2": (GPT2LMHeadModel, _gpt2_tokenizer),
    "llama": (LlamaForCausalLM, _llama_tokenizer),
    "qwen3": (Qwen3ForCausalLM, _gpt2_tokenizer),
    "gpt_neox": (GPTNeoXForCausalLM, _gpt2_tokenizer),
    "glm4": (Glm4ForCausalLM, _glm_tokenizer),
    "modernbert_decoder": (ModernBertDecoderForCausalLM, word_piece),
    "mamba": (MambaForCausalLM, _gpt2_tokenizer),
    "mamba2": (Mamba2ForCausalLM, _gpt2_tokenizer),
    "recurrent_gemma": (RecurrentGemmaForCausalLM, _gemma_tokenizer),
    "bert": (BertForMaskedLM, word_piece),
    "deberta_v2": (DebertaV2ForMaskedLM, word_piece),
    "roberta": (RobertaForMaskedLM, _roberta_tokenizer),
    "electra": (ElectraForMaskedLM, word_piece),
    "modernbert": (ModernBertForMaskedLM, word_piece),
    "t5": (T5ForConditionalGeneration, _t5_tokenizer),
    "bart": (BartForConditionalGeneration, _roberta_tokenizer),
    "marian": (MarianMTModel, _marian_tokenizer),
    "marian_spm": (MarianMTModel, translator),
    "t5gemma": (T5GemmaForConditionalGeneration, _gemma_tokenizer),
}


def build(name, tokenizer=None):
    """Return a random network of the family, with large weights, and its tokenizer."""
    cls, make = FAMILIES[name]
    tokenizer = tokenizer or make()
    special = {
        role: getattr(tokenizer, f"{role}_token_id") for role in ("pad", "bos", "eos", "cls", "sep")
    }
    # A few more ids than the tokenizer has, as most checkpoints do.
    config = _config(name, len(tokenizer) + 3, special)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = cls(config).eval()
        for parameter in model.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.15)
    return model, tokenizer


def saved(name, folder):
    """Write the family's checkpoint to ``folder``."""
    model, tokenizer = build(name)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
