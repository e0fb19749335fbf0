"""From pairs of words to relations: batches, what is borrowed from a tagger, verdicts against softmax."""

from __future__ import annotations

import dataclasses
import io
import shutil

import numpy as np
import pytest
import tiny_model
from PIL import Image

from twofold.errors import ModelError
from twofold.inference.encode import Reader
from twofold.inference.relation_classifier import RelationReader
from twofold.inference.relation_extractor import SoftmaxAt
from twofold.model_folder.folder import open_folder, seal
from twofold.posts import Post
from twofold.preprocessing.entity_markers import Argument
from twofold.preprocessing.images import FeatureCache
from twofold.preprocessing.segmentation import segment


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("models")
    return (
        open_folder(tiny_model.build(place / "tagger")),
        open_folder(tiny_model.build_relations(place / "relations")),
    )


@pytest.fixture
def alone(folders):
    return RelationReader(folders[1], threads=1)


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


def test_shapes_and_sources(alone):
    post = Post(1, TEXT, image=picture(), alt_text="two faces")
    ((reading,),) = alone.read([post], [[(ANNA, NASA)]])
    assert (reading.head, reading.tail) == (ANNA, NASA)
    assert reading.sources == (True, True, True)
    assert reading.emissions.shape == (5,)
    assert reading.evidence.shape == (3, 4, 5)
    assert reading.fused.shape == (4, 5)
    assert reading.share.shape == (3, 5)
    assert reading.share.sum(0) == pytest.approx(1.0)


def test_a_pair_reads_the_same_alone_and_in_company(alone):
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
    together = alone.read(posts, pairs, batch_size=2)
    assert [len(row) for row in together] == [4, 0, 1, 1]
    for post, asked, readings in zip(posts, pairs, together, strict=True):
        for pair, reading in zip(asked, readings, strict=True):
            ((single,),) = alone.read([post], [[pair]])
            assert (reading.head, reading.tail, reading.sources) == (*pair, single.sources)
            np.testing.assert_allclose(reading.emissions, single.emissions, atol=1e-5)
            np.testing.assert_allclose(reading.evidence, single.evidence, atol=1e-5)


def test_no_pair_opens_no_graph(alone):
    assert alone.read([Post(1, TEXT, image=picture(), alt_text="x"), Post(2, "")], [[], []]) == [[], []]
    assert alone.network.sessions.opened == ()


def test_sources_of_posts_without_pairs_are_not_read(alone, monkeypatch):
    sizes = spy(monkeypatch, alone.network.sessions, "picture")
    posts = [Post(1, TEXT, image=picture()), Post(2, TEXT, image=picture("blue"))]
    alone.read(posts, [[], [(ANNA, NASA), (ANNA, PARIS)]])
    assert [shape[0] for shape in sizes] == [1]


def test_a_broken_picture_leaves_the_relation_to_the_text(alone):
    broken, without = Post(1, TEXT, image=b"no picture"), Post(2, TEXT)
    (one,), (other,) = alone.read([broken, without], [[(ANNA, NASA)]] * 2)
    assert one.sources == other.sources == (True, False, False)
    assert (one.picture.status, other.picture.status) == ("unreadable", "none")
    np.testing.assert_allclose(one.emissions, other.emissions, atol=1e-6)


def test_what_is_the_same_in_the_tagger_is_borrowed(folders, monkeypatch):
    tagger = Reader(folders[0])
    borrowing = RelationReader(folders[1], lender=tagger.network)
    posts = [Post(1, TEXT, image=picture(), alt_text="a square"), Post(2, "lol", image=picture("blue"))]
    found = tagger.network.read_sources(posts, 8)
    pictures = spy(monkeypatch, tagger.network.sessions, "picture")
    (reading,), _ = borrowing.read(posts, [[(ANNA, NASA)], []], known=borrowing.network.same(found))
    assert pictures == []
    assert borrowing.network.sessions.opened == ("fusion",)
    ((plain,),) = RelationReader(folders[1]).read(posts[:1], [[(ANNA, NASA)]])
    np.testing.assert_allclose(reading.emissions, plain.emissions, atol=1e-6)
    assert reading.sources == plain.sources


