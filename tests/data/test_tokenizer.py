import json
import pickle
import subprocess
import sys
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from lmcompare.core import settings
from lmcompare.core.errors import InputError
from lmcompare.data.tokenizer import Tokenizer
from lmcompare.data.word_boundaries import word_starts

SENTENCES = [
    "The cat sat on the mat.",
    "A dog doesn't see the cat.",
    "Films: good, bad <mask>!",
    "再见，世界。 <extra_id_0>",
]
SETTINGS = settings.TokenizerSettings(vocab_size=400, sentinels=8)
OURS = Tokenizer.train(SENTENCES * 5, SETTINGS)


def test_special_ids_are_where_they_should_be() -> None:
    special = OURS.special
    assert (special.pad, special.bos, special.eos, special.mask) == (0, 1, 2, 3)
    assert special.sentinels == tuple(range(4, 12))
    assert OURS.hf_tokenizer.convert_ids_to_tokens([0, 1, 2, 3, 4, 11]) == [
        "<pad>",
        "<bos>",
        "<eos>",
        "<mask>",
        "<extra_id_0>",
        "<extra_id_7>",
    ]
    assert special.ordinary.tolist() == list(range(12, OURS.size))
    assert OURS.size == len(special.word_starts) == len(OURS.hf_tokenizer) <= 400
    assert special.is_special(np.array([0, 11, 12])).tolist() == [True, True, False]


@hypothesis.settings(deadline=None)
@given(
    st.text()
    | st.lists(
        st.sampled_from(
            ["<mask>", "<eos>", "<extra_id_0>", " ", "\n", "中文", "👩‍👩‍👧", "e\u0301", "a"]
        )
    ).map("".join)
)
def test_every_text_comes_back_and_never_turns_special(text: str) -> None:
    ids = OURS.encode(text)
    assert OURS.decode(ids) == text
    assert OURS.decode([1, *ids, 2, 0, 0, -100, OURS.size]) == text, "what is not text is skipped"
    assert not OURS.special.is_special(np.array(ids, dtype=np.int64)).any()


def test_a_batch_is_its_texts_one_by_one() -> None:
    assert OURS.encode_batch(SENTENCES) == [OURS.encode(text) for text in SENTENCES]
    assert OURS.encode_batch([]) == []


def test_training_again_gives_the_same() -> None:
    again = Tokenizer.train(iter(SENTENCES * 5), SETTINGS)
    assert again.fingerprint == OURS.fingerprint
    assert Tokenizer.train(SENTENCES[:2], SETTINGS).fingerprint != OURS.fingerprint


def test_saving_and_loading_change_nothing(tmp_path: Path) -> None:
    OURS.save(tmp_path)
    loaded = Tokenizer.load(tmp_path)
    assert loaded.fingerprint == OURS.fingerprint and loaded.size == OURS.size
    assert loaded.encode_batch(SENTENCES) == OURS.encode_batch(SENTENCES)
    assert (loaded.special.sentinels, loaded.special.mask) == (
        OURS.special.sentinels,
        OURS.special.mask,
    )
    assert (loaded.special.word_starts == OURS.special.word_starts).all()
    with pytest.raises(InputError, match="tokenizer.json, got none"):
        Tokenizer.load(tmp_path / "no")


