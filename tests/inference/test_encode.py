"""From posts to emissions: windows, batches, present and absent modalities."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tiny_model
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from twofold.inference.encode import PostEncoder
from twofold.inference.modality_states import batches
from twofold.model_folder.folder import open_folder
from twofold.posts import Post
from twofold.preprocessing.feature_cache import FeatureCache


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return open_folder(tiny_model.build(tmp_path_factory.mktemp("models") / "tiny"))


@pytest.fixture
def encoder(folder):
    return PostEncoder(folder, threads=1)


def picture(colour="red", kind="PNG", **options) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(stream, kind, **options)
    return stream.getvalue()


def spy(monkeypatch, encoder, graph):
    """Batch sizes that a graph was run with."""
    sizes = []
    run = getattr(encoder.network.sessions, graph)

    def counted(first, *rest):
        sizes.append(first.shape[:2])
        return run(first, *rest)

    monkeypatch.setattr(encoder.network.sessions, graph, counted)
    return sizes


def test_shapes(encoder):
    encoded = encoder.encode([Post(1, "Anna met Bob", image=picture(), alt_text="a square")])[0]
    assert encoded.words == [(0, 4), (5, 8), (9, 12)]
    assert encoded.emissions.shape == (3, 9)
    assert encoded.evidence.shape == (3, 4, 3, 9)
    assert encoded.fused.shape == (4, 3, 9)
    assert encoded.share.shape == (3, 3, 9)
    assert encoded.share.sum(0) == pytest.approx(1.0)
    assert encoded.present == (True, True, True)
    assert encoded.picture.status == "read"


def test_a_post_is_encoded_the_same_alone_and_in_a_batch(encoder):
    posts = [
        Post(1, "Anna met Bob in paris", alt_text="two people"),
        Post(2, "", image=picture("blue")),
        Post(3, "x " * 100 + "NASA", image=picture()),
        Post(4, "\u200b\u202e"),
        Post(5, "Anna met Bob in paris", image=picture(), alt_text="something else"),
    ]
    for post, encoded in zip(posts, encoder.encode(posts, batch_size=3), strict=True):
        alone = encoder.encode([post])[0]
        assert encoded.post is post
        assert encoded.present == alone.present
        np.testing.assert_allclose(encoded.emissions, alone.emissions, atol=1e-5)
        if alone.evidence is not None:
            np.testing.assert_allclose(encoded.evidence, alone.evidence, atol=1e-5)


def test_windows_of_a_long_post_tile_it(encoder):
    # The tiny encoder encodes each piece on its own: windows must make no difference.
    text = "Anna met Bob in paris and NASA too . " * 40
    long, short = (encoder.encode([Post(1, t)])[0] for t in (text, text[: len(text) // 40]))
    assert len(long.words) == len(long.emissions) == 40 * len(short.words)
    inner = long.emissions[len(short.words) : 2 * len(short.words)]
    np.testing.assert_allclose(inner[1:], short.emissions[1:], atol=1e-5)  # word 0 is "first" once only
    assert long.share.shape == (3, len(long.words), 9)


def test_posts_without_words_have_emissions_without_rows(encoder):
    empty, invisible = encoder.encode([Post(1, ""), Post(2, "\u200b \u202e\0")])
    for encoded in (empty, invisible):
        assert encoded.words == []
        assert encoded.emissions.shape == (0, 9)
        assert encoded.evidence is None
    assert encoder.network.sessions.opened == ()


def test_posts_without_pictures_never_open_the_picture_graph(encoder):
    encoder.encode([Post(1, "Anna", alt_text="a face"), Post(2, "Bob", image=b"not a picture")])
    assert set(encoder.network.sessions.opened) == {"text", "fusion"}


def test_the_same_picture_is_encoded_once(encoder, monkeypatch, tmp_path):
    sizes = spy(monkeypatch, encoder, "picture")
    path = tmp_path / "red.png"
    path.write_bytes(picture())
    images = [path, picture(), picture("blue"), None, path, tmp_path / "gone.png"]
    encoded_posts = encoder.encode([Post(i, "Anna", image=image) for i, image in enumerate(images)])
    assert [shape[0] for shape in sizes] == [2]
    statuses = [encoded.picture.status for encoded in encoded_posts]
    assert statuses == ["read", "read", "read", "none", "read", "unreadable"]
    assert encoded_posts[5].picture.reason == "file not found"
    assert encoded_posts[5].present == (True, False, False)
    np.testing.assert_array_equal(encoded_posts[0].emissions, encoded_posts[1].emissions)
    assert not np.array_equal(encoded_posts[0].emissions, encoded_posts[2].emissions)


def test_more_pictures_than_are_decoded_ahead(encoder):
    images = [picture((i, 2 * i, 255 - i)) for i in range(41)]
    encoded_posts = encoder.encode([Post(i, "Anna", image=image) for i, image in enumerate(images)])
    for i in (0, 7, 8, 40):
        alone = encoder.encode([Post(i, "Anna", image=images[i])])[0]
        np.testing.assert_allclose(encoded_posts[i].emissions, alone.emissions, atol=1e-6)


def test_a_cache_saves_work_and_changes_no_result(folder, monkeypatch, tmp_path):
    frames = [Image.new("RGB", (30, 30), colour) for colour in ("red", "blue")]
    animated = io.BytesIO()
    frames[0].save(animated, "GIF", save_all=True, append_images=frames[1:])
    posts = [Post(1, "Anna", image=picture("teal")), Post(2, "Bob", image=animated.getvalue())]
    plain = PostEncoder(folder).encode(posts)
    for run in range(3):
        encoder = PostEncoder(folder, cache=FeatureCache(tmp_path, folder.picture_fingerprint))
        sizes = spy(monkeypatch, encoder, "picture")
        for encoded, expected in zip(encoder.encode(posts), plain, strict=True):
            np.testing.assert_array_equal(encoded.emissions, expected.emissions)
            assert encoded.picture == expected.picture
        assert [shape[0] for shape in sizes] == [2 if run == 0 else 1]  # the picture with a warning again


def test_equal_texts_are_encoded_once(encoder, monkeypatch):
    sizes = spy(monkeypatch, encoder, "text")
    posts = [Post(i, "Anna met Bob", alt_text=f"face {i % 2}") for i in range(6)]
    encoder.encode(posts)
    assert sorted(shape[0] for shape in sizes) == [1, 2]


def test_a_long_post_is_not_padded_with_short_ones(encoder, monkeypatch):
    sizes = spy(monkeypatch, encoder, "text")
    encoder.encode([Post(0, "y " * 3000), *(Post(i, f"hi {i}") for i in range(1, 30))], batch_size=4)
    assert all(rows <= 4 and (rows == 1 or rows * width <= 4 * 64) for rows, width in sizes)


def test_a_model_that_uses_no_pictures(tmp_path):
    folder = open_folder(tiny_model.build(tmp_path / "text", sources=("text",), evidence=False))
    encoder = PostEncoder(folder)
    with_picture, without = encoder.encode([Post(1, "Anna", image=picture()), Post(2, "Anna")])
    assert with_picture.picture.status == "none"
    assert with_picture.picture.reason == "this model does not use pictures"
    assert without.picture.reason == ""
    assert without.evidence is None
    np.testing.assert_array_equal(with_picture.emissions, without.emissions)


@given(st.lists(st.integers(1, 400), max_size=60), st.integers(1, 9))
def test_batches_hold_every_row_once_within_bounds(lengths, size):
    found = list(batches(lengths, size))
    assert sorted(i for batch in found for i in batch) == list(range(len(lengths)))
    for batch in found:
        assert len(batch) <= size
        assert len(batch) == 1 or max(lengths[i] for i in batch) * len(batch) <= size * 64


def test_a_long_post_is_encoded_in_batches_of_bounded_size(encoder, monkeypatch):
    text, fused = spy(monkeypatch, encoder, "text"), []
    fuse = encoder.network.sessions.fuse
    monkeypatch.setattr(
        encoder.network.sessions, "fuse", lambda x: (fused.append(x["words"].shape[:2]), fuse(x))[1]
    )
    words = " ".join(f"w{i}" for i in range(5000))
    (encoded,) = encoder.encode([Post(1, words)], batch_size=4)
    assert encoded.emissions.shape == (5000, 9)
    window = encoder.config.text.window_pieces
    for sizes in (text, fused):
        assert len(sizes) > 5000 / window / 4
        assert max(rows for rows, _ in sizes) <= 4
        assert max(length for _, length in sizes) <= window