def test_what_differs_is_read_anew(folders, tmp_path):
    other = shutil.copytree(folders[1].path, tmp_path / "other")
    with (other / "picture.onnx").open("ab") as stream:
        stream.write(b"\x72\x00")  # an empty metadata field more: the same graph, another file
    seal(other)
    tagger = Reader(folders[0])
    reader = RelationReader(open_folder(other), lender=tagger.network)
    posts = [Post(1, TEXT, image=picture(), alt_text="a square")]
    known = tagger.network.read_sources(posts, 8)
    ((reading,),) = reader.read(posts, [[(ANNA, NASA)]], known=reader.network.same(known))
    assert set(reader.network.sessions.opened) == {"picture", "fusion"}
    ((plain,),) = RelationReader(folders[1]).read(posts, [[(ANNA, NASA)]])
    np.testing.assert_allclose(reading.emissions, plain.emissions, atol=1e-6)


def test_a_tagger_that_looks_at_nothing_lends_no_sources(folders, tmp_path):
    blind = open_folder(tiny_model.build(tmp_path / "blind", sources=("text",), evidence=False))
    tagger = Reader(blind)
    posts = [Post(1, TEXT, image=picture(), alt_text="a square")]
    known = tagger.network.read_sources(posts, 8)
    reader = RelationReader(folders[1], lender=tagger.network)
    ((reading,),) = reader.read(posts, [[(ANNA, NASA)]], known=reader.network.same(known))
    assert reading.sources == (True, True, True)


def test_a_cache_changes_nothing(folders, tmp_path):
    posts = [Post(1, TEXT, image=picture("teal"))]
    plain = RelationReader(folders[1]).read(posts, [[(ANNA, NASA)]])[0][0]
    for _ in range(2):
        cache = FeatureCache(tmp_path, folders[1].picture_fingerprint)
        kept = RelationReader(folders[1], cache=cache).read(posts, [[(ANNA, NASA)]])[0][0]
        np.testing.assert_array_equal(kept.emissions, plain.emissions)


def test_verdicts_are_the_softmax_over_what_fits(alone):
    post = Post(1, TEXT, alt_text="two faces")
    (readings,) = alone.read([post], [[(ANNA, NASA), (NASA, ANNA)]])
    scores = readings[0].emissions.astype(float)
    verdict, reversed_ = alone.judge_typed(readings)
    assert verdict.label == "/per/org/member_of"
    fitting = np.exp(scores[[0, 1]])
    assert verdict.chance == pytest.approx(fitting[1] / fitting.sum())
    assert (reversed_.label, reversed_.chance) == ("None", 1.0)
    unknown = dataclasses.replace(readings[0], head=Argument(0, 2), tail=Argument(3, 4))
    (free,) = alone.judge_typed([unknown])
    (guessed,) = alone.judge([readings[0]])  # where types are a guess they forbid nothing
    assert guessed[:2] == free[:2]
    assert free.scores.tolist() == scores.tolist()
    among = np.exp(scores[[0, guessed.number]])  # but how sure, is asked among what its own types allow
    assert guessed.chance == pytest.approx(among[1] / among.sum())
    assert np.flatnonzero(np.isfinite(guessed.scores)).tolist() == [0, guessed.number]
    assert free.chance == pytest.approx(np.exp(scores).max() / np.exp(scores).sum())
    (said,) = SoftmaxAt(1.25).judge(free.scores[None], [free.number])
    tempered = np.exp(scores / 1.25)
    assert said.confidence == pytest.approx(tempered.max() / tempered.sum())
    assert (said.review, said.candidates) == (None, None)


def test_long_posts_keep_the_surroundings_of_both_arguments(alone):
    # "0" is what speaks against any relation: near an argument it is read, far from both it is not.
    def verdict(text: str) -> str:
        words = [text[a:b] for a, b in segment(text)]
        anna, nasa = words.index("Anna"), words.index("NASA")
        pair = (Argument(anna, anna + 1, "PER"), Argument(nasa, nasa + 1, "ORG"))
        return alone.judge_typed(alone.read([Post(1, text)], [[pair]])[0])[0].label

    far = "x " * 300
    assert verdict(f"Anna y {far} y NASA") == "/per/org/member_of"
    assert verdict(f"Anna y {far} 0 {far} y NASA") == "/per/org/member_of"
    assert verdict(f"Anna y {far} y 0 NASA") == "None"
    assert verdict(f"{far} 0 Anna y {far} y NASA") == "None"


def test_a_tagger_is_no_relation_model(folders):
    with pytest.raises(ModelError, match="the model is for entities; expected a relation model"):
        RelationReader(folders[0])
