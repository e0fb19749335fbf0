from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from twofold.corpora import open_corpus, parse_post
from twofold.corpora.bio import join
from twofold.corpora.convert import convert, to_record
from twofold.posts import Entity, Post, RefusedPicture, Rejected, Relation

TEXT = "Ada in Turin !"
ADA, TURIN = Entity(0, 3, "Ada", "PER"), Entity(7, 12, "Turin", "LOC", well_formed=False)
TOKENS = ((0, 3), (4, 6), (7, 12), (13, 14))
FULL = Post("7", TEXT, TOKENS, None, "a woman", (ADA, TURIN), (Relation(ADA, TURIN, "/per/loc/place"),))


def round_trip(posts: list[Post], to: str, folder: Path, **options: bool) -> list[Post]:
    target = folder / "out.x"
    assert convert(posts, target, to).exit_code == 0
    back = open_corpus(target, **options)
    return [dataclasses.replace(post, origin="", picture_name="") for post in back]


def losses(post: Post, to: str, folder: Path) -> set[str]:
    return set(convert([post], folder / "out", to).losses)


def test_json_lines_hold_all_fields_of_a_post(tmp_path):
    raw = Post(3, "😀 \u2028\x00", image=b"\x89PNG")
    empty = Post("e", "", (), entities=())
    assert round_trip([FULL, raw, empty], "jsonl", tmp_path) == [FULL, raw, empty]


