"""From pairs of words to relations: batches, encoders shared with a tagger, predictions against softmax."""

from __future__ import annotations

import dataclasses
import io
import shutil

import numpy as np
import pytest
import tiny_model
from PIL import Image

from twofold.crf import DecisionRule
from twofold.errors import ModelError
from twofold.inference.encode import PostEncoder
from twofold.inference.relation_classifier import RelationClassifier
from twofold.inference.relation_extractor import TemperatureScaledSoftmax
from twofold.model_folder.folder import open_folder, write_manifest
from twofold.posts import Post
from twofold.preprocessing.entity_markers import Argument
from twofold.preprocessing.feature_cache import FeatureCache
from twofold.preprocessing.segmentation import segment


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("models")
    return (
        open_folder(tiny_model.build(place / "tagger")),
        open_folder(tiny_model.build_relations(place / "relations")),
    )


@pytest.fixture(scope="module")
def levitated(tmp_path_factory):
    place = tmp_path_factory.mktemp("levitated") / "relations"
    return open_folder(tiny_model.build_relations(place, levitated=True, window_pieces=32))


@pytest.fixture
def alone(folders):
    return RelationClassifier(folders[1], threads=1)


@pytest.fixture(params=["marked", "levitated"])
def either(folders, levitated, request):
    """Both types of classifiers: a text of its own for each pair, and one pass over all pairs."""
    return RelationClassifier(folders[1] if request.param == "marked" else levitated, threads=1)


def picture(colour="red") -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(stream, "PNG")
    return stream.getvalue()


def spy(monkeypatch, sessions, graph):
    """Shapes of the batches that a graph was run with."""
    shapes = []
    run = getattr(sessions, graph)

    def counted(first, *rest):
        shapes.append((first["words"] if graph == "fuse" else first).shape[:2])
        return run(first, *rest)

    monkeypatch.setattr(sessions, graph, counted)
    return shapes


ANNA, NASA, PARIS = Argument(0, 2, "PER"), Argument(3, 4, "ORG"), Argument(5, 6, "LOC")
TEXT = "Anna Smith joined NASA in paris"


def test_shapes_and_modalities(alone):
    post = Post(1, TEXT, image=picture(), alt_text="two faces")
    ((encoded,),) = alone.encode([post], [[(ANNA, NASA)]])
    assert (encoded.head, encoded.tail) == (ANNA, NASA)
    assert encoded.present == (True, True, True)
    assert encoded.emissions.shape == (5,)
    assert encoded.evidence.shape == (3, 4, 5)
    assert encoded.fused.shape == (4, 5)
    assert encoded.share.shape == (3, 5)
    assert encoded.share.sum(0) == pytest.approx(1.0)


def test_a_pair_is_encoded_the_same_alone_and_in_a_batch(either):
    posts = [
        Post(1, TEXT, alt_text="two people"),
        Post(2, "nothing here"),
        Post(3, "0 " + "x " * 200 + TEXT, image=picture()),
        Post(4, TEXT, image=picture("blue"), alt_text="two people"),
    ]
    pairs = [
        [(ANNA, NASA), (NASA, PARIS), (ANNA, PARIS), (PARIS, ANNA)],
        [],
        [(Argument(201, 203, "PER"), Argument(0, 1, "MISC"))],
        [(ANNA, NASA)],
    ]
    together = either.encode(posts, pairs, batch_size=2)
    assert [len(row) for row in together] == [4, 0, 1, 1]
    for post, post_pairs, encoded_pairs in zip(posts, pairs, together, strict=True):
        for pair, encoded in zip(post_pairs, encoded_pairs, strict=True):
            ((single,),) = either.encode([post], [[pair]])
            assert (encoded.head, encoded.tail, encoded.present) == (*pair, single.present)
            np.testing.assert_allclose(encoded.emissions, single.emissions, atol=1e-5)
            np.testing.assert_allclose(encoded.evidence, single.evidence, atol=1e-5)


def test_all_pairs_of_a_post_are_one_row_of_one_batch(levitated, monkeypatch):
    classifier = RelationClassifier(levitated, threads=1)
    texts = spy(monkeypatch, classifier.network.sessions, "text")
    fused = spy(monkeypatch, classifier.network.sessions, "fuse")
    post, pairs = Post(1, TEXT), [(ANNA, NASA), (NASA, PARIS), (ANNA, PARIS), (PARIS, ANNA)]
    (encoded,) = classifier.encode([post], [pairs])
    assert [(x.head, x.tail) for x in encoded] == pairs
    assert [shape[0] for shape in texts] == [shape[0] for shape in fused] == [1]