def test_a_vocabulary_loads_in_another_process(tmp_path: Path) -> None:
    OURS.save(tmp_path)
    script = (
        "import sys; from pathlib import Path; from lmcompare.data.tokenizer import Tokenizer;"
        "v = Tokenizer.load(Path(sys.argv[1])); print(v.fingerprint, v.encode('a <mask> 世'))"
    )
    command = [sys.executable, "-W", "error", "-c", script, str(tmp_path)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert answer == f"{OURS.fingerprint} {OURS.encode('a <mask> 世')}\n"


def test_a_pickled_vocabulary_is_the_same() -> None:
    copy = pickle.loads(pickle.dumps(OURS))
    assert copy.fingerprint == OURS.fingerprint and copy.encode("a <mask>") == OURS.encode(
        "a <mask>"
    )


def test_a_size_too_small_for_the_bytes_is_refused() -> None:
    with pytest.raises(InputError, match="tokenizer.vocab_size: wanted at least 360 .* got 300"):
        Tokenizer.train(SENTENCES, settings.TokenizerSettings(vocab_size=300, sentinels=100))


def test_word_starts() -> None:
    byte_level = ["ĠThe", "film", "'t", ".", '."', "Ġ", "Ċ", "ä¸Ń", "Ã©", "Ń", "ðŁĺĢ", "ì", "2"]
    expected = [True, False, False, True, True, True, True, True, False, False, True, False, False]
    assert word_starts(byte_level, "ByteLevel").tolist() == expected
    assert word_starts(["film", "##s", "."], "WordPiece").tolist() == [True, False, True]
    assert word_starts(["▁film", "s", "."], "Metaspace").tolist() == [True, False, True]
    assert word_starts(["a", "b"], "").tolist() == [True, True]
    ids = OURS.encode("The cat doesn't.")
    starts = OURS.special.word_starts
    pieces = [OURS.decode([i]) for i in ids]
    assert [piece for i, piece in zip(ids, pieces, strict=True) if starts[i]][-1] == "."
    assert starts[list(OURS.special.sentinels)].all() and starts[OURS.special.eos]


def bert() -> PreTrainedTokenizerFast:
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "the",
        "cat",
        "##s",
        "[",
        "]",
        "mask",
        ".",
        "sat",
    ]
    tokenizer = tokenizers.Tokenizer(
        models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


def gpt2() -> PreTrainedTokenizerFast:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: i for i, letter in enumerate([*letters, "Ġc", "<|endoftext|>"])}
    tokenizer = tokenizers.Tokenizer(models.BPE(vocabulary, [("Ġ", "c")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    end = AddedToken("<|endoftext|>", special=True)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=end, eos_token=end)


def t5() -> PreTrainedTokenizerFast:
    pieces = [
        "<pad>",
        "</s>",
        "<unk>",
        "▁the",
        "▁cat",
        "s",
        "▁",
        "<",
        ">",
        "e",
        "x",
        "t",
        "r",
        "a",
        "_",
        "i",
        "d",
        "0",
    ]
    tokenizer = tokenizers.Tokenizer(
        models.Unigram([(piece, -1.0 - i) for i, piece in enumerate(pieces)], unk_id=2)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    sentinels = [
        f"<extra_id_{n}>" for n in (2, 1, 0)
    ]  # descending, as in T5: <extra_id_0> has the highest id
    tokenizer.add_special_tokens(sentinels)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        extra_special_tokens=sentinels,
    )


def test_wrap_a_bert() -> None:
    theirs = bert()
    ours = Tokenizer.wrap(theirs)
    special = ours.special
    assert (special.pad, special.bos, special.eos, special.mask, special.sentinels) == (
        0,
        2,
        3,
        4,
        (),
    )
    assert ours.encode("The cats sat. [MASK]") == [5, 6, 7, 12, 11, 8, 10, 9]
    assert ours.decode([2, 5, 6, 7, 4, 3, 0]) == "the cats"
    assert special.word_starts[5:8].tolist() == [True, True, False]
    assert theirs("[MASK]")["input_ids"] == [2, 4, 3], "the tokenizer itself stays as it is"


def test_wrap_a_gpt2() -> None:
    ours = Tokenizer.wrap(gpt2())
    end = ours.size - 1
    special = ours.special
    assert (special.pad, special.bos, special.eos, special.mask, special.sentinels) == (
        end,
        end,
        end,
        -1,
        (),
    )
    text = "a cat <|endoftext|> 世"
    assert end not in ours.encode(text) and ours.decode(ours.encode(text)) == text
    assert special.word_starts[ours.encode("a cat")].tolist() == [False, True, False, False]


def test_wrap_a_t5(tmp_path: Path) -> None:
    ours = Tokenizer.wrap(t5())
    special = ours.special
    assert (special.pad, special.bos, special.eos, special.mask) == (0, 0, 1, -1)
    assert special.sentinels == (20, 19, 18)
    ids = ours.encode("the cats <extra_id_0>")
    assert ids[:3] == [3, 4, 5] and not special.is_special(np.array(ids)).any()
    assert ours.decode([3, 4, 5, 20, 1, 0]) == "the cats"
    ours.save(tmp_path)
    assert Tokenizer.load(tmp_path).fingerprint == ours.fingerprint


def test_wrap_refuses_what_has_no_end() -> None:
    with pytest.raises(InputError, match="wanted an end-of-text token"):
        Tokenizer.wrap(
            PreTrainedTokenizerFast(
                tokenizer_object=tokenizers.Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
            )
        )
    with pytest.raises(InputError, match="wanted a fast one .* got str"):
        Tokenizer.wrap("gpt2")  # type: ignore[arg-type]


def test_the_saved_files_say_what_is_special(tmp_path: Path) -> None:
    OURS.save(tmp_path)
    described = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    assert [token["content"] for token in described["added_tokens"] if token["special"]][:4] == [
        "<pad>",
        "<bos>",
        "<eos>",
        "<mask>",
    ]
