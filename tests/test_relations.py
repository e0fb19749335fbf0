"""Relations through the Python interface: results of valid and invalid input."""

from __future__ import annotations

import io
import json
import shutil
from importlib import resources

import jsonschema
import numpy as np
import pytest
import tiny_model
from PIL import Image

import twofold
from twofold.errors import ModelError
from twofold.inference.type_constraints import PAIR_LIMIT
from twofold.model_folder.folder import write_manifest
from twofold.posts import Entity, Post, Relation
from twofold.records import to_line, to_record

TEXT = "Anna Smith joined NASA in paris"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("models")
    return tiny_model.build(place / "tagger"), tiny_model.build_relations(place / "relations")


@pytest.fixture(scope="module")
def extractor(folders):
    return twofold.load(folders[0], relation_model=folders[1], threads=1)


@pytest.fixture(scope="module")
def validator():
    text = resources.files("twofold").joinpath("schemas/extraction.schema.json").read_text(encoding="utf-8")
    return jsonschema.Draft202012Validator(json.loads(text))


def png(colour="red") -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(stream, "PNG")
    return stream.getvalue()


def triples(extraction):
    return [(r.head.text, r.type, r.tail.text) for r in extraction.relations]


def test_relations_with_confidence_and_evidence(extractor, validator):
    post = Post("p", TEXT, image=png(), alt_text="a red square")
    extraction = next(extractor.extract([post]))
    assert triples(extraction) == [
        ("Anna Smith", "/per/org/member_of", "NASA"),
        ("Anna Smith", "/per/loc/place_of_residence", "paris"),
        ("NASA", "/org/loc/located_at", "paris"),
    ]
    for relation in extraction.relations:
        assert relation.head in extraction.entities
        assert relation.tail in extraction.entities
        assert 0 < relation.confidence < 1
        assert relation.uncertainty.aleatoric > 0 < relation.uncertainty.epistemic
        assert list(relation.sources) == ["text", "picture", "alt_text"]
        assert sum(source.share for source in relation.sources.values()) == pytest.approx(1)
    validator.validate(to_record(extraction))
    record = json.loads(to_line(extraction))
    assert [(r["head"], r["tail"]) for r in record["relations"]] == [(0, 1), (0, 2), (1, 2)]


def test_entities_are_those_of_the_tagger_alone(extractor, folders):
    posts = [TEXT, "nothing", "", {"id": 1, "text": "Bob and Ann", "image": png(), "alt_text": "two"}]
    alone = list(twofold.load(folders[0]).extract(posts))
    for one, other in zip(extractor.extract(posts), alone, strict=True):
        assert (one.entities, one.picture, one.warnings) == (other.entities, other.picture, other.warnings)
        assert other.relations == ()


def test_of_two_directions_the_more_probable_is_predicted_once(extractor):
    # The tiny model prefers the head first; between two persons both directions are allowed.
    assert triples(next(extractor.extract(["Bob met Anna"]))) == [("Bob", "/per/per/peer", "Anna")]
    # An organisation before a person: only person to organisation is allowed.
    assert triples(next(extractor.extract(["NASA hired Anna"]))) == [("Anna", "/per/org/member_of", "NASA")]


def test_most_probably_none_gives_no_relation(extractor):
    assert triples(next(extractor.extract(["0 Bob met Anna"]))) == []


def test_a_post_gives_the_same_alone_and_in_a_batch(extractor):
    posts = [
        {"id": i, "text": f"{'x ' * (5 * i % 17)}Anna met Bob and NASA in paris", "alt_text": "a" * (i % 3)}
        | ({"image": png()} if i % 2 else {})
        for i in range(30)
    ]
    for batch_size in (1, 7):
        together = list(extractor.extract(posts, batch_size=batch_size))
        for post, extraction in zip(posts, together, strict=True):
            alone = next(extractor.extract([post]))
            assert triples(extraction) == triples(alone) != []
            for one, other in zip(extraction.relations, alone.relations, strict=True):
                assert one.confidence == pytest.approx(other.confidence, abs=1e-5)
                assert one.uncertainty.epistemic == pytest.approx(other.uncertainty.epistemic, abs=1e-5)
                assert one.sources.keys() == other.sources.keys()


def test_a_broken_picture_still_gives_relations_from_the_text(extractor):
    broken, without = extractor.extract([{"id": 1, "text": TEXT, "image": "gone.jpg"}, TEXT])
    assert broken.picture.status == "unreadable"
    assert triples(broken) == triples(without)
    assert list(broken.relations[0].sources) == ["text"]


def test_posts_without_pairs_open_no_relation_graph(folders):
    extractor = twofold.load(folders[0], relation_model=folders[1])
    list(extractor.extract(["nothing", "Anna", "Anna of MISC", ""]))
    sessions = extractor.pipeline._relations.classifier.network.sessions
    assert sessions.opened == ("fusion",)  # Anna of MISC: an organisation by its letters
    again = twofold.load(folders[0], relation_model=folders[1])
    list(again.extract(["nothing", "Anna", "paris paris", ""]))
    assert again.pipeline._relations.classifier.network.sessions.opened == ()


