"""A fusion from another installed package can be named in a configuration like our own."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from twofold.config import ModelConfig, read_config  # noqa: E402
from twofold.errors import ConfigError  # noqa: E402
from twofold.models.build import FUSIONS, build_model  # noqa: E402

LABELS = ["O", "B-PER", "I-PER"]
CODE = """
from torch import nn
from twofold.fusion.contract import Fusion, FusionOutput, gather_slots

class Linear(Fusion):
    def __init__(self, spec):
        super().__init__()
        self.modalities = ("text", *spec.modality_widths)
        self.score = nn.Linear(spec.width * spec.slot_size, len(spec.labels))

    def forward(self, words, mask, modalities, slots=None):
        return FusionOutput(self.score(gather_slots(words, slots)))
"""


class Encoder(torch.nn.Module):
    """A stub encoder, of which only the width is used."""

    width = 8


def wheel(folder: Path, name: str, points: str) -> Path:
    """A package with one module and its entry points, as any build tool makes it."""
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": CODE,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": points,
    }
    rows = [
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},"
        for path, text in files.items()
    ]
    files[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""])
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
    return path


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Two packages, installed by pip in a folder of their own."""
    place = tmp_path_factory.mktemp("packages")
    names = ("linear", "concat", "twice")
    own = "\n".join(["[twofold.fusions]", *(f"{name} = first_fusions:Linear" for name in names), ""])
    other = "[twofold.fusions]\ntwice = second_fusions:Linear\ngone = second_fusions:Missing\n"
    wheels = [wheel(place, "first_fusions", own), wheel(place, "second_fusions", other)]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
    command = [*pip, "--disable-pip-version-check", "--target", str(place / "site"), *map(str, wheels)]
    subprocess.run(command, check=True)
    return place / "site"


@pytest.fixture(autouse=True)
def on_the_path(installed, monkeypatch):
    monkeypatch.syspath_prepend(str(installed))


def test_a_fusion_of_another_package_is_built_from_a_toml(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text('[model]\nfusion = "linear"\nmodalities = ["alt_text"]\n', encoding="utf-8")
    model = build_model(read_config(path).model, LABELS, Encoder(), None)
    assert type(model.fusion).__module__ == "first_fusions"
    assert model.fusion.modalities == ("text", "alt_text")
    output = model.fusion(torch.zeros(1, 2, 8), torch.ones(1, 2, dtype=torch.bool), {})
    assert output.emissions.shape == (1, 2, 3)


def test_our_own_names_come_first():
    fusion = build_model(
        ModelConfig(fusion="concat", modalities=("alt_text",)), LABELS, Encoder(), None
    ).fusion
    assert type(fusion).__module__ == "twofold.fusion.concat"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("twice", "several packages: first_fusions, second_fusions; uninstall all but one"),
        ("gone", "'gone' of the package second_fusions cannot be imported"),
        ("linaer", "got 'linaer'; expected one of " + ", ".join([*FUSIONS, "gone", "linear", "twice"])),
    ],
)
def test_names_that_cannot_be_used(name, text):
    with pytest.raises(ConfigError, match=text):
        build_model(ModelConfig(fusion=name, modalities=("alt_text",)), LABELS, Encoder(), None)
