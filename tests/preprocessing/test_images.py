"""Every bad picture gives one clear error, every unusual one the right pixels."""

from __future__ import annotations

import errno
import io
import os
import random
import re
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from twofold.errors import PictureError
from twofold.posts import RefusedPicture
from twofold.preprocessing import picture_decoding, picture_files
from twofold.preprocessing.images import PictureSettings, read_picture, read_thumbnail
from twofold.preprocessing.picture_files import content_hash

SETTINGS = PictureSettings()
PLAIN = PictureSettings(resize=224, crop=224, mean=(0, 0, 0), std=(1, 1, 1))
"""Nothing is scaled: a picture of 224 x 224 comes out as the values it was made of."""


def encode(picture: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def scene(width: int = 224, height: int = 224, seed: int = 0) -> np.ndarray:
    """A smooth picture without any symmetry, (height, width, 3) uint8."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))


def values(image: Path | bytes) -> np.ndarray:
    """Pixels read without scaling, (224, 224, 3)."""
    return read_picture(image, PLAIN)[0].transpose(1, 2, 0)


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_header(width: int, height: int) -> bytes:
    """A PNG with this size in its header and almost no content."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


# --- the plain case ----------------------------------------------------------------------------------


def test_a_plain_picture_keeps_its_pixels() -> None:
    pixels, warning = read_picture(encode(Image.fromarray(scene())), PLAIN)
    assert pixels.shape == (3, 224, 224)
    assert pixels.dtype == np.float32
    assert pixels.flags.c_contiguous
    assert warning == ""
    np.testing.assert_array_equal(pixels.transpose(1, 2, 0), scene())


def test_normalisation_is_per_channel() -> None:
    settings = PictureSettings(resize=224, crop=224, mean=(10, 20, 30), std=(2, 4, 8))
    pixels, _ = read_picture(encode(Image.fromarray(scene())), settings)
    expected = (scene().astype(np.float64) - [10, 20, 30]) / [2, 4, 8]
    np.testing.assert_allclose(pixels.transpose(1, 2, 0), expected, atol=1e-5)


@pytest.mark.parametrize(("width", "height"), [(640, 480), (480, 640), (300, 301), (257, 900), (90, 60)])
def test_same_as_resizing_the_shorter_side_and_cropping_the_centre(width: int, height: int) -> None:
    picture = Image.fromarray(scene(width, height))
    scale = 256 / min(width, height)
    large = picture.resize((round(width * scale), round(height * scale)), Image.Resampling.BICUBIC)
    left, top = (large.width - 224) / 2, (large.height - 224) / 2
    oracle = np.asarray(large.crop((round(left), round(top), round(left) + 224, round(top) + 224)), float)
    pixels, _ = read_picture(encode(picture), PictureSettings(mean=(0, 0, 0), std=(1, 1, 1)))
    # Only the rounding of the crop's position to half a pixel may differ.
    assert np.abs(pixels.transpose(1, 2, 0) - oracle).mean() < 2


def test_file_and_bytes_are_the_same_picture(tmp_path: Path) -> None:
    data = encode(Image.fromarray(scene()), "JPEG")
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    np.testing.assert_array_equal(values(path), values(data))
    assert content_hash(path) == content_hash(data)
    assert content_hash(data) != content_hash(data + b"x")
    assert len(content_hash(data)) == 64


def test_fast_jpeg_decoding_makes_little_difference() -> None:
    coarse = np.random.default_rng(0).integers(0, 256, (75, 75, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize((1200, 1200), Image.Resampling.BICUBIC)
    jpeg, _ = read_picture(encode(picture, "JPEG", quality=98, subsampling=0), SETTINGS)
    png, _ = read_picture(encode(picture), SETTINGS)
    assert np.abs(jpeg - png).mean() < 0.02


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"])
def test_every_format_on_the_list(format: str) -> None:
    assert np.abs(values(encode(Image.fromarray(scene()), format)) - scene()).mean() < 8


@pytest.mark.parametrize("format", ["PPM", "TGA", "ICO", "PCX", "JPEG2000"])
def test_formats_off_the_list_are_refused(format: str) -> None:
    with pytest.raises(PictureError, match=r"not a picture.*expected a JPEG, PNG"):
        values(encode(Image.fromarray(scene()), format))


# --- files that are not pictures ---------------------------------------------------------------------


def bad_files(tmp_path: Path) -> dict[str, tuple[Path, str]]:
    page, text, empty, folder = (tmp_path / n for n in ("page.jpg", "text.png", "empty.jpg", "folder.jpg"))
    page.write_text("<!DOCTYPE html><html><body>404</body></html>", encoding="utf-8")
    text.write_text("hello, I am not a picture", encoding="utf-8")
    empty.write_bytes(b"")
    folder.mkdir()
    return {
        "web page": (page, "looks like a web page"),
        "text": (text, "^[^;]*not a picture;"),
        "empty": (empty, r"empty \(0 bytes\)"),
        "folder": (folder, "folder, not a file"),
        "missing": (tmp_path / "no.jpg", "file not found"),
        "below a file": (page / "x.jpg", "file not found"),
        "NUL": (tmp_path / "a\0b.jpg", "no file can have such a name"),
        "lone surrogate": (tmp_path / "a\ud800b.jpg", "cannot be read|file not found"),
        "long name": (tmp_path / ("a" * 5000), "cannot be read"),
    }


CASES = (
    "web page",
    "text",
    "empty",
    "folder",
    "missing",
    "below a file",
    "NUL",
    "lone surrogate",
    "long name",
)


@pytest.mark.parametrize("case", CASES)
def test_files_that_are_not_pictures(case: str, tmp_path: Path) -> None:
    path, message = bad_files(tmp_path)[case]
    with pytest.raises(PictureError, match=message) as caught:
        read_picture(path, SETTINGS)
    assert caught.value.where
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("case", ["empty", "folder", "missing", "NUL"])
def test_hashing_gives_the_same_errors(case: str, tmp_path: Path) -> None:
    path, message = bad_files(tmp_path)[case]
    with pytest.raises(PictureError, match=message):
        content_hash(path)


@pytest.mark.parametrize("case", ["web page", "text"])
def test_no_message_quotes_the_content_of_a_file(case: str, tmp_path: Path) -> None:
    path, _ = bad_files(tmp_path)[case]
    with pytest.raises(PictureError) as caught:
        read_picture(path, SETTINGS)
    assert not re.search("hello|DOCTYPE", str(caught.value))


def test_no_message_repeats_that_of_a_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise SyntaxError("broken PNG file (chunk b'root')")  # as Pillow does

    data = encode(Image.fromarray(scene()), "BMP")
    monkeypatch.setattr(Image.Image, "resize", fail)
    with pytest.raises(PictureError, match="the picture is damaged") as caught:
        read_picture(data, SETTINGS)
    assert "root" not in str(caught.value)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC picture"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "a HEIC picture"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif", "an AVIF picture"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp41", "a video"),
        (b"%PDF-1.7", "a PDF"),
        (b"\xff\x0a....", "a JPEG XL"),
        (b"\xef\xbb\xbf \n<svg>", "a web page or XML"),
    ],
)
def test_the_type_of_another_file_is_named(head: bytes, kind: str) -> None:
    with pytest.raises(PictureError, match=kind):
        read_picture(head + bytes(100), SETTINGS)


def test_heic_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif", None)  # as if it were not installed
    with pytest.raises(PictureError, match=r"needs a package of its own.*pip install pi-heif"):
        read_picture(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100), SETTINGS)


