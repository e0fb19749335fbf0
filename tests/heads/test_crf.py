"""The CRF against a sum over all tag sequences."""

from __future__ import annotations

import itertools

import pytest

torch = pytest.importorskip("torch")

from twofold.heads.crf import CRF, allowed_tags  # noqa: E402

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


def valid(path: tuple[int, ...]) -> bool:
    names = [LABELS[i] for i in path]
    before = ["O", *names]
    return all(not b.startswith("I-") or (a != "O" and a[2:] == b[2:]) for a, b in zip(before, names))  # noqa: B905


def score(crf: CRF, emissions: torch.Tensor, path: tuple[int, ...]) -> torch.Tensor:
    total = crf.start[path[0]] + crf.end[path[-1]] + sum(emissions[i, t] for i, t in enumerate(path))
    return total + sum((crf.transitions[a, b] for a, b in itertools.pairwise(path)), torch.zeros(()))


@pytest.fixture
def case() -> tuple[CRF, torch.Tensor, torch.Tensor]:
    torch.manual_seed(3)
    crf = CRF(LABELS)
    torch.nn.init.normal_(crf.transitions)
    emissions = torch.randn(3, 5, 5) * 2
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]]).bool()
    return crf, emissions, mask


def test_parameters_start_near_zero_and_are_all_that_is_saved() -> None:
    torch.manual_seed(0)
    crf = CRF(LABELS)
    assert crf.labels == ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
    assert {name: tuple(x.shape) for name, x in crf.state_dict().items()} == {
        "transitions": (5, 5), "start": (5,), "end": (5,),
    }  # fmt: skip
    for weights in (x.detach() for x in crf.parameters()):
        assert -0.1 <= float(weights.min()) < -0.02 < 0.02 < float(weights.max()) <= 0.1


def test_loss_is_minus_log_of_the_path_over_all_valid_paths(case) -> None:
    crf, emissions, mask = case
    tags = torch.tensor([[1, 2, 0, 3, 4], [0, 3, 4, 0, 0], [3, 0, 0, 0, 0]])
    loss = crf(emissions, tags, mask)
    for b, length in enumerate(mask.sum(1).tolist()):
        paths = [p for p in itertools.product(range(5), repeat=length) if valid(p)]
        scores = torch.stack([score(crf, emissions[b], p) for p in paths])
        gold = score(crf, emissions[b], tuple(tags[b, :length].tolist()))
        torch.testing.assert_close(loss[b], torch.logsumexp(scores, 0) - gold)


def test_viterbi_is_the_best_valid_path(case) -> None:
    crf, emissions, mask = case
    found = crf.decode(emissions, mask)
    for b, length in enumerate(mask.sum(1).tolist()):
        paths = [p for p in itertools.product(range(5), repeat=length) if valid(p)]
        assert tuple(found[b]) == max(paths, key=lambda p: score(crf, emissions[b], p).item())


def test_padding_changes_nothing(case) -> None:
    crf, emissions, mask = case
    tags = torch.tensor([[1, 2, 0, 3, 4], [0, 3, 4, 0, 0], [3, 0, 0, 0, 0]])
    alone = crf(emissions[1:2, :3], tags[1:2, :3], mask[1:2, :3])
    torch.testing.assert_close(crf(emissions, tags, mask)[1:2], alone)


def test_a_post_without_words_has_zero_loss(case) -> None:
    crf, emissions, mask = case
    loss = crf(emissions, torch.zeros(3, 5, dtype=torch.long), mask & False)
    assert (loss == 0).all()
    assert crf.decode(emissions, mask & False) == [[], [], []]


def test_a_post_without_words_has_zero_loss_in_a_batch_with_others(case) -> None:
    crf, emissions, mask = case
    mask[2] = False
    tags = torch.zeros(3, 5, dtype=torch.long)
    for loss in (crf(emissions, tags, mask), crf.partial(emissions, allowed_tags(1 << tags, 5), mask)):
        assert (loss > 0).tolist() == [True, True, False]
        assert loss[2] == 0


def test_gradient_of_the_partition_is_the_tag_marginals(case) -> None:
    crf, emissions, mask = case
    emissions.requires_grad_(True)
    crf._partition(emissions, mask).sum().backward()
    sums = emissions.grad.sum(2)
    torch.testing.assert_close(sums, mask.float(), atol=1e-5, rtol=1e-5)


