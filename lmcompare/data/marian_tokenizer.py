"""The vocabulary of a translator that has two sides: Marian's own tokenizer, which is no fast one."""

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
    """One side of a ``MarianTokenizer`` (Junczys-Dowmunt et al. 2018): by itself the source, ``said`` the target.

    Each side has a sentencepiece model of its own, which cuts a text; the ids are those of ``vocab.json``, or, of the
    target side where ``separate_vocabs`` is set, those of ``target_vocab.json``. A piece without an id is unknown. A
    source may begin with the code of the language wanted (``>>fra<< A film.``), which is one token.

    ``special`` is the same on both sides: that of the target, which is where something is asked. ``frame`` (the eos
    after a source) is the source's. ``decode`` reads ids of its side.

    Args:
        hf_tokenizer: transformers' ``MarianTokenizer``.
        sizes: ids that the network reads on the side of the encoder, and says on that of the decoder.
        side: which side this is.

    Raises:
        InputError: a side has more ids than the network.
    """

    def __init__(self, hf_tokenizer: Any, sizes: tuple[int, int], side: Side = "source") -> None:
        self.hf_tokenizer = hf_tokenizer
        self._marian: Any = hf_tokenizer
        self._sizes, self._side = sizes, side
        own = hf_tokenizer.encoder
        tables = {
            "source": own,
            "target": hf_tokenizer.target_encoder if hf_tokenizer.separate_vocabs else own,
        }
        for (name, table), size in zip(tables.items(), sizes, strict=True):
            if max(table.values()) >= size:
                raise InputError(
                    f"tokenizer: wanted at most the {size} ids that the network has on its {name} side, got "
                    f"{max(table.values()) + 1}"
                )
        self._pieces_of = hf_tokenizer.spm_source if side == "source" else hf_tokenizer.spm_target
        self._table = tables[side]
        self._unknown = self._table[str(hf_tokenizer.unk_token)]
        self._size = sizes[1]
        self._tokens = [""] * self._size
        for token, i in tables["target"].items():
            self._tokens[i] = token
        named = {
            str(token)
            for token in (hf_tokenizer.unk_token, hf_tokenizer.eos_token, hf_tokenizer.pad_token)
        }
        named |= {token for token in own if token.startswith(">>") and token.endswith("<<")}
        self._named = named
        special = {tables["target"][token] for token in named if token in tables["target"]}
        eos, pad = (
            tables["target"][str(token)]
            for token in (hf_tokenizer.eos_token, hf_tokenizer.pad_token)
        )
        starts, ends = (
            word_starts(self._tokens, "Metaspace"),
            sentence_ends(self._tokens, "Metaspace"),
        )
        starts[list(special)], ends[list(special)] = True, False
        self.special = SpecialTokens(
            # Padding is read by both sides (and not attended to): it must be an id of both.
            pad=pad if pad < min(sizes) else eos,
            bos=pad,
            eos=eos,
            mask=-1,
            sentinels=(),
            ordinary=np.array(sorted(set(tables["target"].values()) - special), dtype=np.int64),
            word_starts=starts,
            sentence_ends=ends,
        )
        self._spelt = {i: token for token, i in self._table.items() if token not in named}

    def __reduce__(self) -> tuple[Any, ...]:
        return (MarianTokenizer, (self._marian, self._sizes, self._side))

    @cached_property
    def target(self) -> "MarianTokenizer":
        """The target side, in which the decoder writes."""
        return MarianTokenizer(self._marian, self._sizes, "target")

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the two tables, the two sentencepiece models and the side."""
        models = [self._marian.spm_source, self._marian.spm_target]
        proto = [hashlib.sha256(model.serialized_model_proto()).hexdigest() for model in models]
        return digest(self._table, self._tokens, proto, self._side)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text; what a text spells is never eos or padding."""
        return [piece.ids.tolist() for piece in self.encode_with_offsets(texts)]

    def encode_with_offsets(self, texts: Sequence[str]) -> list[TokenOffsets]:
        """Return the tokens of each text with their places in it; the words are those of ``word_starts``."""
        return [self._cut(text) for text in texts]

    def _cut(self, text: str) -> TokenOffsets:
        code, rest = self._marian.remove_language_code(text)
        tokens = [(piece, 0, len(piece)) for piece in code]
        known = [self._table.get(piece, self._unknown) for piece in code]
        cut = self._pieces_of.encode(rest, out_type="offset_mapping")
        for piece, places in zip(cut["pieces"], cut["offsets"], strict=True):
            begin, end = (len(text) - len(rest) + place for place in places)
            begin += len(text[begin:end]) - len(text[begin:end].lstrip())
            tokens.append((piece, begin, end))
            known.append(
                self._unknown if piece in self._named else self._table.get(piece, self._unknown)
            )
        starts = word_starts([token for token, _, _ in tokens], "Metaspace")
        starts[:1] = True
        # A mark of the word's beginning may stand alone; the word follows.
        starts[1:] &= np.array([token != "▁" for token, _, _ in tokens[:-1]], dtype=bool)
        spans = np.array([span for _, *span in tokens], dtype=np.int64).reshape(-1, 2)
        return TokenOffsets(np.array(known, dtype=np.int64), spans, np.cumsum(starts) - 1)

    @cached_property
    def frame(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Nothing before a source, and its eos after it."""
        return (), (int(self._marian.encoder[str(self._marian.eos_token)]),)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids of this side; ids that are not text are skipped."""
        known = [self._spelt[int(i)] for i in ids if int(i) in self._spelt]
        decoded: str = self._pieces_of.decode_pieces(known)
        return decoded