@pytest.mark.skipif("AVIF" not in picture_decoding.FORMATS, reason="Pillow before 11.3")
def test_avif_is_read() -> None:
    found, _ = read_picture(encode(Image.fromarray(scene()), "AVIF"), SETTINGS)
    assert found.shape == (3, SETTINGS.crop, SETTINGS.crop)


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ENOMEM, errno.ENODEV])
@pytest.mark.parametrize("read", [content_hash, lambda path: read_picture(path, SETTINGS)])
def test_any_error_of_the_disk_is_a_picture_error(number: int, read: Callable, tmp_path, monkeypatch) -> None:
    class Bad(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(number, os.strerror(number))

    (tmp_path / "a.jpg").write_bytes(b"x")
    monkeypatch.setattr(picture_files, "_open_file", lambda path: Bad(b"x"))
    with pytest.raises(PictureError, match="the file cannot be read"):
        read(tmp_path / "a.jpg")


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="no /proc")
def test_a_file_that_cannot_be_read() -> None:
    for read in (content_hash, lambda path: read_picture(path, SETTINGS)):
        with pytest.raises(PictureError, match="the file cannot be read"):
            read(Path("/proc/self/mem"))


@pytest.mark.parametrize(
    "error", [MemoryError(), struct.error("unpack"), RecursionError(), ZeroDivisionError()]
)
def test_any_error_of_a_decoder_is_a_picture_error(error: Exception, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise error

    data = encode(Image.fromarray(scene()), "PNG")
    monkeypatch.setattr(Image.Image, "resize", fail)
    for read in (lambda: read_picture(data, SETTINGS), lambda: read_thumbnail(data, 10)):
        with pytest.raises(PictureError, match=r"damaged|not enough memory"):
            read()


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "a.jpg").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(PictureError, match="more than the limit of 536,870,912"):
        content_hash(tmp_path / "a.jpg")


