"""The tagger: padding, absent alt texts, gradients."""

from __future__ import annotations

from collections import OrderedDict

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from twofold.config import (  # noqa: E402
    BottleneckConfig,
    EvidentialConfig,
    ModelConfig,
    MultigranularConfig,
)
from twofold.fusion.contract import ModalityStates  # noqa: E402
from twofold.models.build import FUSIONS, build_model  # noqa: E402
from twofold.models.multimodal import WORDS, MultimodalModel  # noqa: E402
from twofold.models.word_states import CaseFeatures  # noqa: E402
from twofold.posts import Entity, Post  # noqa: E402
from twofold.preprocessing.word_pieces import Window  # noqa: E402
from twofold.training.examples import (  # noqa: E402
    Example,
    allowed_without_types,
    collate,
    labels_of,
    tag_words,
)

DIRECT = {"fusion": "evidential", "evidential": EvidentialConfig("direct")}
FORMS: list[dict[str, object]] = [
    *({"fusion": name} for name in FUSIONS),
    {"fusion": "bottleneck", "bottleneck": BottleneckConfig("faithful")},
    {"fusion": "multigranular", "multigranular": MultigranularConfig("faithful")},
]
LABELS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]


class Letters(nn.Module):
    """A stub text encoder: an embedding plus the mean over unmasked pieces."""

    width, pad_id, max_pieces = 12, 0, 64

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, self.width)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        states = self.embed(input_ids)
        weight = attention_mask.unsqueeze(2)
        return states + (states * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(min=1)


class Pictures(nn.Module):
    """A stub picture encoder, of which only the width is used."""

    width = 6


def tagger() -> MultimodalModel:
    torch.manual_seed(0)
    return build_model(ModelConfig(modalities=("alt_text",)), LABELS, Letters(), None)


def example(words: int, alt: list[int]) -> Example:
    ids = [2, *range(5, 5 + words), 3]
    window = Window(ids, list(range(1, words + 1)), [1] * words, 0, words, 0, words)
    return Example(0, window, [0] * words, texts={"alt_text": alt} if alt else {})


def test_a_post_is_the_same_alone_and_in_a_batch() -> None:
    model = tagger().eval()
    one, other = example(3, [7, 8]), example(6, [])
    together = model(collate([one, other], {}, 0))
    for row, single in enumerate((one, other)):
        alone = model(collate([single], {}, 0))
        width = len(single.targets)
        torch.testing.assert_close(together.emissions[row, :width], alone.emissions[0])
        torch.testing.assert_close(together.share[row, :, :width], alone.share[0])


def test_the_alt_text_is_a_modality_only_where_there_is_one() -> None:
    fused = tagger().eval()(collate([example(3, [7, 8]), example(3, [])], {}, 0))
    assert fused.present.tolist() == [[True, True], [True, False]]
    assert (fused.share[1, 1] == 0).all()


def test_loss_has_finite_gradients_and_leaves_the_mode_as_it_was() -> None:
    model = tagger().train()
    batch = collate([example(3, [7, 8]), example(6, [])], {}, 0)
    model.loss(model(batch), batch).backward()
    assert model.text.training
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())


def after_backward(config: dict[str, object]) -> tuple[MultimodalModel, Tensor, dict[str, Tensor]]:
    """A model after the backward pass of a batch with precomputed words and modalities, except alt texts.

    Returns:
        The model, the words' states, and the states of the modalities.
    """
    torch.manual_seed(0)
    options = ModelConfig(modalities=("picture", "whole", "alt_text"), modality_dropout=0.0, **config)
    model = build_model(options, LABELS, Letters(), Pictures(), neighbours=12).train()
    for parameter in model.fusion.parameters():
        nn.init.normal_(parameter, std=0.3)  # some are zero before training, which blocks gradients
    batch = collate([example(3, [7, 8]), example(5, [])], {}, 0)
    words = torch.randn(2, 5, 12, requires_grad=True)
    states = {
        "picture": torch.randn(2, 4, 6, requires_grad=True),
        "whole": torch.randn(2, 1, 6, requires_grad=True),
        "neighbours": torch.randn(2, 5, 12, requires_grad=True),
    }
    given = {n: ModalityStates(x, torch.ones(x.shape[:2], dtype=torch.bool)) for n, x in states.items()}
    batch = batch._replace(states=given | {WORDS: ModalityStates(words, batch.word_mask)})
    model.loss(model(batch), batch).backward()
    return model, words, states


@pytest.mark.parametrize("config", [*FORMS, DIRECT], ids=str)
def test_alt_texts_give_the_text_encoder_no_gradient(config: dict[str, object]) -> None:
    """With precomputed word states the encoder encodes only alt texts, and gets no gradient of the loss."""
    model, words, _ = after_backward(config)
    assert words.grad.abs().sum() > 0
    assert all(p.grad is None for p in model.text.parameters())


@pytest.mark.parametrize("config", FORMS, ids=str)
def test_no_fusion_gives_its_modalities_a_gradient(config: dict[str, object]) -> None:
    _, _, states = after_backward(config)
    assert all(x.grad is None or not x.grad.any() for name, x in states.items() if name != "neighbours")


def test_the_direct_form_of_system_a_detaches_nothing() -> None:
    _, _, states = after_backward(DIRECT)
    assert states["picture"].grad.any()
    assert states["whole"].grad.any()


