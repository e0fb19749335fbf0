"""Marked pairs: properties that hold for every pair and window."""

from __future__ import annotations

import json

import hypothesis.strategies as st
import pytest
from hypothesis import given
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from twofold.errors import ModelError
from twofold.preprocessing.entity_markers import (
    Argument,
    LevitatedMarkers,
    MarkedPair,
    PairTokenizer,
    PlainMarkers,
    TypedMarkers,
    UntypedMarkers,
    read_markers,
    word_span,
)
from twofold.preprocessing.segmentation import case_features, segment
from twofold.preprocessing.word_pieces import WindowTokenizer

MARKS = {"PER": ["@", "*", "person", "*"], "": ["@"]}


def tokenizer() -> Tokenizer:
    letters = "abcdefghij"
    words = ["person", "location", "@", "*", "#", "^", "<s>", "</s>", "<o>", "</o>", "http"]
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words, *letters, *(f"##{c}" for c in letters)]
    result = Tokenizer(models.WordPiece({t: i for i, t in enumerate(names)}, unk_token="[UNK]"))
    result.add_tokens(["<s>", "</s>", "<o>", "</o>"])
    result.normalizer = normalizers.BertNormalizer()
    result.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    result.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return result


def pairs(window: int = 64, markers: TypedMarkers | PlainMarkers | None = None) -> PairTokenizer:
    return PairTokenizer(WindowTokenizer(tokenizer(), window, 4), markers or TypedMarkers())


def read(pair_tokenizer: PairTokenizer, pair: MarkedPair) -> list[str]:
    """The word or marker at each position of the window: its pieces joined, without ##."""
    ends = [*pair.window.first[1:], len(pair.window.ids) - 1]
    names = [
        [pair_tokenizer.tokenizer.tokenizer.id_to_token(i) for i in pair.window.ids[a:b]]
        for a, b in zip(pair.window.first, ends, strict=True)
    ]
    return ["".join(name.removeprefix("##") for name in row) for row in names]


def marked(text: str, head: Argument, tail: Argument, window: int = 64) -> str:
    pair_tokenizer = pairs(window)
    return " ".join(read(pair_tokenizer, pair_tokenizer.window(text, segment(text), head, tail)))


TEXT = "a b c d e f"


@pytest.mark.parametrize(
    ("head", "tail", "expected"),
    [
        (Argument(0, 2), Argument(3, 4), "@ a b @ c # d # e f"),
        (Argument(3, 4), Argument(0, 2), "# a b # c @ d @ e f"),
        (Argument(0, 2), Argument(2, 4), "@ a b @ # c d # e f"),
        (Argument(2, 4), Argument(0, 2), "# a b # @ c d @ e f"),
        (Argument(0, 4), Argument(1, 2), "@ a # b # c d @ e f"),
        (Argument(1, 2), Argument(0, 4), "# a @ b @ c d # e f"),
        (Argument(0, 4), Argument(0, 2), "@ # a b # c d @ e f"),
        (Argument(0, 2), Argument(0, 4), "# @ a b @ c d # e f"),
        (Argument(0, 4), Argument(2, 4), "@ a b # c d # @ e f"),
        (Argument(2, 4), Argument(0, 4), "# a b @ c d @ # e f"),
        (Argument(0, 3), Argument(1, 5), "@ a # b c @ d e # f"),
        (Argument(2, 3), Argument(2, 3), "a b @ # c # @ d e f"),
        (Argument(5, 6), Argument(0, 1), "# a # b c d e @ f @"),
        (Argument(0, 1, "PER"), Argument(2, 3, "LOC"), "@*person* a @ b #^location^ c # d e f"),
    ],
)
def test_markers_surround_their_arguments(head: Argument, tail: Argument, expected: str) -> None:
    assert marked(TEXT, head, tail) == expected


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, Argument, Argument, int, TypedMarkers | PlainMarkers]:
    names = draw(st.lists(st.text("abcdefghij", min_size=1, max_size=6), min_size=1, max_size=60))

    def argument() -> Argument:
        lo = draw(st.integers(0, len(names) - 1))
        hi = draw(st.integers(lo + 1, min(len(names), lo + 8)))
        return Argument(lo, hi, draw(st.sampled_from(["", "PER", "LOC"])))

    style = draw(st.sampled_from([TypedMarkers(), PlainMarkers()]))
    return " ".join(names), argument(), argument(), draw(st.integers(16, 90)), style


