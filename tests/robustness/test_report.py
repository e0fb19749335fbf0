"""Robustness metrics against cases worked out by hand; the three checks."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from twofold.posts import Entity, SourceEvidence, Uncertainty
from twofold.robustness.condition_results import MEASURES, UNCERTAINTIES, ConditionCollector
from twofold.robustness.report import robustness_report


def entity(start, kind="PER", confidence=0.9, aleatoric=0.2, epistemic=0.1, share=0.25, own=(0.5, 0.3)):
    sources = {"text": SourceEvidence(1 - share, 0.1, 0.1), "picture": SourceEvidence(share, *own)}
    return Entity(start, start + 1, "x", kind, confidence, Uncertainty(aleatoric, epistemic), sources)


def key(e):
    return e.start, e.end, e.type


GOLD = {(0, 1, "PER"): True, (5, 6, "LOC"): False}


def results(*posts, own=None, status="read"):
    """Each post is a list of predicted entities, which are also its same items."""
    collector = ConditionCollector()
    for here, before in zip(posts, own or posts, strict=True):
        collector.add(GOLD, [key(e) for e in before], {key(e): e for e in here}, here, status)
    return collector.results()


OWN_POSTS = ([entity(0)], [entity(0), entity(5, "LOC")])


def report(resamples=50, same_as_missing=(True, True), **changed):
    own = results(*OWN_POSTS)
    conditions = dict.fromkeys(("original", "mismatched", "blank", "missing"), own)
    conditions["corrupt"] = replace(own, status=np.array(["unreadable"] * 2))
    return robustness_report(
        conditions | changed, np.array(same_as_missing), resamples=resamples, least_posts=2
    )


def test_counts_flips_and_f1_by_hand():
    # Post 1: PER stays. Post 2: PER stays, LOC becomes ORG.
    here = results([entity(0)], [entity(0), entity(5, "ORG")], own=OWN_POSTS)
    assert here.counts.tolist() == [[1, 1], [1, 2], [2, 2]]
    assert here.strict.tolist() == [[1, 1], [1, 2], [1, 1]]
    assert here.overlap.tolist() == [[1, 1], [0, 1], [0, 1]]
    metrics = report(mismatched=here).conditions["mismatched"]
    assert metrics.flipped.value == pytest.approx(2 / 4)  # LOC and ORG of PER, PER, LOC, ORG
    assert metrics.changed.value == pytest.approx(1 / 3)
    assert metrics.f1 == pytest.approx(2 * 2 / (3 + 4))
    assert metrics.f1_change.value == pytest.approx(4 / 7 - 6 / 7)
    assert metrics.strict_f1 == pytest.approx(2 * 2 / (3 + 2))
    assert metrics.strict_f1_change.value == pytest.approx(0)


def test_changes_are_means_over_posts_with_a_value_under_both():
    here = results(
        [entity(0, aleatoric=0.5)], [entity(0, aleatoric=0.2), entity(5, "LOC", aleatoric=0.4)], own=OWN_POSTS
    )
    change = report(blank=here).conditions["blank"].same_items["aleatoric"]
    assert change.change.value == pytest.approx((0.3 + 0.1) / 2)  # posts count alike, entities do not
    assert change.value == pytest.approx((0.5 + 0.3) / 2)
    nothing = report(blank=results([entity(0, aleatoric=0.5)], [], own=OWN_POSTS)).conditions["blank"]
    assert nothing.predicted["aleatoric"].posts == 1
    assert nothing.predicted["aleatoric"].change.value == pytest.approx(0.3)
    assert nothing.changed.value == pytest.approx(2 / 3)


def test_share_and_own_uncertainty_of_the_picture():
    found = results([entity(0, share=0.2), entity(5, share=0.4, own=(0.1, 0.1))])
    assert found.share.tolist() == pytest.approx([0.3])
    assert [found.picture[name][0] for name in UNCERTAINTIES] == pytest.approx([0.3, 0.2, 0.5])
    bare = Entity(0, 1, "x", "PER", 0.9, Uncertainty(0.2, 0.1), {"text": SourceEvidence(1.0, 0.1, 0.1)})
    assert results([bare]).share.tolist() == [0.0]  # not used: a share of 0
    assert math.isnan(results([bare]).picture["total"][0])
    plain = results([Entity(0, 1, "x", "PER", 0.9)])
    assert math.isnan(plain.share[0])
    assert [math.isnan(plain.predicted[name][0]) for name in MEASURES] == [False, True, True, True]


def test_all_evidence_of_a_picture_is_added_up():
    names = ("text", "whole", "crops", "alt_text")
    sources = dict(zip(names, (SourceEvidence(s, s, s) for s in (0.4, 0.3, 0.2, 0.1)), strict=True))
    found = results([Entity(0, 1, "x", "PER", 0.9, Uncertainty(1, 1), sources)])
    assert found.share.tolist() == pytest.approx([0.5])
    assert found.picture["aleatoric"].tolist() == pytest.approx([0.25])


def test_auroc_of_the_pictures_own_uncertainty_counts_pairs():
    own = results([entity(0, own=(0.1, 0.0))], [entity(0, own=(0.3, 0.0))])
    other = results([entity(0, own=(0.2, 0.0))], [entity(0, own=(0.3, 0.0))])
    apart = report(original=own, mismatched=other).mismatch_auroc
    # Pairs (other, own): .2 > .1, .2 < .3, .3 > .1, .3 = .3.
    assert apart["aleatoric"].value == pytest.approx(2.5 / 4)
    assert apart["epistemic"].value == 0.5
    assert apart["aleatoric"].low <= 2.5 / 4 <= apart["aleatoric"].high


def checks(**changed):
    return {name: check.holds for name, check in report(**changed).checks.items()}


def posts_with(aleatoric=0.2, epistemic=0.1):
    rows = [
        [entity(e.start, e.type, aleatoric=aleatoric, epistemic=epistemic) for e in row] for row in OWN_POSTS
    ]
    return results(*rows, own=OWN_POSTS)


def test_everything_holds_where_nothing_changes():
    assert checks() == {
        "uncertainty_never_falls": True, "mismatched_picture_f1": True, "corrupt_is_missing": True,
    }  # fmt: skip


@pytest.mark.parametrize(("posts", "holds"), [(29, None), (30, True)])
def test_with_few_posts_estimated_checks_are_not_decided(posts, holds):
    own = results(*[OWN_POSTS[0]] * posts)
    conditions = dict.fromkeys(("original", "mismatched", "blank", "missing"), own)
    conditions["corrupt"] = replace(own, status=np.array(["unreadable"] * posts))
    found = robustness_report(conditions, np.array([True] * posts), resamples=10).checks
    assert [check.holds for check in found.values()] == [holds, holds, True]


@pytest.mark.parametrize("condition", ["blank", "mismatched"])
@pytest.mark.parametrize("lower", [{"aleatoric": 0.19}, {"epistemic": 0.09}])
def test_one_uncertainty_that_falls_is_enough(condition, lower):
    assert checks(**{condition: posts_with(**lower)})["uncertainty_never_falls"] is False


def test_a_fall_that_is_within_sampling_noise_is_not_decided():
    rows = [[entity(e.start, e.type, aleatoric=0.2 + change) for e in row]
            for row, change in zip(OWN_POSTS, (0.1, -0.11), strict=True)]  # fmt: skip
    changed = report(mismatched=results(*rows, own=OWN_POSTS)).checks["uncertainty_never_falls"]
    assert changed.metrics["aleatoric, mismatched"].value == pytest.approx(-0.005)
    assert changed.metrics["aleatoric, mismatched"].high > 0
    assert changed.holds is None


def test_uncertainty_that_rises_or_falls_elsewhere_is_allowed():
    changed = {
        "blank": posts_with(0.3, 0.2),
        "mismatched": posts_with(0.3, 0.2),
        "missing": posts_with(0.0, 0.0),
    }
    assert checks(**changed)["uncertainty_never_falls"] is True


def test_without_evidence_it_is_not_decided():
    bare = results([Entity(0, 1, "x", "PER", 0.9)], [Entity(0, 1, "x", "PER", 0.9)])
    same = dict.fromkeys(("original", "mismatched", "blank", "missing"), bare)
    assert checks(**same)["uncertainty_never_falls"] is None


def test_f1_with_a_mismatched_picture_is_compared_with_no_picture_and_with_the_text_alone():
    worse = results([], [entity(0), entity(5, "LOC")], own=OWN_POSTS)
    assert checks(mismatched=worse)["mismatched_picture_f1"] is False
    assert checks(mismatched=worse, missing=worse)["mismatched_picture_f1"] is True
    assert (
        checks(mismatched=worse, missing=worse, text_only=results(*OWN_POSTS))["mismatched_picture_f1"]
        is False
    )
    metrics = report(mismatched=worse, text_only=worse).checks["mismatched_picture_f1"].metrics
    assert metrics["F1, mismatched less missing"].value == pytest.approx(2 * 2 / 6 - 2 * 3 / 7)
    assert metrics["F1, mismatched less text_only"].value == 0


def test_half_a_point_may_be_lost():
    gold = {(i, i + 1, "PER"): True for i in range(400)}
    every = {k: entity(k[0]) for k in gold}

    def all_but(lost):
        collector = ConditionCollector()
        found = dict(list(every.items())[lost:])
        collector.add(gold, every, found, [], "read")
        return collector.results()

    # 2 · 397 / 797 is 0.4 below 1, 2 · 395 / 795 is 0.6 below.
    for lost, holds in ((3, True), (5, False)):
        conditions = dict.fromkeys(("original", "mismatched", "blank", "missing", "corrupt"), all_but(0))
        found = robustness_report(
            conditions | {"mismatched": all_but(lost)}, np.array([True]), resamples=10, least_posts=1
        )
        assert found.checks["mismatched_picture_f1"].holds is holds


def test_a_corrupt_picture_must_be_reported_and_change_nothing():
    assert checks(same_as_missing=(True, False))["corrupt_is_missing"] is False
    assert checks(corrupt=results(*OWN_POSTS))["corrupt_is_missing"] is False  # taken as read
    without_picture = replace(results(*OWN_POSTS), status=np.array(["none"] * 2))
    assert checks(original=without_picture, corrupt=without_picture)["corrupt_is_missing"] is None


def test_relations_have_no_strict_count():
    collector = ConditionCollector()
    collector.add({(0, "peer"): True}, [], {}, [], "read")
    bare = collector.results(strict=False)
    found = robustness_report(
        dict.fromkeys(("original", "mismatched", "blank", "missing", "corrupt"), bare),
        np.array([True]),
        resamples=10,
    )
    assert found.conditions["blank"].strict_f1 is None
    assert found.conditions["blank"].strict_f1_change is None
    assert math.isnan(found.conditions["blank"].flipped.value)  # nothing was predicted at all
