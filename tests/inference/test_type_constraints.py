"""Candidate pairs and allowed relations, against enumeration."""

from __future__ import annotations

import itertools

import pytest
import tiny_model
from hypothesis import given
from hypothesis import strategies as st

from twofold.inference.type_constraints import PAIR_LIMIT, TypeConstraints
from twofold.posts import Entity

ARGUMENTS = {name: frozenset(map(tuple, pairs)) for name, pairs in tiny_model.ARGUMENTS.items()}
CONSTRAINTS = TypeConstraints(tiny_model.RELATIONS, ARGUMENTS)


def entities(*types: str, starts: list[int] | None = None, names: list[str] | None = None) -> list[Entity]:
    starts = starts or [10 * i for i in range(len(types))]
    names = names or [f"x{i}" for i in range(len(types))]
    return [
        Entity(start, start + 3, name, type_) for type_, start, name in zip(types, starts, names, strict=True)
    ]


def allowed_relations(head: str, tail: str) -> set[str]:
    return {
        name for name, fits in zip(tiny_model.RELATIONS, CONSTRAINTS.allowed(head, tail), strict=True) if fits
    }


def test_only_none_and_the_relations_of_the_types_are_allowed():
    assert allowed_relations("PER", "ORG") == {"None", "/per/org/member_of"}
    assert allowed_relations("ORG", "PER") == {"None"}
    assert allowed_relations("SHIP", "ORG") == {"None"}


def test_an_unknown_type_is_compatible_with_everything_that_any_type_is():
    assert allowed_relations("", "") == set(tiny_model.RELATIONS)
    assert allowed_relations("PER", "") == {
        "None", "/per/org/member_of", "/per/loc/place_of_residence", "/per/per/peer",
    }  # fmt: skip
    assert allowed_relations("", "LOC") == {"None", "/per/loc/place_of_residence", "/org/loc/located_at"}
    assert allowed_relations("", "SHIP") == {"None"}


def alternatives(name: str) -> set[str]:
    number = tiny_model.RELATIONS.index(name)
    return {n for n, r in zip(tiny_model.RELATIONS, CONSTRAINTS.alternatives(number), strict=True) if r}


def test_alternatives_share_argument_types_with_a_relation():
    assert alternatives("None") == set(tiny_model.RELATIONS)
    for name in set(tiny_model.RELATIONS) - {"None"}:
        allowed = [allowed_relations(head, tail) for head, tail in ARGUMENTS[name]]
        assert alternatives(name) == {"None"}.union(*allowed)


@pytest.mark.parametrize("types", [("PER", "ORG"), ("MISC", "MISC")])
def test_a_mask_of_the_constraints_cannot_be_written_to(types):
    with pytest.raises(ValueError, match="read-only"):
        CONSTRAINTS.allowed(*types)[:] = True


def test_candidate_pairs_are_compatible_in_either_direction():
    found = CONSTRAINTS.candidate_pairs(entities("LOC", "PER", "MISC", "ORG", "ORG"))
    assert found.pairs == [(0, 1), (0, 3), (0, 4), (1, 3), (1, 4)]
    assert found.total == 5


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["PER", "LOC", "ORG", "MISC", ""]),
            st.integers(0, 60),
            st.sampled_from(["Ann", "ANN", "Bob", "Bob  Lee", "bob lee"]),
        ),
        max_size=14,
    ),
    st.integers(0, 12),
)
def test_the_nearest_pairs_agree_with_enumeration(drawn, limit):
    drawn = sorted(drawn, key=lambda item: item[1])
    row = entities(*(t for t, _, _ in drawn), starts=[s for _, s, _ in drawn], names=[n for _, _, n in drawn])

    def compatible(one: Entity, other: Entity) -> bool:
        if one.type == other.type and one.text.lower().split() == other.text.lower().split():
            return False
        return CONSTRAINTS.compatible(one.type, other.type) or CONSTRAINTS.compatible(other.type, one.type)

    every = [(i, j) for i, j in itertools.combinations(range(len(row)), 2) if compatible(row[i], row[j])]
    found = CONSTRAINTS.candidate_pairs(row, limit)
    assert found.total == len(every)
    assert len(found.pairs) == min(limit, len(every)) == len(set(found.pairs))
    assert set(found.pairs) <= set(every)

    def gaps(pairs):
        return sorted(row[j].start - row[i].start for i, j in pairs)

    assert gaps(found.pairs) == gaps(every)[: len(found.pairs)]


def test_a_post_of_many_thousand_entities_is_fast():
    found = CONSTRAINTS.candidate_pairs(entities(*["PER", "MISC"] * 10_000))
    assert found.total == 10_000 * 9_999 // 2
    assert found.pairs == [(2 * i, 2 * i + 2) for i in range(PAIR_LIMIT)]


def test_mentions_of_the_same_name_are_never_a_pair() -> None:
    found = CONSTRAINTS.candidate_pairs(
        entities(*["PER"] * 20_000, names=["LeBron James", "LEBRON james"] * 10_000)
    )
    assert (found.pairs, found.total) == ([], 0)
    jordan = entities("PER", "LOC", names=["Jordan", "Jordan"])  # a person and a place
    assert CONSTRAINTS.candidate_pairs(jordan).pairs == [(0, 1)]