def test_words_that_the_tagger_encoded_are_not_encoded_again(folders, levitated, monkeypatch):
    tagger = PostEncoder(folders[0])
    sharing = RelationClassifier(levitated, shared=tagger.network)
    posts = [Post(1, TEXT, alt_text="a square"), Post(2, "lol"), Post(3, f"{TEXT} again and again")]
    known = tagger.network.encode_modalities(posts, 8)
    tagger.encode(posts, 8, known)
    texts = spy(monkeypatch, tagger.network.sessions, "text")
    pairs = [[(ANNA, NASA), (NASA, ANNA)], [], [(ANNA, PARIS)]]
    found = sharing.encode(posts, pairs, modalities=sharing.network.reusable(known))
    assert texts == []
    wanted = RelationClassifier(levitated).encode(posts, pairs)
    for row, own in zip(found, wanted, strict=True):
        for one, other in zip(row, own, strict=True):
            np.testing.assert_allclose(one.emissions, other.emissions, atol=1e-6)


def test_a_tagger_alone_keeps_no_words(folders):
    tagger = PostEncoder(folders[0])
    assert tagger.network.encode_modalities([Post(1, TEXT)], 8).words is None


def test_posts_without_pairs_open_no_graph(alone):
    assert alone.encode([Post(1, TEXT, image=picture(), alt_text="x"), Post(2, "")], [[], []]) == [[], []]
    assert alone.network.sessions.opened == ()


def test_modalities_of_posts_without_pairs_are_not_encoded(alone, monkeypatch):
    sizes = spy(monkeypatch, alone.network.sessions, "picture")
    posts = [Post(1, TEXT, image=picture()), Post(2, TEXT, image=picture("blue"))]
    alone.encode(posts, [[], [(ANNA, NASA), (ANNA, PARIS)]])
    assert [shape[0] for shape in sizes] == [1]


def test_a_broken_picture_leaves_the_relation_to_the_text(alone):
    broken, without = Post(1, TEXT, image=b"no picture"), Post(2, TEXT)
    (one,), (other,) = alone.encode([broken, without], [[(ANNA, NASA)]] * 2)
    assert one.present == other.present == (True, False, False)
    assert (one.picture.status, other.picture.status) == ("unreadable", "none")
    np.testing.assert_allclose(one.emissions, other.emissions, atol=1e-6)


def test_encoders_that_the_tagger_has_too_are_shared(folders, monkeypatch):
    tagger = PostEncoder(folders[0])
    sharing = RelationClassifier(folders[1], shared=tagger.network)
    posts = [Post(1, TEXT, image=picture(), alt_text="a square"), Post(2, "lol", image=picture("blue"))]
    found = tagger.network.encode_modalities(posts, 8)
    pictures = spy(monkeypatch, tagger.network.sessions, "picture")
    (encoded,), _ = sharing.encode(posts, [[(ANNA, NASA)], []], modalities=sharing.network.reusable(found))
    assert pictures == []
    assert sharing.network.sessions.opened == ("fusion",)
    ((plain,),) = RelationClassifier(folders[1]).encode(posts[:1], [[(ANNA, NASA)]])
    np.testing.assert_allclose(encoded.emissions, plain.emissions, atol=1e-6)
    assert encoded.present == plain.present


def test_modalities_with_another_encoder_are_encoded_again(folders, tmp_path):
    other = shutil.copytree(folders[1].path, tmp_path / "other")
    with (other / "picture.onnx").open("ab") as stream:
        stream.write(b"\x72\x00")  # an empty metadata field more: the same graph, another file
    write_manifest(other)
    tagger = PostEncoder(folders[0])
    classifier = RelationClassifier(open_folder(other), shared=tagger.network)
    posts = [Post(1, TEXT, image=picture(), alt_text="a square")]
    known = tagger.network.encode_modalities(posts, 8)
    ((encoded,),) = classifier.encode(posts, [[(ANNA, NASA)]], modalities=classifier.network.reusable(known))
    assert set(classifier.network.sessions.opened) == {"picture", "fusion"}
    ((plain,),) = RelationClassifier(folders[1]).encode(posts, [[(ANNA, NASA)]])
    np.testing.assert_allclose(encoded.emissions, plain.emissions, atol=1e-6)


def test_a_tagger_of_text_alone_shares_no_modalities(folders, tmp_path):
    text_tagger = open_folder(tiny_model.build(tmp_path / "text_tagger", sources=("text",), evidence=False))
    tagger = PostEncoder(text_tagger)
    posts = [Post(1, TEXT, image=picture(), alt_text="a square")]
    known = tagger.network.encode_modalities(posts, 8)
    classifier = RelationClassifier(folders[1], shared=tagger.network)
    ((encoded,),) = classifier.encode(posts, [[(ANNA, NASA)]], modalities=classifier.network.reusable(known))
    assert encoded.present == (True, True, True)


