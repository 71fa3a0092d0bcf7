"""The two tokenizers of a translation model: Marian's own, which is no fast one."""

import hashlib
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np

from lmcompare.core.errors import InputError
from lmcompare.core.example import SpecialTokens
from lmcompare.data.cache import digest
from lmcompare.data.tokenizer import Tokenizer
from lmcompare.data.word_boundaries import TokenOffsets, sentence_ends, word_starts

Side = Literal["source", "target"]


class MarianTokenizer(Tokenizer):
    """One side of Marian's tokenizer (Junczys-Dowmunt et al. 2018): the source, or its ``target``.

    Each side has a sentencepiece model of its own, which cuts a text; the ids are those of
    ``vocab.json``, or, of the target side where ``separate_vocabs`` is set, those of
    ``target_vocab.json``. A piece without an id is unknown. A source may begin with the code of the
    target language (``>>fra<< A film.``), which is one token.

    ``special`` is that of the target on both sides, for it is the decoder whose tokens are
    predicted. ``frame`` (the eos after a source) is the source's. ``decode`` reads ids of its side.

    Args:
        hf_tokenizer: transformers' ``MarianTokenizer``.
        sizes: number of ids of the network's encoder and of its decoder.
        side: which side this is.

    Raises:
        InputError: a side has more ids than the network.
    """

    def __init__(self, hf_tokenizer: Any, sizes: tuple[int, int], side: Side = "source") -> None:
        self.hf_tokenizer = hf_tokenizer
        self._marian: Any = hf_tokenizer
        self._sizes, self._side = sizes, side
        self._size = sizes[1]
        self._model = hf_tokenizer.spm_source if side == "source" else hf_tokenizer.spm_target

        # The ids of each side.
        source = hf_tokenizer.encoder
        target = hf_tokenizer.target_encoder if hf_tokenizer.separate_vocabs else source
        for name, table, size in zip(("source", "target"), (source, target), sizes, strict=True):
            if max(table.values()) >= size:
                wanted = f"wanted at most the {size} ids that the network has on its {name} side"
                raise InputError(f"tokenizer: {wanted}, got {max(table.values()) + 1}")
        self._table = source if side == "source" else target
        self._tokens = [""] * self._size
        for token, i in target.items():
            self._tokens[i] = token

        # What is not text: unknown, eos, padding and the codes of languages.
        unknown, eos, pad = (
            str(token)
            for token in (hf_tokenizer.unk_token, hf_tokenizer.eos_token, hf_tokenizer.pad_token)
        )
        codes = {token for token in source if token.startswith(">>") and token.endswith("<<")}
        self._named = {unknown, eos, pad} | codes
        self._unknown = self._table[unknown]
        self._text = {i: token for token, i in self._table.items() if token not in self._named}
        special = {target[token] for token in self._named if token in target}
        starts = word_starts(self._tokens, "Metaspace")
        ends = sentence_ends(self._tokens, "Metaspace")
        starts[list(special)], ends[list(special)] = True, False
        self.special = SpecialTokens(
            # Padding is read by both sides (without attention to it): it must be an id of both.
            pad=target[pad] if target[pad] < min(sizes) else target[eos],
            bos=target[pad],
            eos=target[eos],
            mask=-1,
            sentinels=(),
            ordinary=np.array(sorted(set(target.values()) - special), dtype=np.int64),
            word_starts=starts,
            sentence_ends=ends,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return (MarianTokenizer, (self._marian, self._sizes, self._side))

    @cached_property
    def target(self) -> "MarianTokenizer":
        """The target side, that of the decoder."""
        return MarianTokenizer(self._marian, self._sizes, "target")

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the two tables, the two sentencepiece models and the side."""
        models = [self._marian.spm_source, self._marian.spm_target]
        proto = [hashlib.sha256(model.serialized_model_proto()).hexdigest() for model in models]
        return digest(self._table, self._tokens, proto, self._side)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text; what a text spells is never eos or padding."""
        return [tokens.ids.tolist() for tokens in self.encode_with_offsets(texts)]

    def encode_with_offsets(self, texts: Sequence[str]) -> list[TokenOffsets]:
        """Return the ids of ``encode_batch``, and where each token stands in its text."""
        return [self._cut(text) for text in texts]

    def _cut(self, text: str) -> TokenOffsets:
        # The code of the target language, where there is one.
        code, rest = self._marian.remove_language_code(text)
        tokens, spans = list(code), [(0, len(token)) for token in code]
        ids = [self._table.get(token, self._unknown) for token in code]

        # The pieces of the rest; none of them is a special token.
        cut = self._model.encode(rest, out_type="offset_mapping")
        skipped = len(text) - len(rest)
        for piece, (begin, end) in zip(cut["pieces"], cut["offsets"], strict=True):
            covered = text[skipped + begin : skipped + end]
            tokens.append(piece)
            spans.append((skipped + end - len(covered.lstrip()), skipped + end))
            is_special = piece in self._named
            ids.append(self._unknown if is_special else self._table.get(piece, self._unknown))

        starts = word_starts(tokens, "Metaspace")
        starts[:1] = True
        # A mark of the word's beginning may stand alone; the word follows.
        starts[1:] &= np.array([token != "▁" for token in tokens[:-1]], dtype=bool)
        places = np.array(spans, dtype=np.int64).reshape(-1, 2)
        return TokenOffsets(np.array(ids, dtype=np.int64), places, np.cumsum(starts) - 1)

    @cached_property
    def frame(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Nothing before a source, and its eos after it."""
        return (), (int(self._marian.encoder[str(self._marian.eos_token)]),)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids of this side; ids that are not text are skipped."""
        pieces = [self._text[int(i)] for i in ids if int(i) in self._text]
        decoded: str = self._model.decode_pieces(pieces)
        return decoded
