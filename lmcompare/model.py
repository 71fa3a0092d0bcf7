"""One model, three faces: ``CausalLM``, ``MaskedLM`` and ``Seq2SeqLM`` answer the same questions."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from lmcompare import asking, checkpoints, networks
from lmcompare.asking import ids_of
from lmcompare.decoding import Decoded, cut
from lmcompare.decoding.infill import Infilled, infill
from lmcompare.decoding.left_to_right import left_to_right
from lmcompare.decoding.unmasking import unmasking
from lmcompare.errors import InputError
from lmcompare.example import Example, Ids
from lmcompare.families import FRAMED, PlainFrame, context_of
from lmcompare.likelihood import Choice, Density, Method, Scores, exactness_of, result
from lmcompare.networks import Network
from lmcompare.objectives import Objective, Role, learn_block, parse
from lmcompare.reading import Pooling, Words, pool, surprisal_frame, words_of
from lmcompare.scoring import PSEUDO, Pair, Room, pairs_of
from lmcompare.settings import plain
from lmcompare.visibility import Visibility, visibility, visibility_of
from lmcompare.vocabulary import Pieces, Vocabulary

if TYPE_CHECKING:
    from pandas import DataFrame

Normalisation = Literal["sum", "token", "byte", "unconditional"]

OBJECTIVE_FILE = "lmcompare.json"
"""Beside the weights of a network of ours: which objective trained them."""


LENGTHS = (1, 2, 4, 8, 16, 32)
"""The lengths that a masked model tries where none is given."""


@dataclass(frozen=True)
class Generated(Sequence[str]):
    """Continuations, a sequence of texts.

    Attributes:
        texts: one a prompt.
        calls: forward passes of the network for each sequence.
        decoded: the tokens, what they scored and how long it took.
    """

    texts: tuple[str, ...]
    calls: int
    decoded: Decoded = field(repr=False, compare=False)

    def __getitem__(self, index: Any) -> Any:
        return self.texts[index]

    def __len__(self) -> int:
        return len(self.texts)


class LanguageModel:
    """A network, the vocabulary it reads and the objective by which it is asked.

    Args:
        network: the network; it is moved to ``device``.
        vocabulary: its tokenizer.
        objective: how the network is asked.
        device: 'cpu', 'cuda', or None to leave the network where it is.
        batch_tokens: positions that one forward pass may hold, padding included.
        context: tokens that the network may read at once; None: what its config says.
    """

    face: ClassVar[Role | None] = None
    """The role that a subclass serves."""

    def __init__(
        self,
        network: Network,
        vocabulary: Vocabulary,
        objective: Objective,
        *,
        device: str | None = None,
        batch_tokens: int = 16_384,
        context: int | None = None,
    ) -> None:
        if self.face not in (None, objective.role):
            raise InputError(
                f"{type(self).__name__}: wanted an objective for the role {self.face!r}, got {objective.kind!r} "
                f"({objective.role}); `lmcompare.load` picks the class by what it finds"
            )
        self.network = network if device is None else network.to(device)
        self.vocabulary = vocabulary
        self.objective = objective
        self.batch_tokens = batch_tokens
        self.context = context_of(network.transformer.config) if context is None else context

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **settings: Any) -> Self:
        """Read a folder that ``lmcompare run`` or ``save_pretrained`` wrote, or any checkpoint that transformers reads.

        A path never touches the network; a name of the hub (``org/name``) does, unless HF_HUB_OFFLINE is set.

        Args:
            name_or_path: where it is.
            **settings: those of ``load``.

        Raises:
            InputError: nothing of the kind is there, or another face's network, or one without its head.
        """
        return _open(cls, name_or_path, **settings)

    @classmethod
    def wrap(cls, transformer: Any, tokenizer: Any, **settings: Any) -> Self:
        """Take a transformers model and its tokenizer that are in memory already; the model stays the same object.

        Args:
            transformer: a model with a language-modelling head (whether it is trained cannot be told here).
            tokenizer: a fast tokenizer.
            **settings: ``device``, ``batch_tokens``, ``context``.

        Raises:
            InputError: a model without a head, of another face, or with fewer ids than its tokenizer.
        """
        role = checkpoints.role_of(transformer.config, type(transformer).__name__)
        return _as_face(cls, *checkpoints.assemble(transformer, tokenizer, role), **settings)

    def save_pretrained(self, path: str | Path) -> None:
        """Write a folder that ``from_pretrained`` reads, and plain transformers too (weights, config, tokenizer)."""
        folder = Path(path)
        networks.save(self.network, folder)
        self.vocabulary.save(folder)
        if not isinstance(self.objective, FRAMED):
            (folder / OBJECTIVE_FILE).write_text(json.dumps(plain(self.objective)))

    # Scores

    def log_likelihood(
        self,
        prompts: Sequence[str],
        completions: Sequence[str],
        *,
        method: Method | None = None,
        draws: int = 16,
        seed: int = 0,
        cut: bool = False,
    ) -> list[Scores]:
        """Return log p(completion given prompt) for each pair, in nats a token; the type says what the number is.

        Causal: exact. Seq2seq: exact, given what the encoder reads; after span corruption the completion is the span
        cut from the end of the prompt, else what the decoder says to the prompt. Masked: by ``method``.

        ==================  ==================================================================  ===================
        method              each token is asked                                                 type
        ==================  ==================================================================  ===================
        None, 'chain'       with all later ones masked: proper, given the number of tokens      LogLikelihood
        'bound'             in random sets of masks: a bound, by ``draws`` seeded draws         LikelihoodBound
        'pll'               with all others read (Salazar et al. 2020)                          PseudoLogLikelihood
        'pll-word-l2r'      with the later ones of its word masked (Kauf & Ivanova 2023)        PseudoLogLikelihood
        'pll-whole-word'    with all of its word masked (the same)                              PseudoLogLikelihood
        ==================  ==================================================================  ===================

        How pairs are cut into tokens: ``scoring.pairs_of``. No score depends on its batch neighbours.

        Args:
            prompts: may be empty texts: then a network starts from its bos.
            completions: one a prompt, none of them empty.
            method: of a masked model.
            draws: of 'bound'.
            seed: of 'bound'.
            cut: drop the start of a prompt that does not fit into the context, rather than refuse it.

        Raises:
            InputError: the lists differ in length, a completion is empty or longer than the context, a prompt does
                not fit, or the method is none of this model's.
        """
        if len(prompts) != len(completions):
            raise InputError(f"completions: wanted as many as prompts ({len(prompts)}), got {len(completions)}")
        empty = [i for i, text in enumerate(completions) if not text]
        if empty:
            raise InputError(f"completions[{empty[0]}]: wanted a text, got an empty one")
        together, words = self.objective.role != "encoder-decoder", method in PSEUDO[1:]
        pairs = pairs_of(self.vocabulary, prompts, completions, together=together, words=words)
        # White space at the end of a prompt is scored with its completion.
        sizes = [
            len((prompt[len(prompt.rstrip()) :] + text).encode())
            for prompt, text in zip(prompts, completions, strict=True)
        ]
        pairs = self.room.check(pairs, cut=cut)
        answers = self._score(pairs, method, draws, seed)
        return [
            result(tokens, self.objective.exactness, size, method=method, parts=parts)
            for (tokens, parts), size in zip(answers, sizes, strict=True)
        ]

    def rank(
        self,
        prompt: str,
        choices: Sequence[str],
        *,
        normalise: Normalisation = "sum",
        unconditional: str = "",
        method: Method | None = None,
    ) -> list[Choice]:
        """Return the choices, the likeliest first.

        Args:
            prompt: what each of them completes.
            choices: the completions.
            normalise: 'sum': nats; 'token', 'byte': nats for each token or UTF-8 byte ('acc_norm' of
                lm-evaluation-harness); 'unconditional': nats less those after ``unconditional`` (Brown et al. 2020,
                section 2.4).
            unconditional: the prompt of that comparison.
            method: as in ``log_likelihood``; pseudo-log-likelihoods rank, too.

        Raises:
            InputError: as ``log_likelihood``, or no such normalisation.
        """
        if normalise not in ("sum", "token", "byte", "unconditional"):
            raise InputError(f"normalise: wanted sum, token, byte or unconditional, got {normalise!r}")
        scores = self.log_likelihood([prompt] * len(choices), choices, method=method)
        values = [one.sum for one in scores]
        if normalise == "unconditional":
            before = self.log_likelihood([unconditional] * len(choices), choices, method=method)
            values = [value - one.sum for value, one in zip(values, before, strict=True)]
        elif normalise != "sum":
            sizes = [len(one.tokens) if normalise == "token" else one.completion_bytes for one in scores]
            values = [value / size for value, size in zip(values, sizes, strict=True)]
        found = [Choice(choices[i], i, values[i], scores[i]) for i in range(len(choices))]
        return sorted(found, key=lambda choice: -choice.score)

    def bits_per_byte(
        self, texts: Sequence[str], *, stride: int | None = None, method: Method | None = None
    ) -> Density:
        """Return -log2 p of texts for each UTF-8 byte, in sliding windows over texts longer than the context.

        Each token is scored once, after as much text as its window holds: see ``scoring.Room.windows``.

        Args:
            texts: none of them empty.
            stride: tokens scored in each window after the first; None: as many as fit (the cheapest, and what
                `loglikelihood_rolling` of lm-evaluation-harness does). A smaller one gives each token more context.
            method: None, 'chain' or 'bound'; a pseudo-log-likelihood has no bits.

        Raises:
            InputError: an empty text, a stride that does not fit, a pseudo-log-likelihood.
        """
        if method in PSEUDO:
            raise InputError(f"method: wanted 'chain' or 'bound' for bits per byte, got the pseudo {method!r}")
        nats = [tokens.sum() for _, tokens in self._rolling(texts, stride, method)]
        return Density(
            bits=-np.array(nats) / np.log(2),
            bytes=np.array([len(text.encode()) for text in texts], dtype=np.int64),
            exactness=exactness_of(self.objective.exactness, method),
            context=self.context,
            stride=stride,
        )

    def surprisal(self, text: str, *, stride: int | None = None, method: Method | None = None) -> "DataFrame":
        """Return a pandas frame, one row a token.

        Its columns are ``token``, ``word``, ``word_number``, ``start``, ``end`` and ``surprisal``: -log2 p in bits (for
        a pseudo method, -log2 of the pseudo-likelihood). ``start`` and ``end`` are characters of the text. Sum over
        ``word_number`` for words. ``frame.attrs["exactness"]`` says what the numbers are.

        Raises:
            InputError: as ``bits_per_byte``.
        """
        ((pieces, tokens),) = self._rolling([text], stride, method)
        frame = surprisal_frame(text, pieces, tokens)
        frame.attrs["exactness"] = exactness_of(self.objective.exactness, method)
        return frame

    def loss(self, texts: Sequence[str], *, seed: int = 0) -> float:
        """Return the training loss on these texts, in nats a target: the objective's weighted mean over all targets.

        As ``run`` computes it, each text followed by eos (a checkpoint's: in its tokenizer's frame) and corrupted by a
        generator seeded with (seed, place). Losses of different objectives are not comparable.

        Raises:
            InputError: no target in these texts, or a checkpoint of which training on texts alone is not known.
        """
        special = self.vocabulary.special
        end = [] if isinstance(self.objective, FRAMED) else [special.eos]
        rows = [np.array([*ids, *end], dtype=np.int64) for ids in self.vocabulary.encode_batch(list(texts))]
        examples = [
            learn_block(self.objective, row, special, np.random.default_rng([seed, i]), isolated=False)
            for i, row in enumerate(rows)
            if len(row)
        ]
        weights = [np.ones(int(e.asked.sum())) if e.weights is None else e.weights[e.asked] for e in examples]
        total = sum(part.sum() for part in weights)
        if not total:
            raise InputError("loss: wanted texts with at least one target, got none")
        answers = self.ask(examples)
        return float(-sum((w * a).sum() for w, a in zip(weights, answers, strict=True)) / total)

    # States

    def embed(
        self, texts: Sequence[str], *, pooling: Pooling = "mean", layer: int | None = None
    ) -> NDArray[np.float32]:
        """Return one vector a text, pooled from the states (of the encoder, if there is one): (texts, width).

        Args:
            texts: read as the objective reads them, with bos, eos, [CLS] or [SEP] where they belong.
            pooling: 'mean' over all inputs but padding, 'last' the state at the last input (eos, [SEP]), 'first' the
                state at the first ([CLS]).
            layer: None for the last states after the final norm; 0 for the embeddings, k for what leaves layer k.
        """
        return self.pool_rows(self._encode(texts), poolings=[pooling], layer=layer)[pooling]

    def embed_tokens(self, texts: Sequence[str], *, layer: int | None = None) -> list[Words]:
        """Return, for each text, its words, where they stand, and the mean of the states of each word's tokens.

        Words are those of ``vocabulary.Pieces``; ``layer`` is that of ``embed``.
        """
        pieces = self.vocabulary.pieces(texts)
        examples = [self.objective.read(piece.ids, self.vocabulary.special) for piece in pieces]
        found: list[Words | None] = [None] * len(texts)
        for group, batch in asking.reading(self.network, self.vocabulary.special, examples, self.batch_tokens):
            states = self.network.states(batch, layer).float().cpu().numpy()
            for i, row in zip(group, states, strict=True):
                found[i] = words_of(texts[i], pieces[i], examples[i].inputs, row)
        return [words for words in found if words is not None]

    def pool_rows(
        self, rows: Sequence[Ids], *, poolings: Sequence[Pooling], layer: int | None = None
    ) -> dict[Pooling, NDArray[np.float32]]:
        """Return for each pooling one vector a row of ids, from one pass. Shape (rows, width) each."""
        examples = [self.objective.read(row, self.vocabulary.special) for row in rows]
        found = {pooling: np.zeros((len(rows), self.network.width), dtype=np.float32) for pooling in poolings}
        for group, batch in asking.reading(self.network, self.vocabulary.special, examples, self.batch_tokens):
            states = self.network.states(batch, layer)
            for pooling in poolings:
                found[pooling][group] = pool(states, batch.read, pooling).float().cpu().numpy()
        return found

    # Texts

    def generate(
        self,
        prompts: Sequence[str],
        *,
        length: int | None = None,
        temperature: float = 1.0,
        strategy: str = "confidence",
        steps: int | None = None,
        stop: Sequence[str] = (),
        beams: int = 1,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> "Generated":
        """Continue each prompt: left to right with a cache, or (masked) by iterative unmasking.

        Args:
            prompts: texts.
            length: new tokens. None: up to 64, ending where the network says eos; masked: the one of ``LENGTHS`` whose
                continuation is likeliest a token.
            temperature: 0 takes the best token, 1 samples from the network's own distribution.
            strategy: of a masked model: see ``decoding.unmasking.STRATEGIES``.
            steps: of a masked model: calls of the network; None: one for each token.
            stop: left to right: texts that end a continuation; they are cut off.
            beams: left to right, temperature 0: beam search.
            top_k: left to right: sample from so many best tokens; 0: all.
            top_p: left to right: sample from the best tokens that hold this probability.
            seed: of the sampling.
        """
        decoded = self.decode(
            ids_of(self.vocabulary.encode_batch(list(prompts))),
            length=length,
            temperature=temperature,
            strategy=strategy,
            steps=steps,
            stop=stop,
            beams=beams,
            top_k=top_k,
            top_p=top_p,
            seed=seed,
        )
        texts = tuple(cut(self.vocabulary.decode(row.tolist()), stop) for row in decoded.tokens)
        return Generated(texts, decoded.calls, decoded)

    def decode(
        self,
        prompts: Sequence[Ids],
        *,
        length: int | None,
        temperature: float = 1.0,
        strategy: str = "confidence",
        steps: int | None = None,
        stop: Sequence[str] = (),
        beams: int = 1,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> Decoded:
        """Do what ``generate`` does, on ids, and say what it cost.

        Raises:
            InputError: a setting of the other way of decoding, or more tokens than the context holds.
        """
        network, objective, special = self.network, self.objective, self.vocabulary.special
        most = self._most_new(prompts)
        if most < (1 if length is None else length):
            raise InputError(
                f"length: wanted at most {max(most, 0)} new tokens, which is what the context of {self.context} holds "
                f"after the longest prompt, got {length or 1}"
            )
        if objective.role == "encoder":
            if stop or beams != 1 or top_k or top_p != 1:
                raise InputError("generate: stop, beams, top_k and top_p are for decoding from left to right")
            return unmasking(
                network,
                objective,
                prompts,
                special,
                length=[n for n in LENGTHS if n <= most] if length is None else length,
                strategy=strategy,
                steps=steps,
                temperature=temperature,
                seed=seed,
            )
        return left_to_right(
            network,
            objective,
            prompts,
            special,
            length=min(64, most) if length is None else length,
            temperature=temperature,
            seed=seed,
            beams=beams,
            top_k=top_k,
            top_p=top_p,
            ends=length is None,
            stop=stop,
            decode=self.vocabulary.decode if stop else None,
        )

    def infill(self, text: str, **settings: Any) -> Infilled:
        """Fill the holes of a text: ``[MASK]`` (one token each) and ``<hole>`` (of unknown length).

        Args:
            text: with holes.
            **settings: those of ``decoding.infill.infill``: ``lengths``, ``choices``, ``strategy``, ``steps``,
                ``temperature``, ``seed``.
        """
        return infill(self.network, self.objective, self.vocabulary, text, **settings)

    def visibility(self, text: str) -> Visibility:
        """Measure which output sees which input on what training asks of this text: see ``lmcompare.visibility``.

        An encoder-decoder of the plain form is asked for the text, given the text.
        """
        (tokens,) = self._encode([text])
        if isinstance(self.objective, PlainFrame):
            (example,) = self.objective.score(tokens, tokens, self.vocabulary.special)
            return visibility(self.network, example, self.vocabulary.special, batch_tokens=self.batch_tokens)
        return visibility_of(self.network, self.objective, tokens, self.vocabulary.special)

    # On ids

    @property
    def room(self) -> Room:
        """How many tokens of text fit into the context."""
        return Room.of(self.objective, self.vocabulary.special, self.context)

    def ask(self, examples: Sequence[Example]) -> list[NDArray[np.float64]]:
        """Return log p (nats) of the targets of each example, in order. No answer depends on its batch neighbours."""
        return asking.ask(self.network, self.vocabulary.special, examples, self.batch_tokens)

    def score_tokens(self, pairs: Sequence[tuple[Ids, Ids]]) -> list[NDArray[np.float64]]:
        """Return, for each pair of prompt and completion ids, log p (nats) of each token of the completion."""
        made = [Pair(prompt, completion, np.arange(len(completion))) for prompt, completion in pairs]
        return [tokens for tokens, _ in self._score(made, None)]

    def _score(
        self, pairs: Sequence[Pair], method: Method | None, draws: int = 16, seed: int = 0
    ) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        return asking.score(
            self.network,
            self.objective,
            self.vocabulary.special,
            pairs,
            batch_tokens=self.batch_tokens,
            method=method,
            draws=draws,
            seed=seed,
        )

    def _rolling(
        self, texts: Sequence[str], stride: int | None, method: Method | None
    ) -> list[tuple[Pieces, NDArray[np.float64]]]:
        """Return the tokens of each text and their nats, in windows over texts longer than the context."""
        pieces = self.vocabulary.pieces(texts)
        empty = [i for i, piece in enumerate(pieces) if not len(piece.ids)]
        if empty:
            raise InputError(f"texts[{empty[0]}]: wanted a text, got an empty one")
        windows = [self.room.windows(len(piece.ids), stride) for piece in pieces]
        pairs = [
            Pair(piece.ids[read:first], piece.ids[first:end], piece.words[first:end])
            for piece, several in zip(pieces, windows, strict=True)
            for read, first, end in several
        ]
        answers = iter(self._score(pairs, method))
        found = [np.concatenate([next(answers)[0] for _ in several]) for several in windows]
        return list(zip(pieces, found, strict=True))

    def _most_new(self, prompts: Sequence[Ids]) -> int:
        """Return how many new tokens the context holds after the longest prompt."""
        if self.context is None or not len(prompts):
            return 2**31
        begun = self.objective.begin(max(prompts, key=len), 1, self.vocabulary.special)
        if begun.decoder_inputs is None:
            return self.context + 1 - len(begun.inputs)
        return self.context + 1 - len(begun.decoder_inputs) if len(begun.inputs) <= self.context else 0

    def _encode(self, texts: Sequence[str]) -> list[Ids]:
        return ids_of(self.vocabulary.encode_batch(list(texts)))


class CausalLM(LanguageModel):
    """A causal language model: each token from those before it."""

    face = "decoder"


class MaskedLM(LanguageModel):
    """A masked language model: some tokens from all the others."""

    face = "encoder"


class Seq2SeqLM(LanguageModel):
    """An encoder-decoder language model: the spans cut from a text, or what the decoder says to it."""

    face = "encoder-decoder"


FACES: dict[str, type[LanguageModel]] = {str(cls.face): cls for cls in (CausalLM, MaskedLM, Seq2SeqLM)}


def load(
    name_or_path: str | Path,
    *,
    device: str | None = None,
    dtype: str = "float32",
    batch_tokens: int = 16_384,
    context: int | None = None,
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
) -> LanguageModel:
    """Read a folder or a checkpoint, as the face that its objective or the architecture in its config has.

    Args:
        name_or_path: a folder that ``lmcompare run`` or ``save_pretrained`` wrote, one with a transformers checkpoint
            and its tokenizer, or a name of the hub. A path never touches the network.
        device: 'cpu', 'cuda', ...; None: the CPU.
        dtype: 'float32', 'float16', 'bfloat16', or 'auto' for that of the checkpoint.
        batch_tokens: positions that one forward pass may hold, padding included.
        context: tokens that the network may read at once; None: what its config says.
        trust_remote_code: run code that comes with a checkpoint.
        allow_pickle: read weights that are not safetensors, which may run code, too.

    Raises:
        InputError: one sentence about what is missing or does not fit.
    """
    return _open(
        LanguageModel,
        name_or_path,
        device=device,
        dtype=dtype,
        batch_tokens=batch_tokens,
        context=context,
        trust_remote_code=trust_remote_code,
        allow_pickle=allow_pickle,
    )


def wrap(transformer: Any, tokenizer: Any, **settings: Any) -> LanguageModel:
    """Take a transformers model and its tokenizer that are in memory, as the face that the model's class has.

    See ``LanguageModel.wrap``.
    """
    return LanguageModel.wrap(transformer, tokenizer, **settings)


Face = TypeVar("Face", bound=LanguageModel)


def _open(
    cls: type[Face],
    name_or_path: str | Path,
    *,
    dtype: str = "float32",
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
    **settings: Any,
) -> Face:
    folder = Path(name_or_path).expanduser()
    if (folder / OBJECTIVE_FILE).is_file():
        objective = parse(json.loads((folder / OBJECTIVE_FILE).read_text()))
        network = networks.load(folder, objective.role, checkpoints.dtype_of(dtype))
        return _as_face(cls, network, Vocabulary.load(folder), objective, **settings)
    transformer, tokenizer, role = checkpoints.read(
        name_or_path, face=cls.face, dtype=dtype, trust_remote_code=trust_remote_code, allow_pickle=allow_pickle
    )
    return _as_face(cls, *checkpoints.assemble(transformer, tokenizer, role), **settings)


def _as_face(cls: type[Face], network: Network, vocabulary: Vocabulary, objective: Objective, **settings: Any) -> Face:
    """Make a model; the bare ``LanguageModel`` becomes the face of its objective."""
    made: Any = FACES[objective.role] if cls is LanguageModel else cls
    model: Face = made(network, vocabulary, objective, **settings)
    return model
