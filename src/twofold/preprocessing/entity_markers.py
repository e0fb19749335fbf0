"""Entity markers: tokenizes a pair of arguments in one window, with head and tail marked.

Markers are additional words of the window and are never truncated. Words are kept by their distance to an
argument, so that a post too long for one window keeps the arguments and the words around them, and loses
those between and at both ends. The head may follow the tail, and the two may overlap, contain one another, or
be the same words.

Three styles. Typed (default): punctuation and the type as a plain word, "@ * person * Ada @" and
"# ^ location ^ Paris #" (typed entity marker (punct), Zhou & Chen, "An Improved Baseline for
Sentence-level Relation Extraction", 2022), which are in any tokenizer and in a frozen embedding table.
Untyped: the same without the types. Plain: ``<s> </s>`` and ``<o> </o>`` as in the original implementation of
MMIB, which have to be added to the tokenizer as tokens.

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
from twofold.preprocessing.segmentation import CONTEXTS, WORD_SHAPES, Span, case_features
from twofold.preprocessing.word_pieces import Window, WindowTokenizer, surfaces

_MARKER_SHAPE = WORD_SHAPES.index("mark") * len(CONTEXTS) + CONTEXTS.index("plain")
_CLOSING, _OPENING, _WORD = range(3)  # their order at the same position


class Argument(NamedTuple):
    """An argument of a relation.

    Attributes:
        start: first word. end: one past the last.
        type: entity type; "" where it is not known.
    """

    start: int
    end: int
    type: str = ""


Pair = tuple[Argument, Argument]
"""Head and tail."""


class PairWindow(NamedTuple):
    """A window with pairs of its words.

    Attributes:
        window: its words.
        pairs: indices of the pairs, among those of the post.
        slots: positions (in ``window.first``) of the words that represent each of these pairs.
    """

    window: Window
    pairs: list[int]
    slots: list[tuple[int, ...]]


class PairReader(Protocol):
    """Builds the windows in which pairs of a post are encoded.

    Attributes:
        tokenizer: of the text encoder.
        marker_count: number of markers among the words of a window.
    """

    tokenizer: WindowTokenizer
    marker_count: int

    def pair_windows(self, text: str, words: Sequence[Span], pairs: Sequence[Pair]) -> list[PairWindow]:
        """Windows that contain each pair once.

        Args:
            text: of the post.
            words: of the text.
            pairs: each argument of at least one of the words.
        """


class MarkedPair(NamedTuple):
    """A pair as input of the encoder.

    Attributes:
        window: words and markers in order; some of the words from ``start`` to ``end`` may be left out.
        marker_positions: positions (in ``window.first``) of the opening markers of head and tail.
        words: index of the word at each position of the window, −1 for a marker.
    """

    window: Window
    marker_positions: tuple[int, int]
    words: list[int]


class Markers(Protocol):
    """The markers around arguments."""

    def head(self, type_: str) -> tuple[list[str], list[str]]:
        """Words of the opening and of the closing marker of a head of this type ("" for unknown)."""

    def tail(self, type_: str) -> tuple[list[str], list[str]]:
        """The same for a tail."""

    @property
    def tokens(self) -> tuple[str, ...]:
        """Tokens that have to be added to a tokenizer."""

    def record(self) -> dict[str, Any]:
        """As plain data, see `read_markers`."""


@dataclass(frozen=True, slots=True)
class TypedMarkers:
    """Punctuation, and the type as a word between further punctuation; without a type, punctuation alone.

    Attributes:
        type_names: word for each type; a type without one is its own name in lower case.
        head_symbols: around the head, and around its type. tail_symbols: the same for the tail.
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
        return self._markers(self.head_symbols, type_)

    def tail(self, type_: str) -> tuple[list[str], list[str]]:
        """See `Markers`."""
        return self._markers(self.tail_symbols, type_)

    def _markers(self, symbols: tuple[str, str], type_: str) -> tuple[list[str], list[str]]:
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
        head_symbol: around the head. tail_symbol: around the tail.
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
    """Added tokens, the same for all types.

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


def read_markers(raw: object, where: str) -> Markers | None:
    """Markers from a model folder's config.json; None for levitated markers, which are not in the text.

    Raises:
        ModelError: their style is unknown to this version, or they are incomplete.
    """
    match raw:
        case {"style": "levitated"}:
            return None
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
        expected="markers of style levitated, or typed, untyped or plain with their words",
        do="install a newer Twofold, or train the model again",
    )


class LevitatedMarkers:
    """Pairs in the windows of the post itself, without markers: a pair is the border words of both arguments.

    Args:
        tokenizer: of the text encoder.
    """

    marker_count = 0

    def __init__(self, tokenizer: WindowTokenizer) -> None:
        self.tokenizer = tokenizer

    def pair_windows(self, text: str, words: Sequence[Span], pairs: Sequence[Pair]) -> list[PairWindow]:
        """The windows of a post that contain pairs, each pair in the first one that contains both arguments.

        A slot is the first and last word of the head, then of the tail. Arguments too far from each other for
        any window of the post get one of their own, with the words around them.
        """
        windows = [PairWindow(window, [], []) for window in self.tokenizer.windows(text, words)]
        own_windows: list[PairWindow] = []
        for number, (head, tail) in enumerate(pairs):
            start, end = min(head.start, tail.start), max(head.end, tail.end)
            containing = (w for w in windows if w.window.start <= start and end <= w.window.end)
            found = next(containing, None)
            if found is None:
                own_windows.append(self._own_window(text, words, number, head, tail))
                continue
            found.pairs.append(number)
            found.slots.append(tuple(word - found.window.start for word in _border_words(head, tail)))
        return [*(window for window in windows if window.pairs), *own_windows]

    def _own_window(
        self, text: str, words: Sequence[Span], number: int, head: Argument, tail: Argument
    ) -> PairWindow:
        pieces = self.tokenizer.word_pieces(text, words)
        kept = _nearest([len(row) for row in pieces], head, tail, self.tokenizer.budget)
        ids, first = self.tokenizer.with_special_tokens([pieces[word] for word in kept])
        features = case_features(text, words)
        forms = surfaces(text, words)
        start, end = kept[0], kept[-1] + 1
        window = Window(
            ids, first, [features[w] for w in kept], start, end, start, end, tuple(forms[w] for w in kept)
        )
        return PairWindow(window, [number], [tuple(kept.index(word) for word in _border_words(head, tail))])


def _border_words(head: Argument, tail: Argument) -> tuple[int, int, int, int]:
    return head.start, head.end - 1, tail.start, tail.end - 1


def count_pairs_with_whole_post(
    reader: PairReader, text: str, words: Sequence[Span], pairs: Sequence[Pair]
) -> int:
    """Number of pairs that are encoded in a window with all words of their post."""
    if 2 * len(text.encode("utf-8", "surrogatepass")) <= reader.tokenizer.budget:
        return len(pairs)
    windows = reader.pair_windows(text, words, pairs)
    return sum(len(w.pairs) for w in windows if len(w.window.first) - reader.marker_count >= len(words))


def pair_reader(tokenizer: WindowTokenizer, markers: Markers | None) -> PairReader:
    """The reader of pairs with these markers in the text; with levitated ones for None."""
    return LevitatedMarkers(tokenizer) if markers is None else PairTokenizer(tokenizer, markers)


def word_span(words: Sequence[Span], start: int, end: int) -> tuple[int, int] | None:
    """First word and end of the words that a span of the text overlaps; None where it overlaps none.

    Args:
        words: (start, end) of each word, in order.
        start: first code point. end: one past the last.
    """
    first = bisect_right(words, start, key=lambda word: word[1])
    beyond = bisect_left(words, end, key=lambda word: word[0])
    return (first, beyond) if first < beyond else None


class _Item(NamedTuple):
    """A word or marker of a window.

    Attributes:
        key: sorts items: position (in words of the post), kind, nesting, side.
        word: index of the word, −1 for a marker.
        ids: its word pieces.
    """

    key: tuple[int, int, int, int]
    word: int
    ids: list[int]


class PairTokenizer:
    """Marks pairs and tokenizes them.

    Args:
        tokenizer: of the text encoder.
        markers: around head and tail.
    """

    marker_count = 4

    def __init__(self, tokenizer: WindowTokenizer, markers: Markers) -> None:
        self.tokenizer, self.markers = tokenizer, markers
        self._longest = max(
            1, tokenizer.budget // 8
        )  # so that four markers leave half of the window to words
        self._marker_ids: dict[tuple[str, ...], list[int]] = {}

    def window(self, text: str, words: Sequence[Span], head: Argument, tail: Argument) -> MarkedPair:
        """The window of one pair; see `windows`."""
        return self.windows(text, words, [(head, tail)])[0]

    def pair_windows(self, text: str, words: Sequence[Span], pairs: Sequence[Pair]) -> list[PairWindow]:
        """A window of its own for each pair."""
        marked = self.windows(text, words, pairs)
        return [PairWindow(pair.window, [i], [pair.marker_positions]) for i, pair in enumerate(marked)]

    def windows(self, text: str, words: Sequence[Span], pairs: Sequence[Pair]) -> list[MarkedPair]:
        """Windows of pairs of the same post.

        Args:
            text: of the post.
            words: of the text.
            pairs: head and tail, each of at least one of the words.
        """
        pieces, features = self.tokenizer.word_pieces(text, words), self._features(text, words)
        surface_forms = surfaces(text, words)
        return [self._marked(pieces, features, surface_forms, head, tail) for head, tail in pairs]

    def _features(self, text: str, words: Sequence[Span]) -> list[int]:
        return case_features(text, words)

    def _marked(
        self,
        pieces: list[list[int]],
        features: list[int],
        surface_forms: list[str],
        head: Argument,
        tail: Argument,
    ) -> MarkedPair:
        heads, tails = self._items(head, 0), self._items(tail, 1)
        space = self.tokenizer.budget - sum(len(item.ids) for item in (*heads, *tails))
        kept = _nearest([len(row) for row in pieces], head, tail, space)
        words = [_Item((w, _WORD, 0, 0), w, pieces[w]) for w in kept]
        items = sorted([*words, *heads, *tails], key=lambda item: item.key)
        ids, first = self.tokenizer.with_special_tokens([item.ids for item in items])
        numbers = [_MARKER_SHAPE if item.word < 0 else features[item.word] for item in items]
        start, end = min(kept, default=head.start), max(kept, default=head.start) + 1
        forms = tuple("" if item.word < 0 else surface_forms[item.word] for item in items)
        window = Window(ids, first, numbers, start, end, start, end, forms)
        return MarkedPair(
            window, (items.index(heads[0]), items.index(tails[0])), [item.word for item in items]
        )

    def _items(self, argument: Argument, side: int) -> tuple[_Item, _Item]:
        """Opening and closing marker; side is 0 for the head, 1 for the tail.

        The first to open is the last to close; of two that open (or close) at the same word, the longer is
        the outer one, and of two over the same words, the head.
        """
        start, end = argument.start, argument.end
        opening, closing = (self.markers.tail if side else self.markers.head)(argument.type)
        return (
            _Item((start, _OPENING, -end, side), -1, self._ids(opening)),
            _Item((end, _CLOSING, -start, -side), -1, self._ids(closing)),
        )

    def _ids(self, marker: list[str]) -> list[int]:
        key = tuple(marker)
        if key not in self._marker_ids:
            encoded = self.tokenizer.tokenizer.encode(marker, is_pretokenized=True, add_special_tokens=False)
            self._marker_ids[key] = encoded.ids[: self._longest] or [self.tokenizer.pad_id]
        return self._marker_ids[key]


def _nearest(sizes: Sequence[int], head: Argument, tail: Argument, space: int) -> list[int]:
    """Words kept, in order: those of the arguments, then the nearest others, as far as they fit.

    Of an argument too long for its window, the words at its borders are kept.

    Args:
        sizes: pieces of each word.
        head: an argument. tail: the other.
        space: pieces that words may take.
    """
    position = np.arange(len(sizes))
    distance, depth = (
        np.min([measure(position, x) for x in (head, tail)], 0) for measure in (_distance, _depth)
    )
    order = np.lexsort((depth, distance))
    fitting = np.cumsum(np.array(sizes, np.int64)[order]) <= space
    kept: list[int] = np.sort(order[fitting]).tolist()
    return kept


def _distance(position: NDArray[np.int64], argument: Argument) -> NDArray[np.int64]:
    """Words between each position and the argument, 0 inside."""
    return np.maximum(np.maximum(argument.start - position, position - argument.end + 1), 0)


def _depth(position: NDArray[np.int64], argument: Argument) -> NDArray[np.int64]:
    """Words between each position in the argument and its nearer border; a large number outside."""
    inner = np.minimum(position - argument.start, argument.end - 1 - position)
    return np.where(inner >= 0, inner, len(position))