def test_very_many_entities(extractor, validator):
    each = 1500
    extraction = next(extractor.extract(["Anna left paris . " * each]))
    assert len(extraction.entities) == 2 * each
    assert 0 < len(extraction.relations) <= PAIR_LIMIT
    possible = each * each  # mentions of the same name are not a pair
    assert extraction.warnings[1:2] == (
        f"only the {PAIR_LIMIT} nearest of {possible:,} pairs of entities were checked for relations",
    )
    assert all(np.isfinite(relation.confidence) for relation in extraction.relations)
    for relation in extraction.relations:
        assert abs(relation.head.start - relation.tail.start) < 20
    record = to_record(extraction)
    validator.validate(record | {"entities": record["entities"][::100]})  # all would take seconds


def test_memory_does_not_grow_and_posts_stream(extractor):
    endless = iter(lambda: {"id": 1, "text": TEXT}, None)
    stream = extractor.extract(endless, batch_size=2)
    assert all(len(next(stream).relations) == 3 for _ in range(40))


def test_a_combined_folder_has_relations_that_can_be_switched_off(folders, tmp_path, extractor):
    from twofold.model_folder.combine import combine

    combine(*folders, tmp_path / "both")
    both = twofold.load(tmp_path / "both")
    assert both.name == "tiny"
    assert both.relations == tuple(tiny_model.RELATIONS[1:])
    one, other = next(both.extract([TEXT])), next(extractor.extract([TEXT]))
    assert (one.entities, one.relations) == (other.entities, other.relations)
    without = twofold.load(tmp_path / "both", relation_model=False)
    assert without.relations == ()
    assert next(without.extract([TEXT])).relations == ()


def test_a_cache_changes_nothing(folders, extractor, tmp_path):
    posts = [{"id": 1, "text": TEXT, "image": png("teal")}]
    plain = list(extractor.extract(posts))
    for _ in range(2):
        kept = twofold.load(folders[0], relation_model=folders[1], cache=tmp_path)
        assert list(kept.extract(posts)) == plain
    assert len(list(tmp_path.rglob("*.npy"))) == 1


def test_models_without_evidence(folders, tmp_path, validator):
    plain = tiny_model.build_relations(tmp_path / "plain", evidence=False, sources=("text",))
    extraction = next(twofold.load(folders[0], relation_model=plain).extract([TEXT]))
    assert len(extraction.relations) == 3
    assert extraction.relations[0].uncertainty is None
    assert extraction.relations[0].sources == {}
    validator.validate(to_record(extraction))


def test_a_picture_that_only_the_relation_model_uses(folders, tmp_path):
    text_tagger = tiny_model.build(tmp_path / "text_tagger", sources=("text",))
    posts = [{"id": 1, "text": TEXT, "image": png()}, {"id": 2, "text": "Anna", "image": png()}]
    used, not_used = twofold.load(text_tagger, relation_model=folders[1]).extract(posts)
    assert used.picture.status == "read"
    assert list(used.relations[0].sources) == ["text", "picture"]
    assert not_used.picture == twofold.PictureReport("none", "this model does not use pictures")


# --- gold pairs --------------------------------------------------------------------------------------


def gold(text: str, *relations: tuple[str, str, str], **more) -> Post:
    def argument(word: str) -> Entity:
        start = text.index(word)
        return Entity(start, start + len(word), word, "WRONG")

    return Post(
        1, text, relations=tuple(Relation(argument(h), argument(t), kind) for h, kind, t in relations), **more
    )


def test_gold_pairs_are_classified_in_their_own_direction(extractor):
    post = gold(
        TEXT,
        ("NASA", "None", "Anna Smith"),
        ("Anna Smith", "None", "NASA"),
        ("Anna", "/per/loc/place_of_residence", "paris"),
    )
    found, none = (
        pairs.relations for pairs in extractor.pipeline.classify_gold_pairs([post, Post(2, "lol")])
    )
    assert none == ()
    # Gold labels and types are not used: the types are the tagger's and, being predicted, rule out nothing.
    # The tiny model predicts the same for any pair.
    assert [r.type for r in found] == ["/per/org/member_of"] * 3
    assert [r.head.type for r in found] == ["ORG", "PER", "PER"]
    assert [(r.head.start, r.head.end) for r in found] == [(18, 22), (0, 10), (0, 4)]
    assert all(0 < r.confidence < 1 for r in found)
    assert sum(source.share for source in found[1].sources.values()) == pytest.approx(1)


def test_gold_pairs_that_overlap_or_contain_no_word(extractor):
    text = "Anna Smith \u200b left"
    overlapping = Relation(Entity(0, 10, text[:10], ""), Entity(5, 10, text[5:10], ""), "/per/per/peer")
    empty = Relation(Entity(0, 4, "Anna", ""), Entity(11, 12, "\u200b", ""), "/per/per/peer")
    (pairs,) = extractor.pipeline.classify_gold_pairs([Post(1, text, relations=(empty, overlapping, empty))])
    found = pairs.relations
    assert [r.type for r in found] == ["None", "/per/org/member_of", "None"]
    assert [r.confidence is None for r in found] == [True, False, True]