def test_agrees_with_pytorch_crf(case) -> None:
    torchcrf = pytest.importorskip("torchcrf")
    crf, emissions, mask = case
    moves, start, end = crf.potentials()
    other = torchcrf.CRF(5, batch_first=True)
    other.transitions.data, other.start_transitions.data, other.end_transitions.data = (
        moves.detach(), start.detach(), end.detach(),
    )  # fmt: skip
    tags = torch.tensor([[1, 2, 0, 3, 4], [0, 3, 4, 0, 0], [3, 0, 0, 0, 0]])
    expected = -other(emissions, tags, mask, reduction="none")
    torch.testing.assert_close(crf(emissions, tags, mask), expected, atol=1e-3, rtol=1e-4)
    assert crf.decode(emissions, mask) == other.decode(emissions, mask)


def test_partial_loss_sums_over_the_paths_that_the_annotation_allows(case) -> None:
    crf, emissions, mask = case
    tags = torch.tensor([[1, 2, 0, 0, 0], [0, 3, 4, 0, 0], [0, 0, 0, 0, 0]])
    unannotated = torch.tensor([0b11000, 0, 0b00110])  # tags of types that the corpus does not annotate
    allowed = allowed_tags((1 << tags) | unannotated.unsqueeze(1) * (tags == 0), 5)
    assert allowed[0, 0].tolist() == [False, True, False, False, False]
    assert allowed[0, 2].tolist() == [True, False, False, True, True]
    loss = crf.partial(emissions, allowed, mask)
    for b, length in enumerate(mask.sum(1).tolist()):
        paths = [p for p in itertools.product(range(5), repeat=length) if valid(p)]
        scores = {p: score(crf, emissions[b], p) for p in paths}
        open_ = [s for p, s in scores.items() if all(allowed[b, i, t] for i, t in enumerate(p))]
        wanted = torch.logsumexp(torch.stack([*scores.values()]), 0) - torch.logsumexp(torch.stack(open_), 0)
        torch.testing.assert_close(loss[b], wanted)
    whole = crf.partial(emissions, allowed_tags(1 << tags, 5), mask)
    torch.testing.assert_close(whole, crf(emissions, tags, mask))


def test_marginals_are_sums_over_valid_paths(case) -> None:
    crf, emissions, mask = case
    found = crf.log_marginals(emissions, mask).exp()
    for b, length in enumerate(mask.sum(1).tolist()):
        paths = [p for p in itertools.product(range(5), repeat=length) if valid(p)]
        weights = torch.softmax(torch.stack([score(crf, emissions[b], p) for p in paths]), 0)
        for word, tag in itertools.product(range(length), range(5)):
            expected = sum(
                (w for w, p in zip(weights, paths, strict=True) if p[word] == tag), torch.zeros(())
            )
            torch.testing.assert_close(found[b, word, tag], expected, atol=1e-5, rtol=1e-4)


def test_distillation_is_the_cross_entropy_with_the_teacher_and_smallest_for_its_marginals(case) -> None:
    crf, emissions, mask = case
    torch.manual_seed(4)
    teacher = torch.softmax(torch.randn(3, 5, 5), 2)
    logs = crf.log_marginals(emissions, mask)
    by_hand = [
        -sum(teacher[b, w, k] * logs[b, w, k] for w in range(length) for k in range(5))
        for b, length in enumerate(mask.sum(1).tolist())
    ]
    torch.testing.assert_close(crf.distillation(emissions, teacher, mask), torch.stack(by_hand))
    # A student whose marginals are the teacher's gets no gradient.
    own = emissions.clone().requires_grad_()
    crf.distillation(own, logs.exp().detach(), mask).sum().backward()
    assert own.grad is not None
    torch.testing.assert_close(own.grad, torch.zeros_like(own), atol=1e-5, rtol=0)
    assert (crf.distillation(emissions, teacher, mask & False) == 0).all()


def test_padding_does_not_change_the_distillation_loss(case) -> None:
    crf, emissions, mask = case
    teacher = torch.softmax(emissions * 0.5, 2)
    alone = crf.distillation(emissions[1:2, :3], teacher[1:2, :3], mask[1:2, :3])
    torch.testing.assert_close(crf.distillation(emissions, teacher, mask)[1:2], alone)
