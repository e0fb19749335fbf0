"""Crops: cut at their boxes in the upright picture, encoded once, cached, and used in inference."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tiny_model
from PIL import Image

from twofold.errors import PictureError
from twofold.inference.encode import PostEncoder
from twofold.model_folder.folder import open_folder
from twofold.posts import Post, Region
from twofold.preprocessing.crops import CropEncoder, CropRequest
from twofold.preprocessing.feature_cache import FeatureCache
from twofold.preprocessing.images import PictureSettings, read_crops
from twofold.preprocessing.modalities import crop_boxes, grid_boxes, pooled
from twofold.preprocessing.picture_files import content_hash

PLAIN = PictureSettings(resize=8, crop=8, mean=(0, 0, 0), std=(1, 1, 1))
QUARTERS = grid_boxes(4)
COLOURS = ("red", "lime", "blue", "white")


def quartered(size: tuple[int, int] = (64, 40), kind: str = "PNG", **options: object) -> bytes:
    """A picture whose quarters have the four colours, left to right and top to bottom."""
    picture = Image.new("RGB", size)
    for (x0, y0, x1, y1), colour in zip(QUARTERS, COLOURS, strict=True):
        box = tuple(round(a * b) for a, b in zip((x0, y0, x1, y1), size * 2, strict=True))
        picture.paste(colour, box)
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def inner(box: tuple[float, ...], edge: float = 0.1) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = box
    return x0 + edge, y0 + edge, x1 - edge, y1 - edge


def colours(crops: np.ndarray) -> list[list[int]]:
    return (crops.mean((2, 3)) > 128).astype(int).tolist()


RED, LIME, BLUE, WHITE = [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]


def test_a_crop_is_the_content_of_its_box() -> None:
    crops = read_crops(quartered(), [inner(box) for box in QUARTERS], PLAIN)
    assert crops.shape == (4, 3, 8, 8)
    assert colours(crops) == [RED, LIME, BLUE, WHITE]
    assert crops.std((2, 3)).max() < 1


def test_boxes_are_those_of_the_upright_picture() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its left side: turned clockwise to be upright
    turned = quartered(kind="JPEG", exif=exif, quality=95)
    crops = read_crops(turned, [inner(box) for box in QUARTERS], PLAIN)
    assert colours(crops) == [BLUE, RED, WHITE, LIME]


def test_the_whole_box_is_squeezed_into_the_square() -> None:
    top, bottom = read_crops(quartered(), [(0, 0, 1, 0.5), (0, 0.5, 1, 1)], PLAIN)
    assert colours(np.stack([top[..., :3], top[..., 5:]])) == [RED, LIME]
    assert colours(np.stack([bottom[..., :3], bottom[..., 5:]])) == [BLUE, WHITE]


def test_a_box_smaller_than_a_pixel_and_one_of_a_large_photograph() -> None:
    large = quartered((1600, 1200), "JPEG")
    tiny = (0.7, 0.2, 0.70001, 0.20001)
    assert colours(read_crops(large, [tiny, inner(QUARTERS[2])], PLAIN)) == [LIME, BLUE]


def test_a_broken_picture_is_an_error() -> None:
    with pytest.raises(PictureError, match="not a picture"):
        read_crops(b"<html>", QUARTERS, PLAIN)


class Encoder:
    """Two regions a crop: its mean colour, and twice that."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        self.seen += len(pixels)
        mean = pixels.mean((2, 3))
        return np.stack([mean, 2 * mean], 1)


def request(data: bytes, boxes: tuple = QUARTERS) -> CropRequest:
    return CropRequest(content_hash(data), data, boxes)


def test_each_request_is_encoded_once_and_pooled() -> None:
    encode = Encoder()
    one, other = quartered(), quartered((30, 30))
    requests = [
        request(one),
        None,
        request(one),
        request(one, QUARTERS[:1]),
        request(other),
        request(one, ()),
    ]
    first, nothing, again, single, second, none = CropEncoder(encode, PLAIN, 3, None).encode(requests)
    assert encode.seen == 4 + 1 + 4
    assert nothing is none is None
    assert first is again
    assert first.shape == second.shape == (4, 3)
    expected = 1.5 * read_crops(one, QUARTERS, PLAIN).mean((2, 3))
    np.testing.assert_allclose(first, expected, rtol=1e-3, atol=0.2)
    np.testing.assert_allclose(single, first[:1], atol=0.2)


