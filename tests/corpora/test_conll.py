from __future__ import annotations

from pathlib import Path

import pytest

from twofold.corpora import WNUT_TYPES, open_corpus
from twofold.corpora.attachments import Attachments
from twofold.corpora.conll import read_conll
from twofold.posts import Post, Rejected


def read(folder: Path, content: str, **options) -> list[Post | Rejected]:
    path = folder / "file.conll"
    path.write_bytes(content.encode())
    return list(read_conll(path, **options))


def spans(post: Post) -> list[tuple[str, str]]:
    return [(entity.text, entity.type) for entity in post.entities]


def test_two_columns(tmp_path):
    one, two = read(tmp_path, "Ada\tB-person\nL.\tI-person\n\t\nTurin\tB-location\n\n")
    assert spans(one) == [("Ada L.", "person")]
    assert spans(two) == [("Turin", "location")]
    assert (one.id, two.id, two.origin) == ("file.conll#1", "file.conll#4", f"{tmp_path}/file.conll:4")
    assert one.image is None


def test_types_are_renamed_on_request(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text("Ada\tB-person\nGoods\tB-corporation\n")
    (post,) = open_corpus(path, types=WNUT_TYPES)
    assert spans(post) == [("Ada", "PER"), ("Goods", "ORG")]


def test_an_empty_token_outside_entities_is_left_out(tmp_path):
    one, two = read(tmp_path, "Ada\tB-PER\n\tO\nL.\tI-PER\n\n\tO\n\n")
    assert (one.text, spans(one)) == ("Ada L.", [("Ada L.", "PER")])
    assert (two.text, two.tokens, two.entities) == ("", (), ())


def test_an_empty_token_of_an_entity_is_rejected(tmp_path):
    (bad,) = read(tmp_path, "Ada\tB-PER\n\tI-PER\n\n")
    assert bad.reason.startswith("line 2 has no token")


def test_of_two_annotations_the_first_is_read(tmp_path):
    (post,) = read(tmp_path, "a\tO\tB-PER\nTurin\tB-location\tO\nb\tO\n")
    assert spans(post) == [("Turin", "location")]


def test_columns_of_conll_2003(tmp_path):
    content = "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n. . O O\n"
    (post,) = read(tmp_path, content)
    assert (post.text, spans(post)) == ("EU rejects .", [("EU", "ORG")])


def test_a_no_break_space_and_a_number_sign_are_tokens(tmp_path):
    (post,) = read(tmp_path, "\u00a0\tO\n#\tO\n#fun\tO\n# a\tB-PER\n")
    assert post.text == "\u00a0 # #fun # a"
    assert spans(post) == [("# a", "PER")]


def test_comments_hold_id_picture_and_alternative_text(tmp_path):
    content = (
        '# id = 12\n# image = "p/a.jpg"\n# alt_text = "a\\tdog"\n# other = x\nHi\tO\n\n# id = ada\nHo\tO\n'
    )
    one, two = read(tmp_path, content)
    assert (one.id, one.image, one.alt_text) == (12, tmp_path / "p/a.jpg", "a\tdog")
    assert (two.id, two.image, two.alt_text) == ("ada", None, None)


def test_pictures_beside_the_corpus(tmp_path):
    attachments = Attachments(tmp_path / "p", None, {"a.jpg": "a dog"})
    (post,) = read(tmp_path, '# image = "a.jpg"\nHi\tO\n', attachments=attachments)
    assert (post.image, post.alt_text) == (tmp_path / "p/a.jpg", "a dog")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("alone", "line 3 has no second column"),
        ("\tB-PER", "line 3 has no token"),
        ("a\tXX", "line 3 has the tag 'XX'"),
        ("a\t", "line 3 has the tag ''"),
    ],
)
def test_a_bad_block_is_rejected(tmp_path, row, reason):
    before, bad, after = read(tmp_path, f"a\tO\n\n{row}\n\nc\tO\n")
    assert (before.text, after.text) == ("a", "c")
    assert isinstance(bad, Rejected)
    assert reason in bad.reason


REAL = {
    "wnut17train.conll": (3394, 1975),
    "emerging.dev.conll": (1009, 836),
    "emerging.test.annotated": (1287, 1079),
}


@pytest.mark.parametrize("name", REAL)
def test_counts_of_wnut17(shared, name):
    posts = list(open_corpus(shared / "data/wnut17" / name))
    entities = [entity for post in posts for entity in post.entities]
    assert (len(posts), len(entities)) == REAL[name]
    assert {entity.type for entity in entities} == {"PER", "LOC", "ORG", "MISC"}


def test_the_six_types_of_wnut17_can_be_kept(shared):
    posts = open_corpus(shared / "data/wnut17/emerging.dev.conll", types={})
    assert {entity.type for post in posts for entity in post.entities} == set(WNUT_TYPES)


@pytest.mark.parametrize(
    ("comment", "reason"),
    [
        ('# id = "\\ud800"', "id has half of a surrogate pair"),
        ('# alt_text = "\\udc00"', "alt_text has half"),
        ('# image = "a\\u0000"', "image has a NUL character"),
    ],
)
def test_comments_that_no_output_can_hold_are_rejected(tmp_path, comment, reason):
    (bad,) = read(tmp_path, f"{comment}\nHi\tO\n")
    assert bad.reason.startswith(reason)


@pytest.mark.parametrize("written", ["[" * 100_000, "true", "1.5", "{}"])
def test_an_id_that_is_not_a_string_or_whole_number_is_kept_as_text(tmp_path, written):
    (post,) = read(tmp_path, f"# id = {written}\nHi\tO\n")
    assert post.id == written


def test_lines_that_end_in_carriage_returns_alone_lose_no_token(tmp_path):
    (bad,) = read(tmp_path, "Ada\tB-PER\rNora\tB-PER\r\r")
    assert "B-PER\\r" in bad.reason
