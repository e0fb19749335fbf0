"""Vision models from the hub: each family through the real loading code, against `transformers` itself."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from PIL import Image  # noqa: E402
from tiny_vision import SIDE, VISION, save_vision  # noqa: E402

from twofold.encoders.hub import fingerprint  # noqa: E402
from twofold.encoders.hub_image import HubImageEncoder, picture_settings  # noqa: E402
from twofold.encoders.image import load_image_encoder  # noqa: E402
from twofold.errors import ConfigError  # noqa: E402
from twofold.preprocessing.images import PictureSettings, read_picture  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")
FULL = {
    "do_resize": True, "size": {"shortest_edge": 40}, "do_center_crop": True,
    "crop_size": {"height": 32, "width": 32}, "do_rescale": True, "rescale_factor": 1 / 255,
    "do_normalize": True, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.5, 0.25, 0.2], "resample": 3,
}  # fmt: skip


@pytest.fixture(scope="module", params=VISION)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple:
    folder, model, processor = save_vision(request.param, tmp_path_factory.mktemp(request.param))
    return request.param, load_image_encoder(str(folder)), model, processor, folder


def photograph(size: tuple[int, int] = (90, 60)) -> bytes:
    colours = np.random.default_rng(3).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(colours).resize(size, Image.Resampling.BICUBIC).save(stream, "PNG")
    return stream.getvalue()


def test_regions_are_the_states_of_the_model(family: tuple) -> None:
    name, encoder, model, _, _ = family
    pixels = torch.randn(3, 3, SIDE, SIDE)
    with torch.no_grad():
        found = encoder(pixels)
        tower = getattr(model, "vision_model", model) if name in ("clip", "siglip") else model
        states = tower(pixel_values=pixels).last_hidden_state
    _, regions, width = VISION[name]
    assert (encoder.regions, encoder.width) == (regions, width)
    assert found.shape == (3, regions, width)
    if states.ndim == 4:
        side = math.isqrt(regions)
        for place in (0, 5, regions - 1):
            torch.testing.assert_close(found[:, place], states[:, :, place // side, place % side])
    else:  # class and register tokens come first, in every family
        torch.testing.assert_close(found, states[:, -regions:])


@pytest.mark.parametrize("name", ["resnet", "convnext"])
def test_regions_of_a_convolution_are_in_row_order(name: str, tmp_path: Path) -> None:
    encoder = load_image_encoder(str(save_vision(name, tmp_path)[0]))
    pixels = torch.zeros(1, 3, SIDE, SIDE)
    with torch.no_grad():
        before = encoder(pixels)
        pixels[..., :8, -8:] = 3.0  # the last place of the first row of four
        change = (encoder(pixels) - before).abs().sum(2)[0]
    assert int(change.argmax()) == 3


def test_pictures_are_prepared_as_the_models_own_processor_does(family: tuple) -> None:
    _, encoder, _, processor, _ = family
    data = photograph()
    ours = read_picture(data, encoder.settings)[0]
    theirs = np.asarray(processor(Image.open(io.BytesIO(data)), return_tensors="np")["pixel_values"][0])
    assert ours.shape == theirs.shape
    # Cropping before resizing shifts by a fraction of a pixel; otherwise pictures differ by rounding.
    assert np.abs(ours - theirs).mean() < 0.03 * np.ptp(theirs)


def test_it_is_frozen_including_batch_normalisation(family: tuple) -> None:
    _, encoder, *_ = family
    encoder.train()
    assert not any(module.training for module in encoder.modules())
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    before = fingerprint(encoder.backbone.state_dict())
    encoder(torch.randn(4, 3, SIDE, SIDE))
    assert fingerprint(encoder.backbone.state_dict()) == before


def test_the_fingerprint_depends_on_weights_and_preparation(family: tuple) -> None:
    _, encoder, _, _, folder = family
    assert load_image_encoder(str(folder)).fingerprint == encoder.fingerprint
    other = HubImageEncoder(encoder.backbone, PictureSettings(SIDE, SIDE, std=(1.0, 1.0, 1.0)))
    assert other.fingerprint != encoder.fingerprint
    with torch.no_grad():
        next(iter(other.backbone.parameters())).view(-1)[0] += 0.5
    changed = HubImageEncoder(other.backbone, encoder.settings).fingerprint
    with torch.no_grad():
        next(iter(other.backbone.parameters())).view(-1)[0] -= 0.5
    assert changed != encoder.fingerprint


def test_an_architecture_with_a_backbone_class_only(tmp_path: Path) -> None:
    import transformers as hf

    config = hf.VitPoseBackboneConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=(SIDE, SIDE), patch_size=(8, 8)
    )
    hf.VitPoseBackbone(config).save_pretrained(tmp_path)
    hf.ViTImageProcessorPil(size={"height": SIDE, "width": SIDE}).save_pretrained(tmp_path)
    encoder = load_image_encoder(str(tmp_path))
    assert (encoder.regions, encoder.width) == (16, 16)


# --- how pictures are prepared -----------------------------------------------------------------------


def test_mean_and_standard_deviation_are_on_the_scale_of_a_byte() -> None:
    settings = picture_settings(FULL)
    assert settings.mean == pytest.approx((127.5, 102.0, 76.5))
    assert settings.std == pytest.approx((127.5, 63.75, 51.0))
    x = np.array([0.0, 100.0, 255.0])
    ours = (x - settings.mean[1]) / settings.std[1]
    np.testing.assert_allclose(ours, (x / 255 - 0.4) / 0.25)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, (40, 32, "crop")),
        ({"do_center_crop": False}, (40, 40, "crop")),
        ({"crop_size": 24}, (40, 24, "crop")),
        ({"size": {"height": 36, "width": 36}}, (36, 32, "squeeze")),
        ({"size": {"height": 36, "width": 36}, "do_center_crop": False}, (36, 36, "squeeze")),
        ({"size": 36, "do_center_crop": False}, (36, 36, "squeeze")),
        ({"size": {"shortest_edge": 224}, "crop_pct": 0.875}, (256, 224, "crop")),
        ({"size": {"shortest_edge": 384}, "crop_pct": 0.875}, (384, 384, "squeeze")),
    ],
)
def test_sizes(change: dict, expected: tuple) -> None:
    settings = picture_settings({**FULL, **change})
    assert (settings.resize, settings.crop, settings.fit) == expected


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"size": {"longest_edge": 512}}, "shortest_edge"),
        ({"do_resize": False}, "do_resize"),
        ({"size": {"height": 30, "width": 40}, "do_center_crop": False}, "a square"),
        ({"resample": 5}, "filter 5"),
    ],
)
def test_unsupported_preparation_is_an_error(change: dict, part: str) -> None:
    with pytest.raises(ConfigError, match=part):
        picture_settings({**FULL, **change}, "some/model")


def test_neither_rescaled_nor_normalised() -> None:
    settings = picture_settings({**FULL, "do_rescale": False, "do_normalize": False})
    assert (settings.mean, settings.std) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def test_rescaled_to_minus_one_to_one() -> None:
    settings = picture_settings(
        {**FULL, "rescale_factor": 1 / 127.5, "rescale_offset": True, "do_normalize": False}
    )
    assert settings.mean == pytest.approx((127.5,) * 3)
    assert settings.std == pytest.approx((127.5,) * 3)


def test_squeezing_and_cropping_as_pillow_does() -> None:
    data = photograph((120, 48))
    settings = PictureSettings(40, 32, (0, 0, 0), (1, 1, 1), fit="squeeze", resample="bilinear")
    ours = read_picture(data, settings)[0]
    whole = Image.open(io.BytesIO(data)).resize((40, 40), Image.Resampling.BILINEAR)
    theirs = np.asarray(whole.crop((4, 4, 36, 36)), np.float32).transpose(2, 0, 1)
    assert np.abs(ours - theirs).mean() < 1.0


# --- models that cannot be loaded --------------------------------------------------------------------


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="efficientnet-lite0") as caught:
        load_image_encoder(str(tmp_path / "none" / "there"))
    assert "cannot be loaded" in caught.value.what
    assert caught.value.where == "image_encoder"


def test_a_folder_without_an_image_processor(tmp_path: Path) -> None:
    save_vision("vit", tmp_path)
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(ConfigError, match="image processor"):
        load_image_encoder(str(tmp_path))


def test_an_unknown_model_type(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "no-such-model"}))
    with pytest.raises(ConfigError, match="cannot be loaded"):
        load_image_encoder(str(tmp_path))
