"""Attention, KL and alignment against PyTorch's own, sums by hand, and convexity."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from torch.nn.functional import logsigmoid  # noqa: E402

from twofold.fusion.bottleneck_faithful import (  # noqa: E402
    ConcatenationCritic,
    first_element,
    real_queries,
    sample_always,
)
from twofold.fusion.contract import ModalityStates  # noqa: E402
from twofold.fusion.variational import (  # noqa: E402
    BilinearCritic,
    ResidualAttention,
    infonce,
    jsd,
    kl_to_standard_normal,
    mean_element,
    mean_reduction,
    negative_pairs,
    real_keys,
    rolled_jsd,
    sample_in_training,
    sum_mean_reduction,
    with_initial_log_variance,
)

LN2 = math.log(2)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def all_negatives(posts: int) -> torch.Tensor:
    """Negatives if all pictures differ."""
    return ~torch.eye(posts, dtype=torch.bool)


# --- attention


def test_attention_is_pytorchs_with_two_residuals() -> None:
    ours = ResidualAttention(128, real_keys).eval()
    theirs = torch.nn.MultiheadAttention(128, ours.heads, batch_first=True).eval()
    assert ours.heads == 2
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([x.weight for x in (ours.query, ours.key, ours.value)]))
        theirs.in_proj_bias.zero_()
        theirs.out_proj.load_state_dict(ours.out.state_dict())
    queries, keys = torch.randn(2, 5, 128), torch.randn(2, 4, 128)
    mask = torch.tensor([[True, True, True, False], [True, False, True, True]])
    found, _ = theirs(queries, keys, keys, key_padding_mask=~mask)
    joined = torch.nn.functional.layer_norm(queries + found, (128,))
    expected = torch.nn.functional.layer_norm(joined + ours.dense(joined), (128,))
    got = ours(queries, keys, torch.ones(2, 5, dtype=torch.bool), mask)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("width", [1, 7, 64, 96, 130, 384, 768])
def test_heads_divide_any_width(width: int) -> None:
    assert width % ResidualAttention(width, real_keys).heads == 0
    assert ResidualAttention(768, real_keys).heads == 12


def test_masking_keys_hides_them_and_masking_queries_does_not() -> None:
    queries, keys = torch.randn(1, 3, 8), torch.randn(1, 4, 8)
    query_mask, key_mask = torch.tensor([[True, True, False]]), torch.tensor([[True, True, True, False]])
    other = keys.clone()
    other[0, 3] += 5
    for masking, hidden in ((real_keys, True), (real_queries, False)):
        attention = ResidualAttention(8, masking).eval()
        one, two = (attention(queries, x, query_mask, key_mask) for x in (keys, other))
        assert torch.allclose(one[0, 0], two[0, 0]) == hidden
    # A masked query gets the plain mean of all values.
    attention = ResidualAttention(8, real_queries).eval()
    joined = attention.norm(queries + attention.out(attention.value(keys).mean(1, keepdim=True)))
    expected = attention.out_norm(joined + attention.dense(joined))
    torch.testing.assert_close(attention(queries, keys, query_mask, key_mask)[0, 2], expected[0, 2])


def test_nothing_to_attend_to_is_finite() -> None:
    attention = ResidualAttention(8, real_keys)
    nothing = torch.zeros(1, 4, dtype=torch.bool)
    out = attention(torch.randn(1, 3, 8), torch.randn(1, 4, 8), torch.ones(1, 3, dtype=torch.bool), nothing)
    out.sum().backward()
    assert torch.isfinite(out).all()
    assert all(torch.isfinite(p.grad).all() for p in attention.parameters())


# --- latents


def test_divergence_is_pytorchs() -> None:
    mean, log_variance = torch.randn(3, 4, 5, dtype=torch.float64), torch.randn(3, 4, 5, dtype=torch.float64)
    ours = torch.distributions.Normal(mean, torch.exp(log_variance / 2))
    unit = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    expected = torch.distributions.kl_divergence(ours, unit)
    torch.testing.assert_close(kl_to_standard_normal(mean, log_variance), expected)
    whole = torch.distributions.kl_divergence(
        torch.distributions.Independent(ours, 1), torch.distributions.Independent(unit, 1)
    )  # (B, N) of the vectors, which sum_mean_reduction averages over real elements
    mask = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]]).bool()
    torch.testing.assert_close(
        sum_mean_reduction(kl_to_standard_normal(mean, log_variance), mask), whole[mask].mean()
    )


def test_the_mean_reduction_counts_padding_and_divides_by_the_width() -> None:
    each = torch.rand(2, 4, 5)
    whole = torch.ones(2, 4, dtype=torch.bool)
    torch.testing.assert_close(mean_reduction(each, whole) * 5, sum_mean_reduction(each, whole))
    half = torch.tensor([[1, 1, 0, 0], [1, 0, 0, 0]]).bool()
    assert mean_reduction(each, half) == mean_reduction(each, whole)
    louder = each.masked_fill(~half.unsqueeze(2), 100.0)
    assert mean_reduction(louder, half) > mean_reduction(each, half)
    assert sum_mean_reduction(louder, half) == sum_mean_reduction(each, half)
    assert sum_mean_reduction(each, ~whole) == 0


def test_samples_have_the_given_mean_and_variance() -> None:
    mean, log_variance = torch.tensor([1.0, -2.0]), torch.tensor([0.0, -2.0])
    drawn = sample_in_training(mean.expand(40000, 2), log_variance.expand(40000, 2), True)
    torch.testing.assert_close(drawn.mean(0), mean, atol=0.03, rtol=0)
    torch.testing.assert_close(drawn.var(0), log_variance.exp(), atol=0.03, rtol=0)


def test_only_the_original_sampling_draws_noise_at_inference() -> None:
    mean, log_variance = torch.zeros(2, 3, 4), torch.zeros(2, 3, 4)
    assert torch.equal(sample_in_training(mean, log_variance, False), mean)
    one, two = (sample_always(mean, log_variance, False) for _ in range(2))
    assert not torch.equal(one, two)


def test_the_initial_noise_is_small() -> None:
    block = with_initial_log_variance(ResidualAttention(64, real_keys)).eval()
    states, mask = torch.randn(2, 5, 64) * 10, torch.ones(2, 5, dtype=torch.bool)
    assert (torch.exp(block(states, states, mask, mask) / 2) < 0.2).all()


def test_the_initial_log_variance() -> None:
    for start, head in (
        (-4.0, with_initial_log_variance(ResidualAttention(8, real_keys))),
        (-2.5, with_initial_log_variance(ResidualAttention(8, real_keys), -2.5)),
    ):
        assert head.out_norm.bias.tolist() == [start] * 8
        torch.testing.assert_close(head.out_norm.weight, torch.full((8,), 0.1))


def test_weights_of_the_attention_are_dropped_out_in_training() -> None:
    assert ResidualAttention(8, real_keys).drop.p == 0.1
    attention = ResidualAttention(8, real_keys, 0.5)
    states, mask = torch.randn(2, 5, 8), torch.ones(2, 5, dtype=torch.bool)
    one, two = (attention.train()(states, states, mask, mask) for _ in range(2))
    assert not torch.equal(one, two)


def test_a_single_element_is_its_own_mean() -> None:
    each = torch.rand(2, 3, 4)
    one = torch.tensor([[False, True, False], [False, False, False]])
    torch.testing.assert_close(mean_element(each, one)[0], each[0, 1])
    torch.testing.assert_close(sum_mean_reduction(each, one), each[0, 1].sum())


# --- summaries and negatives


def test_summaries() -> None:
    latents = torch.arange(12.0).reshape(2, 3, 2)
    mask = torch.tensor([[True, True, False], [False, False, False]])
    assert mean_element(latents, mask).tolist() == [[1.0, 2.0], [0.0, 0.0]]
    assert first_element(latents, mask).tolist() == [[0.0, 1.0], [6.0, 7.0]]


def test_negatives_are_other_pictures_of_posts_with_a_picture() -> None:
    states = torch.randn(4, 3, 5)
    states[2] = states[0]  # the same picture twice
    states[2, 2] = 99.0  # where it is masked
    mask = torch.ones(4, 3, dtype=torch.bool)
    mask[[0, 2], 2] = False
    mask[3] = False  # a post without a picture
    expected = [[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert negative_pairs([ModalityStates(states, mask)]).int().tolist() == expected


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_pictures_are_equal_if_their_mean_differs_by_less_than_a_thousandth_of_its_length(
    size: float,
) -> None:
    mean = size * torch.tensor([3.0, 4.0])
    aside = size * 5 * torch.tensor([0.8, -0.6])  # as long as the mean, at a right angle
    states = torch.stack([mean, mean + 0.0005 * aside, mean - 0.002 * aside]).unsqueeze(1)
    negatives = negative_pairs([ModalityStates(states, torch.ones(3, 1, dtype=torch.bool))])
    assert negatives.int().tolist() == [[0, 0, 1], [0, 0, 1], [1, 1, 0]]


def test_posts_that_share_one_modality_are_not_negatives_even_if_another_differs() -> None:
    mask = torch.ones(3, 2, dtype=torch.bool)
    alt = torch.randn(3, 2, 4)
    alt[1] = alt[0]
    negatives = negative_pairs([ModalityStates(torch.randn(3, 2, 5), mask), ModalityStates(alt, mask)])
    assert negatives.int().tolist() == [[0, 0, 1], [0, 0, 1], [1, 1, 0]]


def test_a_modality_that_only_one_post_has_does_not_make_posts_equal() -> None:
    picture = torch.randn(2, 2, 5)
    picture[1] = picture[0]
    there = torch.tensor([[True, True], [False, False]])
    alt = ModalityStates(torch.randn(2, 1, 4), torch.ones(2, 1, dtype=torch.bool))
    assert negative_pairs([ModalityStates(picture, there), alt]).int().tolist() == [[0, 1], [1, 0]]


# --- alignment


def test_jsd_by_hand_takes_the_nearest_earlier_other_picture() -> None:
    s = torch.randn(4, 4)
    negatives = all_negatives(4)
    negatives[0, 2] = negatives[2, 0] = False  # posts 0 and 2 share a picture
    negatives[3] = negatives[:, 3] = False  # post 3 has none
    seen = torch.tensor([True, True, True, False])
    pairs = {0: 1, 1: 0, 2: 1}  # of 0: post 3 has no picture and post 2 the same one, so the negative is 1
    expected = sum(-logsigmoid(s[i, i]) - logsigmoid(-s[i, j]) for i, j in pairs.items()) / 3
    torch.testing.assert_close(jsd(s.unsqueeze(2), negatives, seen), expected)


def test_if_all_pictures_differ_jsd_equals_rolled_jsd() -> None:
    scores, seen = torch.randn(5, 5, 3), torch.ones(5, dtype=torch.bool)
    torch.testing.assert_close(
        jsd(scores, all_negatives(5), seen), rolled_jsd(scores, all_negatives(5), seen)
    )


def test_in_rolled_jsd_a_picture_can_be_its_own_negative() -> None:
    """Two posts with one picture are a positive and a negative pair; the corrected form has no negative."""
    s = torch.tensor([[[9.0], [9.0]], [[9.0], [9.0]]])
    no_negatives, seen = torch.zeros(2, 2, dtype=torch.bool), torch.ones(2, dtype=torch.bool)
    assert rolled_jsd(s, no_negatives, seen) > 8
    assert jsd(s, no_negatives, seen) == 0
    assert infonce(s, no_negatives, seen) == 0


def test_rolled_jsd_by_hand_counts_posts_if_they_and_the_previous_post_have_a_picture() -> None:
    s = torch.randn(4, 4, 2)

    def loss(*pairs: tuple[int, int]) -> torch.Tensor:
        return sum((-logsigmoid(s[i, i]) - logsigmoid(-s[i, j])).mean() for i, j in pairs) / len(pairs)

    no_negatives = torch.zeros(4, 4, dtype=torch.bool)
    for seen, pairs in (
        ([True, True, False, False], [(1, 0)]),
        ([True, True, False, True], [(1, 0), (0, 3)]),
        ([True] * 4, [(0, 3), (1, 0), (2, 1), (3, 2)]),
    ):
        torch.testing.assert_close(rolled_jsd(s, no_negatives, torch.tensor(seen)), loss(*pairs))
    assert rolled_jsd(s, no_negatives, torch.tensor([True, False, True, False])) == 0


def test_infonce_by_hand() -> None:
    s = torch.randn(3, 3)
    negatives = all_negatives(3)
    negatives[0, 1] = negatives[1, 0] = False
    expected = torch.stack(
        [
            torch.logsumexp(s[0, [0, 2]], 0) - s[0, 0],
            torch.logsumexp(s[1, [1, 2]], 0) - s[1, 1],
            torch.logsumexp(s[2], 0) - s[2, 2],
        ]
    ).mean()
    torch.testing.assert_close(infonce(s.unsqueeze(2), negatives, torch.ones(3, dtype=torch.bool)), expected)


def test_infonce_is_the_mean_over_posts_with_a_negative_of_the_mean_over_scores() -> None:
    s = torch.randn(4, 4, 3)
    negatives = all_negatives(4)
    negatives[3] = negatives[:, 3] = False  # post 3 has no picture
    of_pairs = s.sum(2) / 3
    each = [torch.logsumexp(of_pairs[i, :3], 0) - of_pairs[i, i] for i in range(3)]
    seen = torch.tensor([True, True, True, False])
    torch.testing.assert_close(infonce(s, negatives, seen), sum(each) / 3)


@pytest.mark.parametrize("rule", [jsd, infonce])
@pytest.mark.parametrize("posts", [1, 2])
def test_without_negatives_the_loss_is_zero_with_finite_gradients(rule, posts: int) -> None:
    scores = torch.randn(posts, posts, 2, requires_grad=True)
    no_negatives = torch.zeros(posts, posts, dtype=torch.bool)
    loss = rule(scores, no_negatives, no_negatives[0])
    loss.backward()
    assert loss == 0
    assert (scores.grad == 0).all()


def test_the_bilinear_critic_scores_each_text_with_each_picture() -> None:
    critic = BilinearCritic(4)
    torch.nn.init.constant_(critic.bias, 3)
    texts, pictures = torch.randn(3, 4), torch.randn(3, 4)
    scores = critic(texts, pictures)
    for i in range(3):
        for j in range(3):
            torch.testing.assert_close(scores[i, j, 0], (critic.map.weight @ texts[i]) @ pictures[j] / 2 + 3)


def test_the_concatenation_critic_is_linear_in_the_concatenation() -> None:
    critic = ConcatenationCritic(4)
    texts, pictures = torch.randn(3, 4), torch.randn(3, 4)
    expected = critic.score(torch.cat([texts[2], pictures[1]]))
    torch.testing.assert_close(critic(texts, pictures)[2, 1], expected)


def test_the_concatenation_critic_cannot_distinguish_pairs_whatever_its_weights() -> None:
    """ConcatenationCritic scores: never below 2 log 2 over a batch and its roll, by convexity."""
    for scale in (0.1, 1.0, 10.0):
        critic = ConcatenationCritic(6)
        torch.nn.init.normal_(critic.score.weight, std=scale)
        texts = torch.randn(8, 6)
        loss = rolled_jsd(critic(texts, texts.clone()), all_negatives(8), torch.ones(8, dtype=torch.bool))
        assert loss >= 2 * LN2 - 1e-6


@pytest.mark.parametrize(("critic", "learns"), [(BilinearCritic, True), (ConcatenationCritic, False)])
def test_which_critic_learns_that_texts_match_their_pictures(critic, learns: bool) -> None:
    model = critic(8)
    optimiser = torch.optim.Adam(model.parameters(), 0.02)
    seen = torch.ones(16, dtype=torch.bool)
    losses = []
    for _ in range(150):
        pictures = torch.randn(16, 8)
        loss = jsd(model(pictures + 0.1 * torch.randn(16, 8), pictures), all_negatives(16), seen)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    reached = sum(losses[-20:]) / 20
    assert reached < 0.8 * 2 * LN2 if learns else reached > 0.97 * 2 * LN2
