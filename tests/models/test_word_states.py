"""States of words: the encoder's own, or combined with case features."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from twofold.config import ModelConfig, WordsConfig  # noqa: E402
from twofold.errors import ConfigError  # noqa: E402
from twofold.models.build import build_model  # noqa: E402
from twofold.models.multimodal import MultimodalModel  # noqa: E402

LABELS = ["O", "B-PER", "I-PER"]


class Encoder(torch.nn.Module):
    """A stub encoder, of which only the width is used."""

    width = 8


def model(form: str) -> MultimodalModel:
    torch.manual_seed(0)
    config = ModelConfig(fusion="text_only", modalities=(), words=WordsConfig(form))
    return build_model(config, LABELS, Encoder(), None).eval()


def emissions(form: str, case: list[int]) -> torch.Tensor:
    torch.manual_seed(1)
    words, mask = torch.randn(1, 3, 8), torch.ones(1, 3, dtype=torch.bool)
    return model(form).fuse(words, torch.tensor([case]), mask, {}).emissions


def test_plain_words_are_the_states_of_the_encoder():
    plain, states = model("plain").words, torch.randn(2, 3, 8)
    assert plain(states, torch.ones(2, 3, dtype=torch.long), torch.ones(2, 3)) is states
    assert not list(plain.parameters())
    assert torch.equal(emissions("plain", [1, 1, 1]), emissions("plain", [2, 1, 1]))


def test_case_features_of_a_word_reach_its_neighbours():
    changed = (emissions("case_features", [1, 1, 1]) - emissions("case_features", [2, 1, 1])).abs().sum(2)
    assert (changed > 0).all()


def test_unknown_forms():
    with pytest.raises(ConfigError, match=r"words\.form: got 'shapes'; expected one of case_features, plain"):
        model("shapes")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["plain", "case_features"])
def test_an_exported_graph_takes_the_same_inputs_under_both_forms(tmp_path, form):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    from twofold.training.export import export_fusion

    export_fusion(model(form), [], tmp_path / "fusion.onnx")
    session = runtime.InferenceSession(tmp_path / "fusion.onnx")
    assert [x.name for x in session.get_inputs()] == ["words", "shapes", "word_mask"]
    words, shapes, mask = torch.randn(2, 4, 8), torch.ones(2, 4, dtype=torch.long), torch.ones(2, 4).bool()
    given = {"words": words.numpy(), "shapes": shapes.numpy(), "word_mask": mask.numpy()}
    found = torch.from_numpy(session.run(["emissions"], given)[0])
    torch.testing.assert_close(found, model(form).fuse(words, shapes, mask, {}).emissions)