def test_a_relation_model_alone_takes_types_from_gold_entities_only(folders):
    alone = twofold.load(folders[1])
    assert alone.types == ()
    pair = ("Anna Smith", "/per/org/member_of", "NASA")
    entities = (Entity(0, 10, "Anna Smith", "PER"), Entity(18, 22, "NASA", "ORG"))
    posts = [gold(TEXT, pair, entities=entities), gold(TEXT, pair)]
    with_types, without = (pairs.relations for pairs in alone.pipeline.classify_gold_pairs(posts))
    assert with_types[0].head.type == "PER"
    assert with_types[0].type == "/per/org/member_of"
    assert without[0].head.type == ""


def test_a_relation_model_alone_uses_the_entities_of_the_posts(folders, validator):
    alone = twofold.load(folders[1])
    entities = (Entity(0, 10, "Anna Smith", "PER"), Entity(18, 22, "NASA", "ORG"))
    posts = [
        Post(1, TEXT, entities=entities, image=png()),
        gold(TEXT, ("NASA", "None", "paris")),
        Post(3, TEXT, image=png()),
        Post(4, TEXT, entities=(), image=png()),
    ]
    given, arguments, unlabelled, empty = alone.extract(posts)
    assert given.entities == entities
    assert triples(given) == [("Anna Smith", "/per/org/member_of", "NASA")]
    assert given.picture.status == "read"
    assert [e.text for e in arguments.entities] == ["NASA", "paris"]
    assert unlabelled.warnings == ("this model predicts no entities, and the post provides none",)
    assert empty.warnings == ()
    assert empty.picture == twofold.PictureReport(
        "none", "not needed: the post has no candidate pair of entities"
    )
    for extraction in (given, arguments, unlabelled, empty):
        validator.validate(to_record(extraction))


def test_a_span_given_under_two_types_is_not_related_to_itself(folders):
    twice = (Entity(0, 4, "Anna", "ORG"), Entity(0, 4, "Anna", "PER"))
    extraction = next(twofold.load(folders[1]).extract([Post(1, "Anna left", entities=twice)]))
    assert extraction.relations == ()


@pytest.mark.parametrize("ask", ["decoder", "encode", "decode"])
def test_a_relation_model_is_not_a_tagger(folders, ask):
    alone = twofold.load(folders[1])
    with pytest.raises(ModelError, match="a relation model finds no entities; expected a tagger"):
        getattr(alone.pipeline, ask)([])


def test_a_tagger_classifies_no_relations(folders):
    with pytest.raises(ModelError, match="the model knows no relations"):
        twofold.load(folders[0]).pipeline.classify_gold_pairs([])


def test_models_of_the_wrong_task(folders):
    with pytest.raises(ModelError, match="the model is for relations; expected a tagger"):
        twofold.load(folders[1], relation_model=folders[1])
    with pytest.raises(ModelError, match="the model is for entities; expected a relation model"):
        twofold.load(folders[0], relation_model=folders[0])


def test_calibration_changes_no_relation(folders, extractor, tmp_path):
    # The network chooses the direction, whatever the temperatures of its relations are.
    texts = ["Bob met Anna", "NASA hired Anna in paris", TEXT]
    expected = [triples(extraction) for extraction in extractor.extract(texts)]
    for heat in (0.2, 8.0):
        hot = tmp_path / str(heat)
        shutil.copytree(folders[1], hot)
        (hot / "calibration.json").write_text(
            json.dumps({"temperature": 1.0, "temperature_by_type": {"/per/per/peer": heat}}), encoding="utf-8"
        )
        write_manifest(hot)
        found = list(twofold.load(folders[0], relation_model=hot, threads=1).extract(texts))
        assert [triples(extraction) for extraction in found] == expected
        confidence = found[0].relations[0].confidence
        assert (confidence > 0.9) == (heat < 1)


def test_gold_pairs_in_any_order_give_the_extracted_relations(extractor):
    spans = {"Anna Smith": (0, 10), "NASA": (18, 22), "paris": (26, 31)}

    def given(*pairs):
        relations = tuple(
            Relation(*(Entity(*spans[name], name, "") for name in pair), "None") for pair in pairs
        )
        return Post(1, TEXT, relations=relations)

    extracted = triples(next(extractor.extract([TEXT])))
    forth = [("Anna Smith", "NASA"), ("Anna Smith", "paris"), ("NASA", "paris")]
    back = [pair[::-1] for pair in forth]
    for pairs in (forth, back, [*forth, *back]):
        (found,) = extractor.pipeline.extract_gold_pairs([given(*pairs)])
        assert sorted(triples(found)) == sorted(extracted)
        assert [item.prediction.label for item in found.predictions] == [r.type for r in found.relations]
    (found,) = extractor.pipeline.extract_relations([TEXT])
    assert triples(found) == extracted
