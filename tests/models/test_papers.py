"""Configurations of papers: every name in them is known, and their model is built and runs."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from twofold.config import read_config  # noqa: E402
from twofold.fusion.contract import ModalityStates  # noqa: E402
from twofold.models.build import build_model, modalities_of  # noqa: E402

PAPERS = sorted((Path(__file__).parents[2] / "configs" / "papers").glob("*.toml"))
LABELS = {"entities": ["O", "B-PER", "I-PER"], "relations": ["None", "/per/org/member_of"]}


class Encoder(torch.nn.Module):
    """A stub text or picture encoder, of which only the width is used."""

    width = 16


def test_there_are_configurations():
    assert PAPERS


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.stem)
def test_the_model_is_built_and_scores(path):
    torch.manual_seed(0)
    config = read_config(path).model
    model = build_model(config, LABELS[config.task], Encoder(), Encoder(), neighbours=16).eval()
    words, mask = torch.randn(2, 5, 16), torch.ones(2, 5, dtype=torch.bool)
    sources = {
        name: ModalityStates(torch.randn(2, 5, 16), torch.ones(2, 5, dtype=torch.bool))
        for name in modalities_of(config)
    }
    slots = torch.tensor([[[0, 3]], [[4, 1]]]) if config.task == "relations" else None
    shapes = torch.ones(2, 5, dtype=torch.long)
    emissions = model.fuse(words, shapes, mask, sources, slots).emissions
    assert emissions.shape == (2, 1 if slots is not None else 5, len(LABELS[config.task]))
    assert torch.isfinite(emissions).all()