@given(cases())
def test_properties_of_a_window(
    case: tuple[str, Argument, Argument, int, TypedMarkers | PlainMarkers],
) -> None:
    text, head, tail, limit, markers = case
    words, pair_tokenizer = segment(text), pairs(limit, markers)
    pair = pair_tokenizer.window(text, words, head, tail)
    window, tokens = pair.window, read(pair_tokenizer, pair)
    assert len(window.ids) <= limit
    assert window.ids[0] == 2
    assert window.ids[-1] == 3
    assert len(window.first) == len(window.case_features) == len(pair.words) == len(tokens)
    # All four markers are there, and the other words are those of the text, in order.
    signs = ("@", "@", "#", "#") if isinstance(markers, TypedMarkers) else ("<s>", "</s>", "<o>", "</o>")
    marker_places = [position for position, word in enumerate(pair.words) if word < 0]
    assert sorted(tokens[i][: len(signs[0])] for i in marker_places) == sorted(
        s[: len(signs[0])] for s in signs
    )
    kept = [word for word in pair.words if word >= 0]
    assert kept == sorted(set(kept))
    assert (window.start, window.end) == ((kept[0], kept[-1] + 1) if kept else (window.start, window.end))
    for position, word in enumerate(pair.words):
        if word >= 0:
            start, end = words[word]
            assert tokens[position] == text[start:end]
    # The slot is the opening markers of head and tail in that order.
    assert [tokens[i][: len(signs[0])] for i in pair.marker_positions] == [signs[0], signs[2]]
    for argument, position, closing in (
        (head, pair.marker_positions[0], signs[1]),
        (tail, pair.marker_positions[1], signs[3]),
    ):
        inside = [w for w in kept if argument.start <= w < argument.end]
        after = next(
            i for i in marker_places if i > position and tokens[i] == closing and closes(pair, i, argument)
        )
        assert [w for w in pair.words[position:after] if w >= 0] == inside
    # Words of the arguments are kept where they fit, and none of them is dropped for another word.
    own = sorted({*range(head.start, head.end), *range(tail.start, tail.end)})
    sizes = [len(row) for row in pair_tokenizer.tokenizer.word_pieces(text, words)]
    sides = [markers_of(markers, head, 0), markers_of(markers, tail, 1)]
    space = limit - 2 - sum(len(pair_tokenizer._ids(marker)) for side in sides for marker in side)
    if sum(sizes[w] for w in own) <= space:
        assert set(own) <= set(kept)
    else:
        assert set(kept) <= set(own)
    # No word is dropped where there is space for it.
    if len(kept) < len(words):
        assert sum(sizes[w] for w in kept) + max(sizes) > space


def markers_of(
    markers: TypedMarkers | PlainMarkers, argument: Argument, side: int
) -> tuple[list[str], list[str]]:
    return markers.tail(argument.type) if side else markers.head(argument.type)


def closes(pair: MarkedPair, position: int, argument: Argument) -> bool:
    """Whether all words after this position come after the argument."""
    return all(word >= argument.end for word in pair.words[position:] if word >= 0)


def test_arguments_far_apart_keep_their_surroundings_and_lose_the_middle() -> None:
    text = " ".join("abcdefghij"[i % 10] for i in range(100))
    pair = pairs(40).window(text, segment(text), Argument(90, 91), Argument(5, 6))
    kept = [word for word in pair.words if word >= 0]
    assert kept == [*range(15), *range(81, 100)]  # 40 − 2 special pieces − 4 markers


def test_words_have_their_own_case_features_and_markers_those_of_a_mark() -> None:
    for text in ("Ab cd", "Ab cd http://x.de"):
        words = segment(text)
        pair = pairs().window(text, words, Argument(0, 1), Argument(1, 2))
        own = case_features(text, words)
        mark = case_features("a .", segment("a ."))[1]
        for word, shape in zip(pair.words, pair.window.case_features, strict=True):
            assert shape == (own[word] if word >= 0 else mark)


