"""Groups of parameters, the schedule, the averaged weights: each against its formula, on a tiny network."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from twofold.config import TrainingConfig  # noqa: E402
from twofold.training.optimiser import Average, make_optimiser, make_schedule, trainable  # noqa: E402

CONFIG = TrainingConfig(encoder_lr=1e-5, head_lr=1e-4, crf_lr=1e-3, weight_decay=0.3, freeze_embeddings=False)


class Text(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.linear, self.norm = nn.Embedding(7, 4), nn.Linear(4, 4), nn.LayerNorm(4)

    @property
    def pretrained_embeddings(self) -> nn.Module:
        return self.embed


class Network(nn.Module):
    """Its parameters are named as in a model."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self.words, self.fusion, self.head = Text(), nn.LayerNorm(4), nn.Module(), nn.Module()
        self.fusion.score = nn.Linear(4, 3)
        self.fusion.scale, self.fusion.bias = nn.Parameter(torch.ones(())), nn.Parameter(torch.zeros(3))
        self.head.transitions, self.head.start = nn.Parameter(torch.ones(3, 3)), nn.Parameter(torch.ones(3))


def groups(network: Network, config: TrainingConfig = CONFIG) -> dict[str, tuple[float, float]]:
    """Learning rate and weight decay of each parameter that is trained."""
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    optimiser = make_optimiser(network, config)
    pairs = [
        (names[id(parameter)], (group["lr"], group["weight_decay"]))
        for group in optimiser.param_groups
        for parameter in group["params"]
    ]
    assert len(dict(pairs)) == len(pairs)  # each once
    return dict(pairs)


def test_every_parameter_has_the_rate_of_its_part_and_biases_and_norms_do_not_decay() -> None:
    assert groups(Network()) == {
        "text.embed.weight": (1e-5, 0.3), "text.linear.weight": (1e-5, 0.3), "text.linear.bias": (1e-5, 0.0),
        "text.norm.weight": (1e-5, 0.0), "text.norm.bias": (1e-5, 0.0),
        "words.weight": (1e-4, 0.0), "words.bias": (1e-4, 0.0),
        "fusion.score.weight": (1e-4, 0.3), "fusion.score.bias": (1e-4, 0.0),
        "fusion.scale": (1e-3, 0.0), "fusion.bias": (1e-3, 0.0),
        "head.transitions": (1e-3, 0.3), "head.start": (1e-3, 0.0),
    }  # fmt: skip


def test_frozen_embeddings_and_a_frozen_encoder_are_not_trained() -> None:
    whole = set(groups(Network()))
    network = Network()
    frozen = TrainingConfig(freeze_embeddings=True)
    assert whole - set(groups(network, frozen)) == {"text.embed.weight"}
    assert not network.text.embed.weight.requires_grad
    not_trained = Network()
    assert {name for name in whole if not name.startswith("text.")} == set(
        groups(not_trained, TrainingConfig(encoder_lr=0.0))
    )
    assert not any(parameter.requires_grad for parameter in not_trained.text.parameters())
    assert len(list(trainable(not_trained))) == 8


def test_rates_rise_over_the_warm_up_and_then_fall_to_zero() -> None:
    optimiser = make_optimiser(Network(), CONFIG)
    peak = [group["lr"] for group in optimiser.param_groups]
    schedule = make_schedule(optimiser, 10, 0.4)
    found = []
    for _ in range(11):
        found.append([group["lr"] / top for group, top in zip(optimiser.param_groups, peak, strict=True)])
        optimiser.step()
        schedule.step()
    expected = [0.25, 0.5, 0.75, 1.0, 1.0, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6, 0.0]
    for factors, factor in zip(found, expected, strict=True):
        assert factors == pytest.approx([factor] * len(factors))


@pytest.mark.parametrize("decay", [0.0, 0.4, 0.998])
def test_the_average_forgets_fast_at_first_and_by_its_decay_later(decay: float) -> None:
    """Its weight at step t is the smaller of the decay and t/(t + 6)."""
    network = nn.Linear(1, 1)
    frozen = nn.Parameter(torch.ones(1), requires_grad=False)
    network.register_parameter("frozen", frozen)
    average = Average(network, decay)
    expected = network.weight.item()
    for step in range(1, 20):
        with torch.no_grad():
            network.weight.fill_(float(step**2 % 7))
        average.update(network)
        kept = min(decay, step / (step + 6))
        expected = kept * expected + (1 - kept) * float(step**2 % 7)
        assert average.state()["weight"].item() == pytest.approx(expected, rel=1e-5)
    assert set(average.state()) == {"weight", "bias"}


def test_two_swaps_undo_each_other() -> None:
    network = nn.Linear(2, 2)
    average = Average(network, 0.9)
    first = network.weight.detach().clone()
    with torch.no_grad():
        network.weight.add_(1)
    average.update(network)
    kept = average.state()["weight"].clone()
    assert not torch.equal(kept, first)
    average.swap(network)
    assert torch.equal(network.weight, kept)
    average.swap(network)
    torch.testing.assert_close(network.weight.detach(), first + 1)
    assert torch.equal(average.state()["weight"], kept)