def test_a_cache_changes_nothing(folders, tmp_path):
    posts = [Post(1, TEXT, image=picture("teal"))]
    plain = RelationClassifier(folders[1]).encode(posts, [[(ANNA, NASA)]])[0][0]
    for _ in range(2):
        cache = FeatureCache(tmp_path, folders[1].picture_fingerprint)
        kept = RelationClassifier(folders[1], cache=cache).encode(posts, [[(ANNA, NASA)]])[0][0]
        np.testing.assert_array_equal(kept.emissions, plain.emissions)


def test_probabilities_are_the_softmax_over_the_allowed_relations(alone):
    post = Post(1, TEXT, alt_text="two faces")
    (encoded_pairs,) = alone.encode([post], [[(ANNA, NASA), (NASA, ANNA)]])
    scores = encoded_pairs[0].emissions.astype(float)
    prediction, reversed_ = alone.predict_constrained(encoded_pairs)
    assert prediction.label == "/per/org/member_of"
    allowed_powers = np.exp(scores[[0, 1]])
    assert prediction.probability == pytest.approx(allowed_powers[1] / allowed_powers.sum())
    assert (reversed_.label, reversed_.probability) == ("None", 1.0)
    unknown = dataclasses.replace(encoded_pairs[0], head=Argument(0, 2), tail=Argument(3, 4))
    (free,) = alone.predict_constrained([unknown])
    (unconstrained,) = alone.predict_unconstrained([encoded_pairs[0]])  # predicted types rule out nothing
    assert unconstrained[:2] == free[:2]
    assert free.scores.tolist() == scores.tolist()
    among = np.exp(scores[[0, unconstrained.class_index]])  # but probabilities are among those of its types
    assert unconstrained.probability == pytest.approx(among[1] / among.sum())
    assert np.flatnonzero(np.isfinite(unconstrained.scores)).tolist() == [0, unconstrained.class_index]
    assert free.probability == pytest.approx(np.exp(scores).max() / np.exp(scores).sum())
    (decision,) = TemperatureScaledSoftmax(1.25).decide(free.scores[None], [free.class_index])
    tempered = np.exp(scores / 1.25)
    assert decision.confidence == pytest.approx(tempered.max() / tempered.sum())
    assert (decision.review, decision.candidates) == (None, None)


@pytest.mark.parametrize("constrained", [True, False])
def test_a_rule_decides_by_the_probability_of_the_best_relation(alone, constrained):
    (pairs,) = alone.encode([Post(1, TEXT, alt_text="two faces")], [[(ANNA, NASA), (NASA, ANNA)]])

    def predicted(rule):
        classifier = alone.with_decision_rule(rule)
        predict = classifier.predict_constrained if constrained else classifier.predict_unconstrained
        return predict(pairs)

    plain = predicted(None)
    assert alone.with_decision_rule(DecisionRule(0.3)).with_decision_rule(None).decision_rule is None
    allowed = [0, plain[0].class_index]  # "None" and the relation of these types
    powers = np.exp(pairs[0].emissions.astype(float)[allowed] / 2.5)
    probability = powers[1] / powers.sum()
    below, above = (predicted(DecisionRule(probability + step, 2.5)) for step in (-1e-6, 1e-6))
    assert below[0].label == plain[0].label != "None"
    assert below[0].probability == plain[0].probability
    assert above[0].label == "None"
    if constrained:
        assert [item[1].label for item in (plain, below, above)] == ["None"] * 3  # no relation is allowed


def test_long_posts_keep_the_surroundings_of_both_arguments(alone):
    # "0" is evidence against any relation: near an argument it is kept, far from both it is dropped.
    def prediction(text: str) -> str:
        words = [text[a:b] for a, b in segment(text)]
        anna, nasa = words.index("Anna"), words.index("NASA")
        pair = (Argument(anna, anna + 1, "PER"), Argument(nasa, nasa + 1, "ORG"))
        return alone.predict_constrained(alone.encode([Post(1, text)], [[pair]])[0])[0].label

    far = "x " * 300
    assert prediction(f"Anna y {far} y NASA") == "/per/org/member_of"
    assert prediction(f"Anna y {far} 0 {far} y NASA") == "/per/org/member_of"
    assert prediction(f"Anna y {far} y 0 NASA") == "None"
    assert prediction(f"{far} 0 Anna y {far} y NASA") == "None"


def test_a_tagger_is_not_a_relation_model(folders):
    with pytest.raises(ModelError, match="the model is for entities; expected a relation model"):
        RelationClassifier(folders[0])