def test_words_have_surfaces_and_markers_have_none() -> None:
    words = segment(TEXT)
    pair = pairs().window(TEXT, words, Argument(0, 1), Argument(1, 2))
    surfaces = ["" if word < 0 else TEXT[slice(*words[word])] for word in pair.words]
    assert list(pair.window.surfaces) == surfaces
    assert "" in surfaces


def test_pairs_of_one_post_give_the_same_windows_as_one_by_one() -> None:
    words = segment(TEXT)
    marked_pairs = [(Argument(0, 1), Argument(2, 4)), (Argument(4, 6, "PER"), Argument(1, 2))]
    pair_tokenizer = pairs()
    assert pair_tokenizer.windows(TEXT, words, marked_pairs) == [
        pair_tokenizer.window(TEXT, words, *pair) for pair in marked_pairs
    ]


def test_untyped_markers_ignore_types() -> None:
    untyped, typed = UntypedMarkers(), TypedMarkers()
    assert untyped.head("PER") == untyped.head("") == typed.head("")
    assert untyped.tail("PER") == untyped.tail("") == typed.tail("")


def test_an_unknown_type_is_its_own_name() -> None:
    assert TypedMarkers().head("EVENT") == (["@", "*", "event", "*"], ["@"])
    assert TypedMarkers().tail("LOC") == (["#", "^", "location", "^"], ["#"])


@pytest.mark.parametrize(
    "markers",
    [TypedMarkers(), TypedMarkers({"X": "ex"}, ("a", "b")), UntypedMarkers("a", "b"), PlainMarkers()],
)
def test_markers_are_read_back(markers: TypedMarkers | UntypedMarkers | PlainMarkers) -> None:
    assert read_markers(json.loads(json.dumps(markers.record())), "config.json") == markers


@pytest.mark.parametrize("raw", [None, {}, {"style": "other"}, {"style": "plain", "tokens": ["<s>"]}])
def test_markers_that_cannot_be_read(raw: object) -> None:
    with pytest.raises(ModelError, match="typed, untyped or plain"):
        read_markers(raw, "config.json")


def test_words_that_a_span_overlaps() -> None:
    words = segment("ab cd ef")
    assert word_span(words, 0, 2) == (0, 1)
    assert word_span(words, 1, 4) == (0, 2)
    assert word_span(words, 2, 3) is None


# --- levitated markers -------------------------------------------------------------------------------


def levitated(
    text: str, requested: list[tuple[Argument, Argument]], window: int = 64
) -> list[tuple[str, ...]]:
    """For each pair in order: the border words of its arguments, as the window has them."""
    reader, words = LevitatedMarkers(WindowTokenizer(tokenizer(), window, 4)), segment(text)
    found = {}
    for item in reader.pair_windows(text, words, requested):
        assert len(item.window.ids) <= window
        for number, slot in zip(item.pairs, item.slots, strict=True):
            found[number] = tuple(item.window.surfaces[position] for position in slot)
    return [found[i] for i in range(len(requested))]


def test_pairs_of_a_post_share_its_window() -> None:
    requested = [
        (Argument(0, 2), Argument(3, 4)),
        (Argument(3, 4), Argument(0, 2)),
        (Argument(1, 3), Argument(1, 3)),
    ]
    reader = LevitatedMarkers(WindowTokenizer(tokenizer(), 64, 4))
    (only,) = reader.pair_windows(TEXT, segment(TEXT), requested)
    assert only.pairs == [0, 1, 2]
    assert only.slots == [(0, 1, 3, 3), (3, 3, 0, 1), (1, 2, 1, 2)]
    assert reader.pair_windows(TEXT, segment(TEXT), []) == []


def test_pairs_of_a_long_post_are_in_windows_that_contain_them() -> None:
    text = " ".join("abcdefghij" * 3)
    near = [(Argument(i, i + 2), Argument(i + 3, i + 4)) for i in range(26)]
    far = [(Argument(0, 1), Argument(29, 30)), (Argument(25, 30), Argument(0, 3))]
    words = text.split()
    expected = [
        (words[h.start], words[h.end - 1], words[t.start], words[t.end - 1]) for h, t in (*near, *far)
    ]
    assert levitated(text, [*near, *far], 16) == expected
    assert levitated(text, [*near, *far], 64) == expected