def test_a_refused_picture_is_never_opened(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encode(Image.fromarray(scene()), "PNG"))
    with pytest.raises(PictureError, match=r"a.png: it leads out; ask"):
        read_picture(RefusedPicture(tmp_path / "a.png", "it leads out", "ask"), SETTINGS)


def test_empty_bytes() -> None:
    with pytest.raises(PictureError, match="empty"):
        read_picture(b"", SETTINGS)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(PictureError, match="a pipe, a device"):
        read_picture(tmp_path / "pipe.jpg", SETTINGS)


def test_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encode(Image.fromarray(scene()), "JPEG"))
    path.chmod(0)
    if os.access(path, os.R_OK):  # root may read everything: simulate the refusal

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("twofold.reading.os.open", refuse)
    with pytest.raises(PictureError, match="no permission"):
        read_picture(path, SETTINGS)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"])
@pytest.mark.parametrize("part", [0.05, 0.5, 0.9])
def test_truncated(format: str, part: float) -> None:
    data = encode(Image.fromarray(scene(400, 300)), format)
    with pytest.raises(PictureError):
        read_picture(data[: int(len(data) * part)], SETTINGS)


def test_the_error_of_a_truncated_photograph_says_so(tmp_path: Path) -> None:
    path = tmp_path / "half.jpg"
    data = encode(Image.fromarray(scene(400, 300)), "JPEG")
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(PictureError, match=r"half\.jpg: the picture is truncated") as caught:
        read_picture(path, SETTINGS)
    assert caught.value.do


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"])
def test_flipped_bytes_raise_no_other_error(format: str, capfd: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(7)
    whole = encode(Image.fromarray(scene(60, 40)), format)
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(rng.choice((1, 3, 20))):
            data[rng.randrange(min(len(data), 400))] = rng.randrange(256)
        try:
            pixels, _ = read_picture(bytes(data), SETTINGS)
        except PictureError:
            continue
        assert np.isfinite(pixels).all()
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


# --- bombs -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [8_100, 10_000, 30_000])
def test_too_many_pixels_are_refused_by_the_header(side: int) -> None:
    with pytest.raises(PictureError, match="too large: its header says more than 64,000,000 pixels"):
        read_picture(png_header(side, side), SETTINGS)


def test_the_limit_is_a_setting() -> None:
    data = encode(Image.fromarray(scene(30, 20)))
    with pytest.raises(PictureError, match=r"more than 599 pixels \(30 x 20\)"):
        read_picture(data, PictureSettings(max_pixels=599))
    read_picture(data, PictureSettings(max_pixels=600))


def test_a_decompression_bomb_takes_no_memory(tmp_path: Path) -> None:
    pytest.importorskip("resource", reason="memory is measured with the resource module")
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(30_000, 30_000))
    program = (
        "import resource, sys, pathlib\n"
        "from twofold.errors import PictureError\n"
        "from twofold.preprocessing.images import PictureSettings, read_picture\n"
        "from PIL import Image; Image.init()\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "try: read_picture(pathlib.Path(sys.argv[1]), PictureSettings())\n"
        "except PictureError: print(peak() - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 20_000  # KiB; decoded it would be 2.7 GB


# --- unusual pictures, right values ------------------------------------------------------------------


def test_animated_first_frame(tmp_path: Path) -> None:
    frames = [Image.fromarray(scene(seed=s)) for s in range(3)]
    for format in ("WEBP", "PNG", "GIF"):
        data = encode(frames[0], format, save_all=True, append_images=frames[1:])
        pixels, warning = read_picture(data, PLAIN)
        assert warning == "animated: only the first frame was read"
        assert np.abs(pixels.transpose(1, 2, 0) - scene(seed=0)).mean() < 8


def test_several_pages() -> None:
    pages = [Image.fromarray(scene(seed=s)) for s in range(2)]
    pixels, warning = read_picture(encode(pages[0], "TIFF", save_all=True, append_images=pages[1:]), PLAIN)
    assert "only the first" in warning
    np.testing.assert_array_equal(pixels.transpose(1, 2, 0), scene(seed=0))


def test_cmyk() -> None:
    ink = np.zeros((224, 224, 4), np.uint8)
    ink[:112, :, 0] = 255  # above: all cyan; below: no ink at all
    picture = Image.frombytes("CMYK", (224, 224), ink.tobytes())
    for data in (encode(picture, "JPEG", quality=95), encode(picture, "TIFF")):
        result = values(data)
        np.testing.assert_allclose(result[50, 100], [0, 255, 255], atol=4)
        np.testing.assert_allclose(result[170, 100], [255, 255, 255], atol=4)


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_not_clipped(format: str) -> None:
    deep = np.linspace(0, 65535, 224 * 224).reshape(224, 224).astype(np.uint16)
    result = values(encode(Image.fromarray(deep), format))
    assert np.abs(result[..., 0] - deep / 257.0).max() <= 0.51
    np.testing.assert_array_equal(result[..., 0], result[..., 2])


def test_sixteen_bit_colour() -> None:
    deep = (scene().astype(np.uint16) * 257).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in deep)
    head = struct.pack(">IIBBBBB", 224, 224, 16, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows))
    np.testing.assert_allclose(values(data + chunk(b"IEND", b"")), scene(), atol=1)


