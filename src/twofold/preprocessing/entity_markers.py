"""From a pair of arguments to the word pieces a relation model reads: one window, head and tail marked.

Markers stand in the window as further words. They survive whatever has to be left out: words are kept by
how near they are to an argument, so that a post too long for one window keeps the arguments and what
stands round each, and loses what lies between and at the ends. The head may follow the tail, and the two
may overlap, hold one another, or be the same words.

Three styles. Typed (default): punctuation and the type as a plain word, "@ * person * Ada @" and
"# ^ location ^ Paris #" (typed entity marker (punct), Zhou & Chen, "An Improved Baseline for
Sentence-level Relation Extraction", 2022), which any tokenizer and a frozen embedding table know. Untyped:
the same without the types. Plain: the released ``<s> </s>`` and ``<o> </o>`` of MMIB, tokens of their own
that the tokenizer must have got.

It does not know models, nor where arguments and their types come from.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from twofold.errors import ModelError
from twofold.preprocessing.segmentation import CONTEXTS, SHAPE_COUNT, SHAPES, Span, shapes
from twofold.preprocessing.word_pieces import Pieces, Window, surfaces

_LINKED = SHAPE_COUNT // 2
_MARKER_SHAPE = SHAPES.index("mark") * len(CONTEXTS) + CONTEXTS.index("plain")
_CLOSING, _OPENING, _WORD = range(3)  # the order of what stands at the same place


class Argument(NamedTuple):
    """One side of a relation.

    Attributes:
        lo: first word. hi: one past the last.
        type: entity type; "" where it is not known.
    """

    lo: int
    hi: int
    type: str = ""


class MarkedPair(NamedTuple):
    """A pair as the encoder reads it.

    Attributes:
        window: words and markers in order; from ``lo`` to ``hi`` words may be left out.
        slot: places in the window (as of ``window.first``) of the opening markers of head and tail.
        words: word of the post at each place of the window, −1 for a marker.
    """

    window: Window
    slot: tuple[int, int]
    words: list[int]


class Markers(Protocol):
    """What is put round arguments."""

    def head(self, type_: str) -> tuple[list[str], list[str]]:
        """Words of the opening and of the closing marker of a head of this type ("" for unknown)."""

    def tail(self, type_: str) -> tuple[list[str], list[str]]:
        """The same of a tail."""

    @property
    def tokens(self) -> tuple[str, ...]:
        """Tokens that a tokenizer must have got for them."""

    def record(self) -> dict[str, Any]:
        """As `read_markers` reads it back."""


@dataclass(frozen=True, slots=True)
class TypedMarkers:
    """Punctuation, and the type's word between further punctuation; without a type the former alone.

    Attributes:
        type_names: word for each type; a type without one is its own name in lower case.
        head_symbols: round the head, and round its type. tail_symbols: the same of the tail.
    """

    type_names: Mapping[str, str] = field(
        default_factory=lambda: {
            "PER": "person",
            "LOC": "location",
            "ORG": "organization",
            "MISC": "miscellaneous",
        }
    )
    head_symbols: tuple[str, str] = ("@", "*")
    tail_symbols: tuple[str, str] = ("#", "^")

    @property
    def tokens(self) -> tuple[str, ...]:
        """None: they are plain words."""
        return ()

    def head(self, type_: str) -> tuple[list[str], list[str]]:
        """See `Markers`."""
        return self._round(self.head_symbols, type_)

    def tail(self, type_: str) -> tuple[list[str], list[str]]:
        """See `Markers`."""
        return self._round(self.tail_symbols, type_)

    def _round(self, symbols: tuple[str, str], type_: str) -> tuple[list[str], list[str]]:
        outer, inner = symbols
        name = self.type_names.get(type_, type_.lower())
        return [outer, *([inner, name, inner] if name else [])], [outer]

    def record(self) -> dict[str, Any]:
        """See `Markers`."""
        symbols = {"head_symbols": list(self.head_symbols), "tail_symbols": list(self.tail_symbols)}
        return {"style": "typed", "type_names": dict(self.type_names)} | symbols


@dataclass(frozen=True, slots=True)
class UntypedMarkers:
    """The outer punctuation of `TypedMarkers` alone, whatever the type.

    Attributes:
        head_symbol: round the head. tail_symbol: round the tail.
    """

    head_symbol: str = "@"
    tail_symbol: str = "#"

    @property
    def tokens(self) -> tuple[str, ...]:
        """None: they are plain words."""
        return ()

    def head(self, type_: str) -> tuple[list[str], list[str]]:
        """See `Markers`."""
        return [self.head_symbol], [self.head_symbol]

    def tail(self, type_: str) -> tuple[list[str], list[str]]:
        """See `Markers`."""
        return [self.tail_symbol], [self.tail_symbol]

    def record(self) -> dict[str, Any]:
        """See `Markers`."""
        return {"style": "untyped", "head_symbol": self.head_symbol, "tail_symbol": self.tail_symbol}


@dataclass(frozen=True, slots=True)
class PlainMarkers:
    """Tokens of their own, blind to types.

    Attributes:
        tokens: opening and closing token of the head, then of the tail.
    """

    tokens: tuple[str, str, str, str] = ("<s>", "</s>", "<o>", "</o>")

    def head(self, type_: str) -> tuple[list[str], list[str]]:
        """See `Markers`."""
        return [self.tokens[0]], [self.tokens[1]]

    def tail(self, type_: str) -> tuple[list[str], list[str]]:
        """See `Markers`."""
        return [self.tokens[2]], [self.tokens[3]]

    def record(self) -> dict[str, Any]:
        """See `Markers`."""
        return {"style": "plain", "tokens": list(self.tokens)}


def read_markers(raw: object, where: str) -> Markers:
    """Markers as a model folder's config.json tells them.

    Raises:
        ModelError: they are of no style this version knows, or incomplete.
    """
    match raw:
        case {"style": "plain", "tokens": [str(a), str(b), str(c), str(d)]}:
            return PlainMarkers((a, b, c, d))
        case {"style": "untyped", "head_symbol": str(a), "tail_symbol": str(b)}:
            return UntypedMarkers(a, b)
        case {
            "style": "typed",
            "type_names": dict(names),
            "head_symbols": [str(a), str(b)],
            "tail_symbols": [str(c), str(d)],
        } if all(isinstance(name, str) for name in names.values()):
            return TypedMarkers(names, (a, b), (c, d))
    raise ModelError(
        f"markers are {raw!r}"[:200],
        where=where,
        expected="markers of style typed, untyped or plain, with their words",
        do="install a newer Twofold, or train the model again",
    )


def word_span(words: Sequence[Span], start: int, end: int) -> tuple[int, int] | None:
    """The words (lo, hi), of those in order, that a span of the text touches; None where it touches none."""
    lo = bisect_right(words, start, key=lambda word: word[1])
    hi = bisect_left(words, end, key=lambda word: word[0])
    return (lo, hi) if lo < hi else None


class _Item(NamedTuple):
    """Something that stands in a window.

    Attributes:
        key: sorts items as they stand: place (in words of the post), kind, nesting, side.
        word: number of the word, −1 for a marker.
        ids: its pieces.
    """

    key: tuple[int, int, int, int]
    word: int
    ids: list[int]


class PairPieces:
    """Marks pairs and cuts them into pieces.

    Args:
        pieces: the tokenizer with its limits.
        markers: what is put round head and tail.
    """

    def __init__(self, pieces: Pieces, markers: Markers) -> None:
        self.pieces, self.markers = pieces, markers
        self._longest = max(1, pieces.budget // 8)  # four markers leave half of the window to words
        self._known: dict[tuple[str, ...], list[int]] = {}

    def window(self, text: str, words: Sequence[Span], head: Argument, tail: Argument) -> MarkedPair:
        """The window of one pair; see `windows`."""
        return self.windows(text, words, [(head, tail)])[0]

    def windows(
        self, text: str, words: Sequence[Span], pairs: Sequence[tuple[Argument, Argument]]
    ) -> list[MarkedPair]:
        """Windows of pairs of the same post.

        Args:
            text: of the post.
            words: of the text.
            pairs: head and tail, each of at least one of the words.
        """
        pieces, forms = self.pieces.word_pieces(text, words), shapes(text, list(words))
        spelt = surfaces(text, words)
        return [self._marked(pieces, forms, spelt, head, tail) for head, tail in pairs]

    def _marked(
        self, pieces: list[list[int]], forms: list[int], spelt: list[str], head: Argument, tail: Argument
    ) -> MarkedPair:
        heads, tails = self._items(head, 0), self._items(tail, 1)
        room = self.pieces.budget - sum(len(item.ids) for item in (*heads, *tails))
        kept = _nearest([len(row) for row in pieces], head, tail, room)
        words = [_Item((w, _WORD, 0, 0), w, pieces[w]) for w in kept]
        items = sorted([*words, *heads, *tails], key=lambda item: item.key)
        ids, first = self.pieces.joined([item.ids for item in items])
        marker = _MARKER_SHAPE + (_LINKED if max(forms, default=0) >= _LINKED else 0)
        written = [marker if item.word < 0 else forms[item.word] for item in items]
        lo, hi = min(kept, default=head.lo), max(kept, default=head.lo) + 1
        read = tuple("" if item.word < 0 else spelt[item.word] for item in items)
        window = Window(ids, first, written, lo, hi, lo, hi, read)
        return MarkedPair(
            window, (items.index(heads[0]), items.index(tails[0])), [item.word for item in items]
        )

    def _items(self, argument: Argument, side: int) -> tuple[_Item, _Item]:
        """Opening and closing marker; side is 0 for the head, 1 for the tail.

        What opens first closes last; of two that open (close) together the longer is the outer one, and of
        two over the same words the head.
        """
        lo, hi = argument.lo, argument.hi
        opening, closing = (self.markers.tail if side else self.markers.head)(argument.type)
        return (
            _Item((lo, _OPENING, -hi, side), -1, self._ids(opening)),
            _Item((hi, _CLOSING, -lo, -side), -1, self._ids(closing)),
        )

    def _ids(self, marker: list[str]) -> list[int]:
        key = tuple(marker)
        if key not in self._known:
            encoded = self.pieces.tokenizer.encode(marker, is_pretokenized=True, add_special_tokens=False)
            self._known[key] = encoded.ids[: self._longest] or [self.pieces.pad_id]
        return self._known[key]


def _nearest(sizes: Sequence[int], head: Argument, tail: Argument, room: int) -> list[int]:
    """Words kept, in order: those of the arguments, then the nearer before the farther, while there is room.

    Of an argument too long for its window the words at its edges stay.

    Args:
        sizes: pieces of each word.
        head: an argument. tail: the other.
        room: pieces the words may take.
    """
    place = np.arange(len(sizes))
    away, depth = (np.min([measure(place, x) for x in (head, tail)], 0) for measure in (_away, _depth))
    order = np.lexsort((depth, away))
    fitting = np.cumsum(np.array(sizes, np.int64)[order]) <= room
    kept: list[int] = np.sort(order[fitting]).tolist()
    return kept


def _away(place: NDArray[np.int64], argument: Argument) -> NDArray[np.int64]:
    """Words between each place and the argument, 0 within."""
    return np.maximum(np.maximum(argument.lo - place, place - argument.hi + 1), 0)


def _depth(place: NDArray[np.int64], argument: Argument) -> NDArray[np.int64]:
    """Words between each place within the argument and its nearer edge; a large number outside."""
    inner = np.minimum(place - argument.lo, argument.hi - 1 - place)
    return np.where(inner >= 0, inner, len(place))
