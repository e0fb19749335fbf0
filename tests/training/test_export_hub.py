"""Encoders of the hub as graphs, read through the inference path, against the same encoders in PyTorch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("onnxscript")

from tiny_text import TEXT, save_text  # noqa: E402
from tiny_vision import SIDE, VISION, save_vision  # noqa: E402

from twofold.encoders.image import load_image_encoder  # noqa: E402
from twofold.encoders.text import load_text_encoder  # noqa: E402
from twofold.inference.onnx_sessions import Sessions  # noqa: E402
from twofold.preprocessing.segmentation import segment  # noqa: E402
from twofold.preprocessing.word_pieces import WindowTokenizer, pad  # noqa: E402
from twofold.training.export import export_image, export_text  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
SIBLINGS = {
    "roberta",
    "siglip",
    "deberta",
    "distilbert",
    "electra",
    "mpnet",
    "xlm-roberta",
    "beit",
    "clip-vision",
    "deit",
    "dinov2-registers",
}
"""Families whose network resembles that of another one in the lists."""
SENTENCES = (["ada in # paris . x", "hi"], ["a b c d e f g h i j k l m n o"], ["x y", "abc def", "a " * 36])


def families(names: Iterable[str]) -> list[object]:
    return [pytest.param(name, marks=pytest.mark.thorough) if name in SIBLINGS else name for name in names]


@pytest.mark.parametrize("name", families(TEXT))
def test_text(name: str, tmp_path: Path) -> None:
    encoder = load_text_encoder(str(save_text(name, tmp_path)[0])).eval()
    export_text(encoder, tmp_path / "text.onnx")
    sessions, pieces = (
        Sessions(tmp_path, 1),
        WindowTokenizer(encoder.tokenizer, encoder.max_pieces, 4, encoder.pad_id),
    )
    for texts in SENTENCES:  # other lengths than in the export, the longest included
        ids, mask = pad([pieces.windows(t, segment(t))[0].ids for t in texts], encoder.pad_id)
        with torch.no_grad():
            expected = encoder(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()
        real = mask.astype(bool)
        np.testing.assert_allclose(sessions.text(ids, mask)[real], expected[real], atol=1e-4)


@pytest.mark.parametrize("name", families(VISION))
def test_picture(name: str, tmp_path: Path) -> None:
    encoder = load_image_encoder(str(save_vision(name, tmp_path)[0]))
    export_image(encoder, tmp_path / "picture.onnx")
    sessions = Sessions(tmp_path, 1)
    for rows in (1, 5):
        pixels = np.random.default_rng(rows).normal(size=(rows, 3, SIDE, SIDE)).astype(np.float32)
        with torch.no_grad():
            expected = encoder(torch.from_numpy(pixels)).numpy()
        np.testing.assert_allclose(sessions.picture(pixels), expected, atol=1e-4)