def test_the_path_of_a_picture_is_relative_to_the_new_file(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    record = to_record(Post(1, "a", image=tmp_path / "in" / "a.jpg"), tmp_path / "out")
    assert record["image"] == "../in/a.jpg"
    post = Post(1, "a", image=tmp_path / "in" / "a.jpg")
    (back,) = round_trip([post], "jsonl", tmp_path / "out", allow_outside=True)
    assert back.image.resolve() == post.image.resolve()


@pytest.mark.parametrize(("folder", "outside"), [("in", 0), (".", 0), ("out", 1)])
def test_pictures_that_readers_would_refuse_are_counted(tmp_path, folder, outside):
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    post = Post(1, "a", image=tmp_path / "in" / "a.jpg")
    target = tmp_path / folder / "out.jsonl"
    assert convert([post], target, "jsonl").outside == outside
    (back,) = open_corpus(target)
    assert isinstance(back.image, RefusedPicture) == bool(outside)


def test_imgid_blocks_hold_tokens_and_labels(tmp_path):
    post = dataclasses.replace(FULL, alt_text=None, relations=None)
    assert round_trip([post], "imgid", tmp_path) == [post]
    assert (tmp_path / "out.x").read_text(encoding="utf-8").splitlines()[3] == "Turin\tI-LOC"
    assert losses(post, "imgid", tmp_path) == set()


def test_columns_hold_ids_pictures_and_alternative_texts_as_well(tmp_path):
    one = dataclasses.replace(
        FULL, id=12, relations=None, alt_text="two\nlines\t.", image=tmp_path / "a b.jpg"
    )
    two = dataclasses.replace(FULL, id="12", relations=None, alt_text=None)
    assert round_trip([one, two], "conll", tmp_path) == [one, two]
    assert losses(one, "conll", tmp_path) == set()


def test_mnre_holds_relations(tmp_path):
    post = dataclasses.replace(FULL, id="a.jpg#1", alt_text=None, entities=None)
    (back,) = round_trip([post], "mnre", tmp_path)
    assert (back.id, back.text, back.tokens) == (post.id, post.text, post.tokens)
    assert [(r.head.text, r.tail.text, r.type) for r in back.relations] == [
        ("Ada", "Turin", "/per/loc/place")
    ]


TOKEN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n\r"), min_size=1, max_size=5)


@given(
    st.lists(st.tuples(TOKEN, st.booleans()), min_size=1, max_size=6),
    st.sampled_from(["jsonl", "imgid", "conll"]),
)
@example(words=[("{", False)], to="conll")
def test_any_tokens_and_labels_survive_a_round_trip(tmp_path_factory, words, to):
    text, token_spans = join([word for word, _ in words])
    labelled = [span for span, (_, is_entity) in zip(token_spans, words, strict=True) if is_entity]
    entities = tuple(Entity(a, b, text[a:b], "PER") for a, b in labelled)
    post = Post("1", text, token_spans, entities=entities)
    assert round_trip([post], to, tmp_path_factory.mktemp("c")) == [post]


def test_what_imgid_blocks_cannot_hold_is_reported(tmp_path):
    post = dataclasses.replace(FULL, id=7, image=Path("else.jpg"))
    assert losses(post, "imgid", tmp_path) == {
        "alternative texts",
        "relations",
        "pictures that are not named <id>.jpg",
        "whole-number ids, which come back as text",
    }


def test_raw_text_is_split_into_words_and_the_loss_is_reported(tmp_path):
    result = convert([Post("1", "#Ada  rocks")], tmp_path / "out", "imgid")
    assert (tmp_path / "out").read_text(encoding="utf-8") == "IMGID:1\n#\tO\nAda\tO\nrocks\tO\n\n"
    assert set(result.losses) == {
        "white space and invisible characters between the words",
        "missing labels: an unlabelled post is read back as labelled without entities",
    }


def test_entities_and_relations_are_counted_one_by_one(tmp_path):
    post = dataclasses.replace(FULL, entities=FULL.entities * 2, relations=FULL.relations * 3)
    for to, what in (("mnre", "entities"), ("conll", "relations"), ("imgid", "relations")):
        result = convert([post], tmp_path / to, to)
        assert result.losses[what] == len(getattr(post, what)) > 1


def test_entities_that_do_not_fit_the_tokens_are_counted(tmp_path):
    inside, overlap = Entity(1, 3, "da", "PER"), Entity(0, 6, "Ada in", "ORG")
    post = dataclasses.replace(FULL, entities=(ADA, overlap, inside), relations=None, alt_text=None)
    result = convert([post], tmp_path / "out", "imgid")
    assert result.losses["entities that begin or end inside a token"] == 1
    assert result.losses["entities that overlap an earlier one"] == 1
    assert (tmp_path / "out").read_text(encoding="utf-8").count("B-") == 1


UNSUPPORTED = [
    (Post("a\tb", "x", ((0, 1),), entities=()), "imgid", "the id 'a\\tb' holds a TAB or a line end"),
    (Post("", "x", ((0, 1),), entities=()), "imgid", "the id cannot be used as the name of a picture"),
    (Post("1", "x\ty", ((0, 3),), entities=()), "conll", "the token 'x\\ty' holds a TAB"),
    (Post("1", "x", ((0, 1),), entities=(Entity(0, 1, "x", "A\nB"),)), "conll", "the entity type 'A\\nB'"),
    (Post("1", "x", ((0, 1),), entities=()), "mnre", "it has no relation"),
    (
        Post("1", "xy", ((0, 2),), relations=(Relation(Entity(0, 1, "x", ""), Entity(0, 2, "xy", ""), "r"),)),
        "mnre",
        "'x' begins or ends inside a token",
    ),
]


@pytest.mark.parametrize(("post", "to", "reason"), UNSUPPORTED)
def test_a_post_that_the_target_cannot_hold_is_named_and_the_others_are_written(tmp_path, post, to, reason):
    good = dataclasses.replace(FULL, id="good.jpg#1")
    result = convert([good, post, good], tmp_path / "out", to)
    assert (result.written, result.exit_code) == (2, 1)
    assert reason in result.unsupported[0]


def test_nothing_to_write_leaves_the_target_alone(tmp_path):
    target = tmp_path / "out"
    target.write_bytes(b"old")
    result = convert([Rejected("f:1", "bad", "x")], target, "jsonl")
    assert (result.exit_code, target.read_bytes()) == (2, b"old")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_failure_half_way_leaves_the_target_alone(tmp_path):
    def posts():
        yield FULL
        raise RuntimeError("stop")

    target = tmp_path / "out"
    target.write_bytes(b"old")
    with pytest.raises(RuntimeError):
        convert(posts(), target, "jsonl")
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_record_is_what_parse_post_reads():
    assert parse_post(json.loads(json.dumps(to_record(FULL, Path())))) == FULL


@pytest.mark.parametrize(
    "name", ["twitter2015/valid.txt", pytest.param("twitter2017/train.txt", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("middle_format", ["jsonl", "conll"])
def test_the_real_twitter_files_survive_a_round_trip_byte_for_byte(shared, tmp_path, name, middle_format):
    source = shared / "data" / name
    assert convert(open_corpus(source), tmp_path / "middle", middle_format).losses == {}
    convert(open_corpus(tmp_path / "middle"), tmp_path / "back", "imgid")
    original = source.read_bytes().replace(b"-OTHER\n", b"-MISC\n").rstrip(b"\n")
    assert (tmp_path / "back").read_bytes().rstrip(b"\n") == original


@pytest.mark.slow
def test_the_real_relation_file_survives_a_round_trip_byte_for_byte(shared, tmp_path):
    source = shared / "data/mnre/mnre_val.txt"
    convert(open_corpus(source), tmp_path / "middle", "jsonl")
    convert(open_corpus(tmp_path / "middle"), tmp_path / "back", "mnre")
    assert (tmp_path / "back").read_bytes() == source.read_bytes()


def test_wnut17_keeps_its_posts_through_other_formats(shared, tmp_path):
    posts = list(open_corpus(shared / "data/wnut17/emerging.dev.conll", types={}))
    back = round_trip(posts, "conll", tmp_path)
    assert back == [dataclasses.replace(post, origin="", picture_name="") for post in posts]


@pytest.mark.parametrize("to", ["jsonl", "conll"])
def test_the_names_of_pictures_are_kept_if_no_folder_is_given(tmp_path, to):
    source = tmp_path / "in.txt"
    source.write_text("IMGID:17\nAda\tB-PER\n\n")
    result = convert(open_corpus(source), tmp_path / "out", to)
    assert (result.without_picture, result.losses) == (1, {})
    (tmp_path / "photos").mkdir()
    (post,) = open_corpus(tmp_path / "out", images=tmp_path / "photos")
    assert post.image == tmp_path / "photos" / "17.jpg"


def test_the_name_of_a_picture_of_mnre_is_a_loss_in_imgid(tmp_path):
    post = Post("a.png#3", "x", ((0, 1),), entities=(), picture_name="a.png")
    assert losses(post, "imgid", tmp_path) == {"pictures that are not named <id>.jpg"}