def test_dark_sixteen_bit_stays_dark() -> None:
    deep = np.full((224, 224), 700, np.uint16)
    assert values(encode(Image.fromarray(deep))).max() <= 3


def test_float_and_32_bit_are_scaled_by_their_range() -> None:
    ramp = np.linspace(-3, 5, 224 * 224, dtype=np.float32).reshape(224, 224)
    pixels, warning = read_picture(encode(Image.fromarray(ramp), "TIFF"), PLAIN)
    assert "scaled from -3 to 5" in warning
    assert (pixels.min(), pixels.max()) == (0, 255)
    whole = np.linspace(0, 1_000_000, 224 * 224).astype(np.int32).reshape(224, 224)
    pixels, warning = read_picture(encode(Image.fromarray(whole), "TIFF"), PLAIN)
    assert "32-bit" in warning
    assert (pixels.min(), pixels.max()) == (0, 255)


@pytest.mark.parametrize("value", [2.0, np.nan, np.inf, -np.inf])
def test_a_float_picture_of_one_value(value: float) -> None:
    flat = np.full((224, 224), np.float32(value))
    assert values(encode(Image.fromarray(flat), "TIFF")).std() == 0
    flat[0] = 1.0
    assert np.isfinite(values(encode(Image.fromarray(flat), "TIFF"))).all()


@pytest.mark.parametrize("mode", ["F", "I", "I;16"])
def test_scaling_by_stripes_is_scaling_at_once(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).integers(0, 60000, (61, 37))
    picture = Image.fromarray(values.astype({"F": np.float32, "I": np.int32, "I;16": np.uint16}[mode]))
    data = encode(picture, "TIFF")
    whole = read_picture(data, SETTINGS)
    monkeypatch.setattr(picture_decoding, "_STRIPE", 5 * 37)
    parts = read_picture(data, SETTINGS)
    assert np.array_equal(whole[0], parts[0])
    assert whole[1] == parts[1]


def test_transparency_is_composited_over_white() -> None:
    colour = scene()
    alpha = np.tile(np.linspace(0, 255, 224).astype(np.uint8), (224, 1))
    data = encode(Image.fromarray(np.dstack([colour, alpha])))
    part = alpha[..., None] / 255.0
    np.testing.assert_allclose(values(data), colour * part + 255 * (1 - part), atol=1.01)


def test_transparency_does_not_bleed_when_scaled() -> None:
    # The colour under full transparency must not show, however the picture is resized.
    pixels = np.zeros((500, 500, 4), np.uint8)
    pixels[:, 250:] = [255, 0, 0, 255]  # left: invisible black; right: red
    result, _ = read_picture(encode(Image.fromarray(pixels)), PictureSettings(mean=(0, 0, 0), std=(1, 1, 1)))
    np.testing.assert_allclose(result[0], 255, atol=1)


def test_palette_transparency() -> None:
    picture = Image.new("P", (224, 224), 0)
    picture.putpalette([10, 200, 30, 200, 10, 30])
    picture.paste(1, (112, 0, 224, 224))
    for data in (
        encode(picture, transparency=0),
        encode(picture, transparency=bytes([0, 255])),
        encode(picture, "GIF", transparency=0),
    ):
        result = values(data)
        np.testing.assert_array_equal(result[5, 5], [255, 255, 255])
        np.testing.assert_array_equal(result[5, 200], [200, 10, 30])


