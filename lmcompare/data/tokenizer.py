"""The tokenizer that all networks of an experiment share, and those of checkpoints."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lmcompare.core import settings
from lmcompare.core.errors import InputError
from lmcompare.core.example import SpecialTokens
from lmcompare.data import Corpus
from lmcompare.data.cache import cached, digest
from lmcompare.data.word_boundaries import (
    TokenOffsets,
    sentence_ends,
    stands_alone,
    style_of,
    word_starts,
)

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerFast

RESERVED = ("<pad>", "<bos>", "<eos>", "<mask>")
"""The special tokens 0 to 3 of a trained tokenizer; the sentinels ``<extra_id_0>``, ... follow."""

_SENTINEL = re.compile(r"<extra_id_([0-9]+)>")
_VERSION = 1  # of the format: raise it when it changes, so that no old cache is read
_DOCUMENTS = 1000


class Tokenizer:
    """A tokenizer with the special tokens that the objectives need; text never becomes one of them.

    Made by ``train``, ``load`` or ``wrap``.

    Attributes:
        hf_tokenizer: the transformers tokenizer, as saved beside a model.
        special: the ids that are not text.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerFast", size: int = 0) -> None:
        import tokenizers
        from tokenizers import AddedToken

        self.hf_tokenizer = tokenizer
        config = json.loads(tokenizer.backend_tokenizer.to_str())
        vocabulary = tokenizer.backend_tokenizer.get_vocab(with_added_tokens=True)
        self._size = max(max(vocabulary.values()) + 1, size)
        self.special = _special_tokens(tokenizer, config, vocabulary, self._size)
        self._is_text = np.zeros(self._size, dtype=bool)
        self._is_text[self.special.ordinary] = True
        self._splits_words = config["pre_tokenizer"] is not None
        # A copy, so that the tokenizer's own settings (truncation, special tokens) stay as they
        # are.
        self._backend = tokenizers.Tokenizer.from_str(
            json.dumps(config | {"truncation": None, "padding": None})
        )
        special = sorted((i, token) for token, i in vocabulary.items() if not self._is_text[i])
        self._backend.add_special_tokens(
            [AddedToken(token, normalized=False) for _, token in special]
        )
        self._backend.encode_special_tokens = True

    def __reduce__(self) -> tuple[Any, ...]:
        # Made anew when unpickled: a pickled backend forgets that text holds no special tokens.
        return (Tokenizer, (self.hf_tokenizer, self._size))

    @property
    def size(self) -> int:
        """Number of ids, special ones included: the highest plus 1, or more (see ``wrap``)."""
        return self._size

    @property
    def target(self) -> "Tokenizer":
        """The tokenizer of the decoder: this one, but for a translation model that has two."""
        return self

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the tokenizer and the ids of the special tokens."""
        special = self.special
        ids = (special.pad, special.bos, special.eos, special.mask, special.sentinels)
        return digest(json.loads(self._backend.to_str()), ids)

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, none of them special: '<mask>' in a text is six characters."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text: as ``encode``, on all threads."""
        encodings = self._backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def encode_with_offsets(self, texts: Sequence[str]) -> list[TokenOffsets]:
        """Return the ids of ``encode_batch``, and where each token stands in its text."""
        encodings = self._backend.encode_batch(list(texts), add_special_tokens=False)
        return [self._offsets(*pair) for pair in zip(texts, encodings, strict=True)]

    def _offsets(self, text: str, encoding: Any) -> TokenOffsets:
        ids = np.array(encoding.ids, dtype=np.int64)
        spans = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
        for span in spans:
            covered = text[span[0] : span[1]]
            span[0] += len(covered) - len(covered.lstrip())
        if self._splits_words:
            # A word begins where the pre-tokenizer says so, and at each character that is a word.
            numbers = [-1 if number is None else number for number in encoding.word_ids]
            starts = np.diff(np.array(numbers, dtype=np.int64), prepend=-2) != 0
            alone = [stands_alone(text[start : start + 1]) for start, _ in spans]
            moved = np.diff(spans[:, 0], prepend=-1) != 0
            starts |= np.array(alone, dtype=bool) & moved
        else:
            starts = self.special.word_starts[ids].copy()
            starts[:1] = True
        return TokenOffsets(ids, spans, np.cumsum(starts) - 1)

    @cached_property
    def frame(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Ids that the tokenizer by itself puts before and after a text, such as [CLS], [SEP]."""
        encoding = self.hf_tokenizer.backend_tokenizer.encode("a", add_special_tokens=True)
        text = np.flatnonzero(np.array(encoding.special_tokens_mask) == 0)
        first, last = (int(text[0]), int(text[-1]) + 1) if len(text) else (0, 0)
        return tuple(encoding.ids[:first]), tuple(encoding.ids[last:])

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of the ids; ids that are not text are skipped.

        With a trained tokenizer, ``decode(encode(text)) == text`` for every text.
        """
        text = [int(i) for i in ids if 0 <= i < self._size and self._is_text[i]]
        decoded: str = self._backend.decode(text, skip_special_tokens=False)
        return decoded

    def save(self, folder: Path) -> None:
        """Write the tokenizer's files, which transformers' AutoTokenizer reads, too."""
        self.hf_tokenizer.save_pretrained(str(folder))

    @classmethod
    def load(cls, folder: Path) -> "Tokenizer":
        """Read what ``save`` wrote, or the tokenizer of a checkpoint in a folder.

        Raises:
            InputError: the folder holds no fast tokenizer.
        """
        from transformers import PreTrainedTokenizerFast

        if not (Path(folder) / "tokenizer.json").is_file():
            raise InputError(f"{folder}: wanted a folder with tokenizer.json, got none")
        return cls(PreTrainedTokenizerFast.from_pretrained(str(folder)))

    @classmethod
    def wrap(cls, tokenizer: "PreTrainedTokenizerFast", size: int = 0) -> "Tokenizer":
        """Wrap a checkpoint's fast tokenizer, which stays as it is.

        ``size`` is the number of ids that the network knows, often more than the tokenizer has.

        Where it has no bos, its cls is taken (T5: its pad; else its eos); no eos: its sep; no pad:
        its eos; no mask: -1. Sentinels are its tokens ``<extra_id_n>``, by n.

        Raises:
            InputError: it is not a fast tokenizer, or has neither eos nor sep.
        """
        if not getattr(tokenizer, "is_fast", False):
            wanted = "wanted a fast one (PreTrainedTokenizerFast)"
            raise InputError(f"tokenizer: {wanted}, got {type(tokenizer).__name__}")
        return cls(tokenizer, size)

    @classmethod
    def train(cls, texts: Iterable[str], tokenizer: settings.TokenizerSettings) -> "Tokenizer":
        """Train a byte-level BPE tokenizer (Radford et al. 2019, section 2.2) on the texts.

        Ids: ``<pad> <bos> <eos> <mask>`` are 0 to 3, then the sentinels, the 256 bytes, and the
        merges. A small text may have fewer merges than ``vocab_size`` allows.

        Raises:
            InputError: the size does not hold the special tokens and the bytes.
        """
        import tokenizers
        from tokenizers import AddedToken, decoders, models, pre_tokenizers, trainers
        from transformers import PreTrainedTokenizerFast

        sentinels = [f"<extra_id_{n}>" for n in range(tokenizer.sentinels)]
        names = [*RESERVED, *sentinels]
        if tokenizer.vocab_size < len(names) + 256:
            raise InputError(
                f"tokenizer.vocab_size: wanted at least {len(names) + 256} ({len(RESERVED)} "
                f"special tokens, {len(sentinels)} sentinels and 256 bytes), "
                f"got {tokenizer.vocab_size}"
            )
        backend = tokenizers.Tokenizer(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=tokenizer.vocab_size,
            special_tokens=[AddedToken(name, normalized=False, special=True) for name in names],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        backend.train_from_iterator(texts, trainer=trainer)
        pad, bos, eos, mask = RESERVED
        wrapper: Any = PreTrainedTokenizerFast  # untyped
        return cls(
            wrapper(
                tokenizer_object=backend,
                pad_token=pad,
                bos_token=bos,
                eos_token=eos,
                mask_token=mask,
                extra_special_tokens=sentinels,
                clean_up_tokenization_spaces=False,
            )
        )


def _special_tokens(
    tokenizer: "PreTrainedTokenizerFast",
    config: dict[str, Any],
    vocabulary: dict[str, int],
    size: int,
) -> SpecialTokens:
    """Return the special tokens of a fast tokenizer, from its JSON and its tokens' ids."""
    sentinels = {
        int(match[1]): i for token, i in vocabulary.items() if (match := _SENTINEL.fullmatch(token))
    }
    flagged = {token["id"] for token in config["added_tokens"] if token["special"]}
    special = flagged | set(tokenizer.all_special_ids) | set(sentinels.values())

    # (vocab,) what each token is in a text.
    tokens = [""] * size
    for token, i in vocabulary.items():
        tokens[i] = token
    style = style_of(config)
    starts, ends = word_starts(tokens, style), sentence_ends(tokens, style)
    starts[list(special)], ends[list(special)] = True, False

    # The roles of the special tokens, by what the tokenizer has.
    eos = _first(tokenizer.eos_token_id, tokenizer.sep_token_id)
    if eos is None:
        wanted = "wanted an end-of-text token (eos_token or sep_token)"
        raise InputError(f"tokenizer: {wanted}, got none")
    # T5 starts its decoder with the padding token (Raffel et al. 2020); GPT-2 has one for all
    # three.
    default = tokenizer.pad_token_id if sentinels else eos
    bos = _first(tokenizer.bos_token_id, tokenizer.cls_token_id, default, eos)
    pad, mask = _first(tokenizer.pad_token_id, eos), _first(tokenizer.mask_token_id, -1)
    assert bos is not None and pad is not None and mask is not None
    ordinary = [i for i in sorted(vocabulary.values()) if i not in special]
    return SpecialTokens(
        pad=pad,
        bos=bos,
        eos=eos,
        mask=mask,
        sentinels=tuple(i for _, i in sorted(sentinels.items())),
        ordinary=np.array(ordinary, dtype=np.int64),
        word_starts=starts,
        sentence_ends=ends,
    )


def _first(*ids: int | None) -> int | None:
    return next((i for i in ids if i is not None), None)


def text_batches(documents: "Dataset") -> Iterator[list[str]]:
    """Yield the texts of a split, a thousand at a time."""
    for batch in documents.iter(batch_size=_DOCUMENTS):
        yield batch["text"]


def build_tokenizer(
    corpus: Corpus, tokenizer: settings.TokenizerSettings, cache: Path
) -> Tokenizer:
    """Train the shared tokenizer on the train split alone, once: it is kept in the cache.

    Raises:
        InputError: the size does not hold the special tokens and the bytes.
        LmcompareError: the cache cannot be written.
    """
    key = digest(_VERSION, corpus.fingerprint, tokenizer.vocab_size, tokenizer.sentinels)

    def build(folder: Path) -> None:
        texts = (text for texts in text_batches(corpus.train) for text in texts)
        Tokenizer.train(texts, tokenizer).save(folder)

    return Tokenizer.load(cached(cache / f"tokenizer-{key[:16]}", build))