def test_texts_of_a_modality_are_encoded_without_the_encoders_dropout() -> None:
    model = tagger()
    model.modality_dropout = 0.0
    model.text = nn.Sequential(OrderedDict(letters=model.text, drop=nn.Dropout(0.5)))
    model.text.forward = lambda ids, mask: model.text.drop(model.text.letters(ids, mask))
    model.text.width = 12
    batch = collate([example(3, [7, 8]), example(3, [9])], {}, 0)
    states = model.train()._modalities(batch)["alt_text"].states
    assert model.text.drop.training
    torch.testing.assert_close(states[0], model.text.letters(torch.tensor([[7, 8]]), torch.ones(1, 2))[0])


def test_each_rule_of_a_convention_adds_a_map_of_its_own() -> None:
    torch.manual_seed(0)
    join = CaseFeatures(12, conventions=4, rank=3).eval()
    states, mask, case = torch.randn(1, 5, 12), torch.ones(1, 5, dtype=torch.bool), torch.arange(5)[None]
    none = torch.zeros(1, 4)
    with torch.no_grad():
        join.up.weight.normal_()
        join.shift.weight.normal_()
        torch.testing.assert_close(join(states, case, mask, none), join(states, case, mask))
        apart = [join(states, case, mask, row[None]) for row in torch.eye(4)]
        join.up.weight[:, 3:6] = 0  # rank columns of the second rule
        join.shift.weight[:, 1] = 0
        torch.testing.assert_close(join(states, case, mask, torch.eye(4)[1:2]), join(states, case, mask))
        for rule in (0, 2, 3):
            torch.testing.assert_close(join(states, case, mask, torch.eye(4)[rule][None]), apart[rule])
            assert not torch.allclose(apart[rule], join(states, case, mask))


def test_the_corpus_of_a_convention_is_left_out_at_random_and_its_rules_never() -> None:
    join = CaseFeatures(12, conventions=5, corpus_dropout=0.3).train()
    seen = join._drop_corpora(torch.ones(2000, 5))
    assert (seen[:, :3] == 1).all()
    assert (seen[:, 3] == seen[:, 4]).all()
    assert 0.25 < 1 - float(seen[:, 3].mean()) < 0.35
    assert (join.eval()._drop_corpora(torch.ones(9, 5)) == 1).all()


def test_a_batch_holds_the_convention_and_the_tags_that_each_word_may_have() -> None:
    one = example(3, [7])._replace(convention=(1.0, 0.0, 1.0, 0.0), allowed=[0b00111, 0b00010, 0b00100])
    other = example(3, [7])._replace(convention=(0.0, 0.0, 0.0, 1.0))
    batch = collate([one, other], {}, 0)
    assert batch.convention is not None
    assert batch.allowed is not None
    assert batch.convention.tolist() == [[1, 0, 1, 0], [0, 0, 0, 1]]
    assert batch.allowed.tolist() == [[7, 2, 4], [1 << tag for tag in other.targets]]
    plain = collate([example(3, [7])], {}, 0)
    assert plain.convention is None
    assert plain.allowed is None


def test_an_unannotated_type_is_not_penalised_where_the_corpus_has_no_entity() -> None:
    model = tagger().eval()
    known = example(3, [7])._replace(targets=[0, 3, 4])
    partial = known._replace(allowed=allowed_without_types(known.targets, LABELS, {LABELS[1][2:]}))
    emissions = torch.zeros(1, 3, 5)
    emissions[0, 0, 1] = 9.0  # the model predicts LOC where LOC is not annotated

    def loss(given: Example) -> float:
        batch = collate([given], {}, 0)
        output = model(batch)._replace(emissions=emissions, evidence=None)
        model.fusion.loss = lambda *args: torch.zeros(())
        return float(model.loss(output, batch).detach())

    assert loss(known) > 8
    assert loss(partial) < loss(known) - 5


def test_words_take_the_tags_of_the_spans_that_cover_them() -> None:
    words = [(0, 3), (4, 5), (5, 8)]
    entities = [Entity(0, 3, "Ada", "PER"), Entity(4, 8, "#Rom", "LOC")]
    assert tag_words(words, entities, LABELS) == [3, 1, 2]
    assert tag_words(words, [Entity(0, 3, "Ada", "SHIP")], LABELS) == [0, 0, 0]


def test_labels_are_those_of_the_posts() -> None:
    posts = [Post("1", "a b", entities=(Entity(0, 1, "a", "PER"), Entity(2, 3, "b", "LOC"))), Post("2", "")]
    assert labels_of(posts) == LABELS


def test_modalities_dropped_in_training_are_not_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tagger()
    read: list[int] = []
    whole = model.text.forward

    def counting(ids: Tensor, mask: Tensor) -> Tensor:
        read.append(len(ids))
        return whole(ids, mask)

    monkeypatch.setattr(model.text, "forward", counting)
    batch = collate([example(3, [7, 8]) for _ in range(40)], {}, 0)
    torch.manual_seed(0)
    present = model.train()(batch).present
    assert present is not None
    kept = int(present[:, 1].sum())
    assert 15 < kept < 40  # three in ten are left out
    assert read == [40, kept]
    read.clear()
    model.eval()(batch)
    assert read == [40, 40]