def test_one_colour_that_means_transparent() -> None:
    colour = np.zeros((224, 224, 3), np.uint8)
    colour[:, 112:] = [9, 8, 7]
    result = values(encode(Image.fromarray(colour), transparency=(0, 0, 0)))
    np.testing.assert_array_equal(result[5, 5], [255, 255, 255])
    np.testing.assert_array_equal(result[5, 200], [9, 8, 7])


def test_the_one_transparent_value_of_a_16_bit_picture() -> None:
    deep = np.full((224, 224), 300, ">u2")
    deep[:, 112:] = 301  # different only in 16 bits
    rows = b"".join(b"\0" + row.tobytes() for row in deep)
    head = struct.pack(">IIBBBBB", 224, 224, 16, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"tRNS", struct.pack(">H", 300))
    result = values(data + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    np.testing.assert_array_equal(result[5, 5], [255, 255, 255])
    np.testing.assert_array_equal(result[5, 200], [1, 1, 1])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
def test_modes(mode: str) -> None:
    grey = Image.fromarray(scene()).convert("L")
    picture = grey.convert(mode)
    expected = np.asarray(picture.convert("RGB"), float)
    np.testing.assert_allclose(values(encode(picture)), expected, atol=1)


# Where the stored picture's first row and column lie, by the EXIF specification.
UPRIGHT = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_exif_rotation(orientation: int, format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"JPEG": {"quality": 98}, "WEBP": {"lossless": True}}.get(format, {})
    data = encode(Image.fromarray(scene()), format, exif=exif, **options)
    assert np.abs(values(data) - UPRIGHT[orientation](scene())).mean() < 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_of_a_wide_picture(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    wide = scene(300, 120)
    small = np.asarray(read_thumbnail(encode(Image.fromarray(wide), exif=exif), 300))
    np.testing.assert_array_equal(small, UPRIGHT[orientation](wide))


@pytest.mark.parametrize("value", [0, 9, 77])
def test_an_orientation_that_does_not_exist_is_upright(value: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    np.testing.assert_array_equal(values(encode(Image.fromarray(scene()), exif=exif)), scene())


def test_a_picture_with_damaged_exif_is_read() -> None:
    data = encode(Image.fromarray(scene()), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7fgarbage")
    pixels, warning = read_picture(data, PLAIN)
    np.testing.assert_array_equal(pixels.transpose(1, 2, 0), scene())
    assert warning in ("", "its EXIF data cannot be read: taken as upright")


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (2, 3), (1, 60_000)])
def test_smallest_and_thinnest(size: tuple[int, int]) -> None:
    pixels, _ = read_picture(encode(Image.new("RGB", size, (10, 20, 30))), PLAIN)
    assert pixels.shape == (3, 224, 224)
    np.testing.assert_array_equal(pixels[:, 100, 100], [10, 20, 30])
    assert pixels.std(axis=(1, 2)).max() == 0


# --- warnings of Pillow ------------------------------------------------------------------------------


def test_warnings_of_pillow_are_hidden_and_others_are_not() -> None:
    filters = list(warnings.filters)
    data = png_header(10_000, 10_000)  # Pillow warns of this one by itself
    with pytest.raises(PictureError):
        read_picture(data, PictureSettings(max_pixels=10))
    assert warnings.filters == filters
    with pytest.warns(UserWarning, match="mine"), picture_decoding.PILLOW_WARNINGS_OFF:
        warnings.warn("mine", UserWarning, stacklevel=1)


def test_warnings_return_when_the_last_block_ends() -> None:
    filters = list(warnings.filters)
    with picture_decoding.PILLOW_WARNINGS_OFF:
        silent = list(warnings.filters)
        with picture_decoding.PILLOW_WARNINGS_OFF:
            pass
        assert warnings.filters == silent != filters
    assert warnings.filters == filters


def test_threads_leave_the_warning_filters_as_they_were() -> None:
    filters, data = list(warnings.filters), encode(Image.fromarray(scene()), "JPEG")
    threads = [
        threading.Thread(target=lambda: [read_picture(data, SETTINGS) for _ in range(20)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == filters


# --- thumbnails --------------------------------------------------------------------------------------


def test_thumbnail() -> None:
    data = encode(Image.fromarray(scene(1000, 500)), "JPEG")
    small = read_thumbnail(data, 640)
    assert (small.mode, small.size) == ("RGB", (640, 320))
    assert read_thumbnail(encode(Image.fromarray(scene(30, 20))), 640).size == (30, 20)
    assert read_thumbnail(encode(Image.new("L", (1, 5000))), 640).size == (1, 640)
