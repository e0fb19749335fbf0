"""Perturbed pictures: reproducible and of the stated strength; truncated files cannot be read."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from twofold.errors import PictureError
from twofold.preprocessing.blank_pictures import GREY, blank
from twofold.preprocessing.images import PictureSettings, read_picture
from twofold.preprocessing.picture_decoding import FORMATS
from twofold.robustness.perturbations import NOISE, OCCLUDED_AREA, PERTURBATIONS, perturb, readable, truncated


def picture(size=(120, 80), colour=(255, 0, 0), kind="PNG"):
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, kind)
    return out.getvalue()


def pixels(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.float64)


@pytest.mark.parametrize("how", PERTURBATIONS)
def test_the_same_key_gives_the_same_perturbation(how, tmp_path):
    (tmp_path / "a.png").write_bytes(picture())
    assert perturb(how, picture(), "1") == perturb(how, tmp_path / "a.png", "1")
    assert pixels(perturb(how, picture((900, 300)), "1")).shape == (171, 512, 3)


@pytest.mark.parametrize("how", ["noisy", "occluded"])
def test_another_key_gives_another_perturbation(how):
    assert perturb(how, picture(), "1") != perturb(how, picture(), "2")


def test_noise_has_the_stated_standard_deviation():
    # Noise on a mid-grey picture is not clipped within 0.5 / 0.38 standard deviations.
    values = pixels(perturb("noisy", picture(colour=(128, 128, 128)), "1"))
    middle = np.abs(values - 128) < 60
    part = {0.38: 0.464}[NOISE]  # P(|z| < 60 / (255 · 0.38)), normal
    assert middle.mean() == pytest.approx(part, abs=0.01)


def test_blur_keeps_the_mean_and_removes_detail():
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(board).convert("RGB").save(out, "PNG")
    values = pixels(perturb("blurred", out.getvalue(), "1"))
    assert values.mean() == pytest.approx(127.5, abs=2)
    assert values.std() < 20 < board.std()


def test_the_occluded_part_has_the_stated_size():
    values = pixels(perturb("occluded", picture((200, 100)), "1"))
    covered = (values == GREY).all(2)
    assert covered.mean() == pytest.approx(OCCLUDED_AREA, abs=0.01)
    assert (values[~covered] == (255, 0, 0)).all()


def test_a_blank_picture_is_read_and_holds_one_colour():
    assert blank() == blank()
    values, warning = read_picture(blank(), PictureSettings())
    assert not warning
    assert np.ptp(values) == 0


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("size", [(1, 1), (60, 90)])
def test_a_truncated_file_of_any_format_cannot_be_read(kind, size, tmp_path):
    data = picture(size, kind=kind)
    (tmp_path / "a").write_bytes(data)
    assert readable(data)
    assert truncated(data) == truncated(tmp_path / "a") == data[: len(data) // 2]
    assert not readable(truncated(data))
    with pytest.raises(PictureError):
        read_picture(truncated(data), PictureSettings())


def test_more_is_cut_off_where_the_first_half_holds_the_whole_picture():
    data = picture() + b"\0" * 100_000
    assert readable(data[: len(data) // 2])
    assert not readable(truncated(data))


def test_an_unreadable_picture_cannot_be_perturbed():
    with pytest.raises(PictureError):
        perturb("noisy", b"no picture", "1")
