"""The shared tokenizer."""

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
"""The special tokens 0 to 3 of a vocabulary of our own; the sentinels ``<extra_id_0>``, ... follow."""

_SENTINEL = re.compile(r"<extra_id_([0-9]+)>")
_VERSION = 1  # of the format: raise it when it changes, so that no old cache is read
_DOCUMENTS = 1000


class Tokenizer:
    """A tokenizer with the special tokens that the objectives need; text never turns into one of those.

    Made by ``train``, ``load`` or ``wrap``.

    Attributes:
        hf_tokenizer: the transformers tokenizer, as saved beside a model.
        special: the ids that are not text.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerFast", size: int = 0) -> None:
        import tokenizers
        from tokenizers import AddedToken

        self.hf_tokenizer = tokenizer
        backend = tokenizer.backend_tokenizer
        described = json.loads(backend.to_str())
        vocabulary = backend.get_vocab(with_added_tokens=True)
        self._size = max(max(vocabulary.values()) + 1, size)
        sentinels = {
            int(match[1]): i for t, i in vocabulary.items() if (match := _SENTINEL.fullmatch(t))
        }
        flagged = {t["id"] for t in described["added_tokens"] if t["special"]}
        special = flagged | set(tokenizer.all_special_ids) | set(sentinels.values())
        tokens = [""] * self._size
        for token, i in vocabulary.items():
            tokens[i] = token
        style = style_of(described)
        starts, ends = word_starts(tokens, style), sentence_ends(tokens, style)
        starts[list(special)], ends[list(special)] = True, False
        eos = _first(tokenizer.eos_token_id, tokenizer.sep_token_id)
        if eos is None:
            raise InputError(
                "tokenizer: wanted an end-of-text token (eos_token or sep_token), got none"
            )
        # T5 starts its decoder with the padding token (Raffel et al. 2020); GPT-2 has one token for all three.
        bos = _first(
            tokenizer.bos_token_id,
            tokenizer.cls_token_id,
            tokenizer.pad_token_id if sentinels else eos,
            eos,
        )
        pad, mask = _first(tokenizer.pad_token_id, eos), _first(tokenizer.mask_token_id, -1)
        assert bos is not None and pad is not None and mask is not None
        self.special = SpecialTokens(
            pad=pad,
            bos=bos,
            eos=eos,
            mask=mask,
            sentinels=tuple(i for _, i in sorted(sentinels.items())),
            ordinary=np.array(
                [i for i in sorted(vocabulary.values()) if i not in special], dtype=np.int64
            ),
            word_starts=starts,
            sentence_ends=ends,
        )
        self._cuts = described["pre_tokenizer"] is not None
        # A copy of our own: the tokenizer's own settings (truncation, what raw text may turn into) stay as they are.
        self._backend = tokenizers.Tokenizer.from_str(
            json.dumps(described | {"truncation": None, "padding": None})
        )
        self._backend.add_special_tokens(
            [AddedToken(tokens[i], normalized=False) for i in sorted(special)]
        )
        self._backend.encode_special_tokens = True
        self._text = np.zeros(self._size, dtype=bool)
        self._text[self.special.ordinary] = True

    def __reduce__(self) -> tuple[Any, ...]:
        # Made anew on the other side: a pickled backend forgets that raw text holds no special tokens.
        return (Tokenizer, (self.hf_tokenizer, self._size))

    @property
    def size(self) -> int:
        """Number of ids, special ones included: the highest id and one, or as many as ``wrap`` was told."""
        return self._size

    @property
    def target(self) -> "Tokenizer":
        """The vocabulary in which a decoder writes: this one, but for a translator that reads in another."""
        return self

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the tokenizer and the ids of the special tokens."""
        special = self.special
        ids = (special.pad, special.bos, special.eos, special.mask, special.sentinels)
        return digest(json.loads(self._backend.to_str()), ids)

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, none of them special: '<mask>' in the text is six characters like any other."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text: as ``encode``, on all threads."""
        encodings = self._backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def encode_with_offsets(self, texts: Sequence[str]) -> list[TokenOffsets]:
        """Return the tokens of each text with their places in it; the ids are those of ``encode_batch``."""
        encodings = self._backend.encode_batch(list(texts), add_special_tokens=False)
        return [
            self._pieces(text, encoding) for text, encoding in zip(texts, encodings, strict=True)
        ]

    def _pieces(self, text: str, encoding: Any) -> TokenOffsets:
        ids = np.array(encoding.ids, dtype=np.int64)
        spans = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
        for span in spans:
            piece = text[span[0] : span[1]]
            span[0] += len(piece) - len(piece.lstrip())
        if self._cuts:
            cut = np.array(
                [-1 if word is None else word for word in encoding.word_ids], dtype=np.int64
            )
            starts = np.diff(cut, prepend=-2) != 0
            alone = np.array(
                [stands_alone(text[start : start + 1]) for start, _ in spans], dtype=bool
            )
            starts |= alone & (np.diff(spans[:, 0], prepend=-1) != 0)
        else:
            starts = self.special.word_starts[ids].copy()
            starts[:1] = True
        return TokenOffsets(ids, spans, np.cumsum(starts) - 1)

    @cached_property
    def frame(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """What the tokenizer by itself puts before and after a text: ids, such as those of [CLS] and [SEP]."""
        encoding = self.hf_tokenizer.backend_tokenizer.encode("a", add_special_tokens=True)
        text = np.flatnonzero(np.array(encoding.special_tokens_mask) == 0)
        first, last = (int(text[0]), int(text[-1]) + 1) if len(text) else (0, 0)
        return tuple(encoding.ids[:first]), tuple(encoding.ids[last:])

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of the ids; ids that are not text are skipped.

        With a vocabulary of our own, ``decode(encode(text)) == text`` for every text.
        """
        text = [int(i) for i in ids if 0 <= i < self._size and self._text[i]]
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
        """Return the vocabulary of a checkpoint's fast tokenizer, which stays as it is.

        ``size`` is the number of ids that the network knows: checkpoints often have more than their tokenizer.

        Where it has no bos, its cls is taken (T5: its pad; else its eos); no eos: its sep; no pad: its eos; no mask:
        -1. Sentinels are its tokens ``<extra_id_n>``, by n.

        Raises:
            InputError: it is not a fast tokenizer, or has neither eos nor sep.
        """
        if not getattr(tokenizer, "is_fast", False):
            raise InputError(
                f"tokenizer: wanted a fast one (PreTrainedTokenizerFast), got {type(tokenizer).__name__}"
            )
        return cls(tokenizer, size)

    @classmethod
    def train(cls, texts: Iterable[str], vocabulary: settings.TokenizerSettings) -> "Tokenizer":
        """Return a byte-level BPE vocabulary (Radford et al. 2019, section 2.2) learnt from the texts.

        Ids: ``<pad> <bos> <eos> <mask>`` are 0 to 3, then the sentinels, the 256 bytes, and the merges. A small text
        may have fewer merges than asked for: then ``size`` is smaller.

        Raises:
            InputError: the size does not hold the special tokens and the bytes.
        """
        import tokenizers
        from tokenizers import AddedToken, decoders, models, pre_tokenizers, trainers
        from transformers import PreTrainedTokenizerFast

        sentinels = [f"<extra_id_{n}>" for n in range(vocabulary.sentinels)]
        names = [*RESERVED, *sentinels]
        if vocabulary.vocab_size < len(names) + 256:
            raise InputError(
                f"tokenizer.vocab_size: wanted at least {len(names) + 256} ({len(RESERVED)} special tokens, "
                f"{len(sentinels)} sentinels and 256 bytes), got {vocabulary.vocab_size}"
            )
        tokenizer = tokenizers.Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary.vocab_size,
            special_tokens=[AddedToken(name, normalized=False, special=True) for name in names],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer=trainer)
        pad, bos, eos, mask = RESERVED
        wrapper: Any = PreTrainedTokenizerFast  # untyped
        return cls(
            wrapper(
                tokenizer_object=tokenizer,
                pad_token=pad,
                bos_token=bos,
                eos_token=eos,
                mask_token=mask,
                extra_special_tokens=sentinels,
                clean_up_tokenization_spaces=False,
            )
        )


def _first(*ids: int | None) -> int | None:
    return next((i for i in ids if i is not None), None)


def text_batches(documents: "Dataset") -> Iterator[list[str]]:
    """Yield the texts of a split, a thousand at a time."""
    for batch in documents.iter(batch_size=_DOCUMENTS):
        yield batch["text"]


def build_tokenizer(
    corpus: Corpus, vocabulary: settings.TokenizerSettings, cache: Path
) -> Tokenizer:
    """Train the shared vocabulary on the train split alone, once: a second call finds ``cache/vocabulary-<hash>``.

    Raises:
        InputError: the size does not hold the special tokens and the bytes.
        LmcompareError: the cache cannot be written.
    """
    key = digest(_VERSION, corpus.fingerprint, vocabulary.vocab_size, vocabulary.sentinels)

    def build(folder: Path) -> None:
        Tokenizer.train(
            (text for texts in text_batches(corpus.train) for text in texts), vocabulary
        ).save(folder)

    return Tokenizer.load(cached(cache / f"vocabulary-{key[:16]}", build))
