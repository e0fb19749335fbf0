"""The embedded encoders as graphs against the same encoders in PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from twofold.encoders.image import ImageEncoder, load_image_encoder  # noqa: E402
from twofold.encoders.text import load_text_encoder  # noqa: E402
from twofold.errors import MissingExtraError  # noqa: E402
from twofold.preprocessing.images import PictureSettings  # noqa: E402
from twofold.training.export import export_image, export_text  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def test_minilm(tmp_path: Path) -> None:
    try:
        encoder = load_text_encoder("minilm").eval()
    except MissingExtraError as error:
        pytest.skip(str(error))
    encoder.backbone.encoder.layer = encoder.backbone.encoder.layer[:2]  # fewer take less time
    export_text(encoder, tmp_path / "text.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "text.onnx"))
    for rows, pieces in ((1, 3), (4, 31)):
        ids = np.random.default_rng(rows).integers(1000, 30000, (rows, pieces))
        mask = np.ones_like(ids)
        mask[0, 2:] = 0
        with torch.no_grad():
            expected = encoder(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()
        (found,) = session.run(None, {"input_ids": ids, "attention_mask": mask})
        real = mask.astype(bool)
        np.testing.assert_allclose(found[real], expected[real], atol=1e-4)


def test_efficientnet(tmp_path: Path) -> None:
    try:
        encoder = load_image_encoder("efficientnet-lite0")
    except MissingExtraError as error:
        pytest.skip(str(error))
    export_image(encoder, tmp_path / "picture.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "picture.onnx"))
    pixels = np.random.default_rng(0).uniform(-1, 1, (3, 3, 224, 224)).astype(np.float32)
    with torch.no_grad():
        expected = encoder(torch.from_numpy(pixels)).numpy()
    (found,) = session.run(None, {"pixels": pixels})
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


class MeanColour(ImageEncoder):
    """Region states are a linear map of the mean colour."""

    def __init__(self) -> None:
        super().__init__()
        self.settings, self.regions, self.width, self.fingerprint = (
            PictureSettings(resize=8, crop=8),
            1,
            2,
            "mean",
        )
        self.map = torch.nn.Linear(3, 2)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Encode pixels (B, 3, S, S) to regions (B, 1, 2)."""
        return self.map(pixels.mean((2, 3))).unsqueeze(1)


def test_a_graph_does_not_depend_on_where_it_was_exported(tmp_path: Path) -> None:
    """Exported from another line it is the same file, which two models can share, and names no source."""
    encoder = MeanColour()
    export_image(encoder, tmp_path / "picture.onnx")
    export_image(encoder, tmp_path / "again.onnx")
    graph = (tmp_path / "picture.onnx").read_bytes()
    assert (tmp_path / "again.onnx").read_bytes() == graph
    assert b".py" not in graph
