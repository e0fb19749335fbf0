"""Every block of the tutorials runs, in order, in an empty folder that contains `examples`.

Python blocks of a page share one namespace. Shell blocks contain ``twofold`` commands, which must succeed,
except those that end in ``# refused``. A TOML block begins with the name of its file.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from docs.pages import ROOT, Block, cut

from twofold.cli.main import main

pytestmark = pytest.mark.usefixtures("few_resamples")
TUTORIALS = ROOT / "docs" / "tutorials"
REFUSED = "# refused"
QUICK = "epochs = 12\nencoder_lr = 5e-3\nhead_lr = 1e-2\ncrf_lr = 1e-2\nema_decay = 0.5"
"""Learning rates at which an encoder with random weights learns within seconds."""


class Tutorial:
    """Runs the blocks of a page.

    Args:
        name: of the page.
        encoder: folder that replaces ``text_encoder = "minilm"``; None to keep it.
    """

    def __init__(self, name: str, encoder: Path | None = None) -> None:
        self.blocks = cut(TUTORIALS / name).blocks
        self.encoder = encoder
        self.names: dict[str, Any] = {"__name__": name}

    def run(self) -> None:
        assert {block.language for block in self.blocks} <= {"python", "sh", "toml"}
        for block in self.blocks:
            {"python": self._python, "sh": self._shell, "toml": self._toml}[block.language](block)

    def _python(self, block: Block) -> None:
        exec(compile("\n" * (block.line - 1) + block.text, self.names["__name__"], "exec"), self.names)

    def _shell(self, block: Block) -> None:
        for line in block.text.replace("\\\n", " ").splitlines():
            program, *arguments = shlex.split(line, comments=True)
            assert program == "twofold", line
            code = main(arguments)
            assert (code != 0) == line.endswith(REFUSED), f"{line}: exit code {code}"

    def _toml(self, block: Block) -> None:
        match = re.match(r"# (\S+\.toml)\n", block.text)
        assert match, "the first line of a TOML block names its file"
        text = block.text
        if self.encoder is not None:
            assert 'text_encoder = "minilm"' in text
            text = text.replace(
                'text_encoder = "minilm"', f'text_encoder = "{self.encoder}"\nwindow_pieces = 48'
            )
            text = text.replace("epochs = 5", QUICK)
        Path(match[1]).write_text(text, encoding="utf-8")


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TWOFOLD_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_every_tutorial_is_tested():
    assert {path.name for path in TUTORIALS.glob("*.md")} == {
        "own_data.md",
        "hub_encoders.md",
        "abstention.md",
    }


@pytest.mark.slow
@pytest.mark.usefixtures("quick_export")
def test_own_data(empty_folder: Path, tmp_path_factory: pytest.TempPathFactory):
    pytest.importorskip("torch")
    from tiny_training import save_encoder

    Tutorial("own_data.md", save_encoder(tmp_path_factory.mktemp("encoder"))).run()
    assert (empty_folder / "my-calibrated" / "calibration.json").is_file()
    assert (empty_folder / "trust.html").is_file()


@pytest.mark.slow
@pytest.mark.usefixtures("quick_export")
def test_hub_encoders(empty_folder: Path):
    pytest.importorskip("transformers")
    Tutorial("hub_encoders.md").run()
    assert (empty_folder / "hub-model" / "picture.onnx").is_file()


@pytest.mark.slow
def test_abstention(capsys: pytest.CaptureFixture[str]):
    tutorial = Tutorial("abstention.md")
    tutorial.run()
    output = capsys.readouterr()
    assert "guarantee" in output.err
    kept, wrong = map(int, re.findall(r"(\d+) kept, (\d+) wrong", output.out)[0])
    assert kept > 100
    assert wrong <= 0.2 * kept