def test_a_broken_picture_has_no_crops_and_does_not_affect_others() -> None:
    requests = [request(quartered((10 + i, 20))) if i % 3 else request(b"broken %d" % i) for i in range(20)]
    found = CropEncoder(Encoder(), PLAIN, 3, None).encode(requests)
    assert [crops is None for crops in found] == [i % 3 == 0 for i in range(20)]


def test_cached_crops_are_not_cut_again(tmp_path) -> None:
    first, second = Encoder(), Encoder()
    cache = FeatureCache(tmp_path, "x")
    before = CropEncoder(first, PLAIN, 3, cache).encode([request(quartered())])
    after = CropEncoder(second, PLAIN, 3, cache).encode(
        [request(quartered()), request(quartered(), QUARTERS[1:])]
    )
    assert (first.seen, second.seen) == (4, 3)
    np.testing.assert_array_equal(before[0], after[0])


# --- in inference ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    sources = ("text", "whole", "crops", "objects", "ocr")
    return open_folder(tiny_model.build(tmp_path_factory.mktemp("models") / "tiny", sources=sources))


DOG = Region((0.1, 0.1, 0.4, 0.4), "dog", 0.9)
SIGN = Region((0.5, 0.5, 1.0, 1.0), "STOP", 0.9, "text")


def test_which_modalities_a_post_has(folder) -> None:
    posts = [
        Post(1, "Anna", image=quartered(), regions=(DOG, SIGN)),
        Post(2, "Anna", image=quartered()),
        Post(3, "Anna"),
        Post(4, "Anna", image=b"broken", regions=(DOG, SIGN)),
        Post(5, "Anna", image=quartered(), regions=()),
    ]
    encoded = PostEncoder(folder, threads=1).encode(posts)
    assert [post.present for post in encoded] == [
        (True, True, True, True, True),
        (True, True, True, False, False),
        (True, False, False, False, False),
        (True, False, False, True, True),  # labels and texts are in the post, not in its picture
        (True, True, True, False, False),
    ]
    assert [post.picture.status for post in encoded] == ["read", "read", "none", "unreadable", "read"]
    # No detection was run, or it found nothing: the quarters in both cases.
    np.testing.assert_array_equal(encoded[1].emissions, encoded[4].emissions)
    assert not np.array_equal(encoded[0].emissions, encoded[1].emissions)


def test_states_are_the_pooled_regions_of_the_crops(folder) -> None:
    encoder = PostEncoder(folder, threads=1)
    post = Post(1, "Anna", image=quartered(), regions=(DOG, SIGN))
    found = encoder.network.modality_encoder.encode([post], 4)
    settings = folder.config.picture.settings
    pixels = read_crops(post.image, crop_boxes(post, 4), settings)
    assert found.states["crops"][0].shape == (1, tiny_model.REGION_WIDTH)
    regions = encoder.network.sessions.picture(pixels).astype(np.float16)
    np.testing.assert_array_equal(found.states["crops"][0], [pooled(regions[0])])
    assert found.states["whole"][0].shape == (1, tiny_model.REGION_WIDTH)
    assert found.states["objects"][0].shape[1] == tiny_model.WIDTH


def test_results_are_the_same_alone_or_in_a_batch_with_a_cache_or_without(folder, tmp_path) -> None:
    posts = [
        Post(i, f"Anna met Bob {i}", image=quartered((40 + i % 3, 40)), regions=(DOG,) if i % 2 else None)
        for i in range(9)
    ]
    together = PostEncoder(folder, threads=1).encode(posts)
    cache = FeatureCache(tmp_path, folder.picture_fingerprint)
    for _ in range(2):
        for post, encoded in zip(posts, together, strict=True):
            (alone,) = PostEncoder(folder, threads=1, cache=cache).encode([post])
            np.testing.assert_allclose(alone.emissions, encoded.emissions, atol=1e-5)
