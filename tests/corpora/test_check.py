from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from twofold.console.data_check import show
from twofold.corpora.check import check, to_dict
from twofold.errors import DataError

TRAIN = """IMGID:1
Ada\tB-PER
in\tO
Turin\tI-LOC

IMGID:2
Hot\tB-OTHER
\u00a0\tO
\ufffd\tO
\u200b\tO

IMGID:3
Ada\tB-LOC
in\tO
Turin\tB-LOC

IMGID:4
broken

"""
VALID = "IMGID:5\nAda\tO\nin\tO\nTurin\tO\n\n"


@pytest.fixture
def folder(tmp_path) -> Path:
    data = tmp_path / "data"
    data.mkdir()
    (data / "train.txt").write_bytes(TRAIN.encode())
    (data / "valid.txt").write_bytes(VALID.encode())
    (data / "notes.md").write_bytes(b"Some notes.\n")
    return data


@pytest.fixture
def images(tmp_path) -> Path:
    images = tmp_path / "images"
    images.mkdir()
    Image.new("RGB", (40, 30), "red").save(images / "1.jpg")
    Image.new("RGB", (300, 300), "red").save(images / "2.jpg")
    whole = (images / "2.jpg").read_bytes()
    (images / "2.jpg").write_bytes(whole[: len(whole) // 2])  # its header stays intact
    return images


def printed(report, width: int = 100) -> str:
    written = io.StringIO()
    show(report, Console(file=written, width=width))
    return written.getvalue()


def test_counts(folder):
    train, valid = check(folder).splits
    assert (train.posts, train.tokens, train.entities, train.entities_strict) == (3, 10, 5, 4)
    assert train.types == {"PER": 1, "LOC": 3, "MISC": 1}
    assert train.types_strict == {"PER": 1, "LOC": 2, "MISC": 1}
    assert (valid.posts, valid.entities, valid.release, valid.note) == (1, 0, None, "")


def test_findings_name_their_lines(folder):
    report = check(folder)
    train, _ = report.splits
    assert train.ill_formed.examples == ["train.txt:4: 'Turin' begins with I-"]
    assert train.duplicates.examples == ["train.txt:12: same text as line 1"]
    assert train.rejected.count == 1
    assert train.rejected.examples[0].startswith("train.txt:17: line 18 has no TAB")
    assert report.shared_texts["train.txt and valid.txt"].examples == ["train.txt:1 and valid.txt:1"]
    assert report.ambiguous.examples == ["'Ada': LOC, PER"]
    assert report.skipped == ["notes.md: the format is not known"]
    assert train.unusual == {
        "replacement characters (U+FFFD)": 1,
        "zero-width and bidirectional characters": 1,
        "tokens of white space only": 1,
    }


def test_pictures_are_decoded_and_named(folder, images):
    report = check(folder / "train.txt", images=images)
    pictures = report.splits[0].pictures
    assert (pictures.named, pictures.posts, pictures.readable) == (3, 3, 1)
    assert [entry.split(":")[0] for entry in pictures.unreadable] == ["2.jpg", "3.jpg"]
    assert report.exit_code == 1
    assert "2.jpg" in printed(report)
    assert "3.jpg" in printed(report)


def test_without_a_folder_pictures_are_not_reported_missing(folder):
    report = check(folder / "valid.txt")
    assert report.splits[0].pictures.unreadable == []
    assert report.exit_code == 0
    assert "give --images DIR" in printed(report)


def test_pictures_that_posts_name_themselves(tmp_path, images):
    lines = [
        {"id": 1, "text": "a", "image": "images/1.jpg"},
        {"id": 2, "text": "b", "image": "images/1.jpg"},
        {"id": 3, "text": "c", "image": "images/none.jpg"},
        {"id": 4, "text": "d", "image": {"base64": "AAAA"}},
    ]
    path = tmp_path / "posts.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    pictures = check(path).splits[0].pictures
    assert (pictures.named, pictures.posts, pictures.readable) == (2, 4, 1)
    assert [entry.split(":")[0] for entry in pictures.unreadable] == ["none.jpg", "picture in posts.jsonl"]


def test_relations_are_counted_by_type_and_other_pairs_are_no_duplicates(tmp_path):
    line = (
        "{'token': ['a', 'b'], 'h': {'name': 'a', 'pos': [0, 1]}, 't': {'name': 'b', 'pos': [1, 2]}, "
        "'img_id': 'x.jpg', 'relation': 'None'}\n"
    )
    other = line.replace("'h'", "'?'").replace("'t'", "'h'").replace("'?'", "'t'")
    (tmp_path / "a.txt").write_bytes((line + other + line.replace("'None'", "'/per/per/peer'")).encode())
    (split,) = check(tmp_path / "a.txt").splits
    assert split.relations == {"None": 2, "/per/per/peer": 1}
    assert split.head_first == {"None": 1, "/per/per/peer": 1}
    assert split.duplicates.count == 1
    assert split.pictures.named == 1


def test_exit_codes(tmp_path, folder):
    assert check(folder / "valid.txt").exit_code == 0
    assert check(folder).exit_code == 1
    (tmp_path / "bad.jsonl").write_text("junk\n", encoding="utf-8")
    assert check(tmp_path / "bad.jsonl").exit_code == 2


def test_nothing_to_check(tmp_path):
    with pytest.raises(DataError, match="no data file in the folder"):
        check(tmp_path)
    with pytest.raises(DataError, match="cannot be opened"):
        check(tmp_path / "nowhere")


def test_a_changed_copy_of_a_known_release_is_reported(tmp_path):
    posts = "".join(f"IMGID:{i}\n" + "a\tO\n" * 16 + "\n" for i in range(3257))
    (tmp_path / "test.txt").write_text(posts, encoding="utf-8")
    report = check(tmp_path / "test.txt")
    assert "as many posts as Twitter-2015 test, but another hash" in report.splits[0].note
    assert "relabelled" in printed(report)


def test_the_report_as_plain_data(folder, images):
    plain = json.loads(json.dumps(to_dict(check(folder, images=images))))
    assert plain["exit_code"] == 1
    assert plain["splits"][0]["types"] == {"PER": 1, "LOC": 3, "MISC": 1}
    assert plain["splits"][0]["rejected"]["count"] == 1


def test_the_printed_report_is_plain_outside_a_terminal_and_accepts_any_text(folder):
    (folder / "valid.txt").write_bytes(b"IMGID:[red]\n[/bold]\tI-[x]\nAda\tB-PER\n\n")
    text = printed(check(folder))
    assert "\x1b" not in text
    assert "'[/bold]' begins with I-" in text


@pytest.mark.slow
def test_the_real_releases(shared):
    report = check(shared / "data/twitter2015")
    train, valid = report.splits
    assert (train.release.split, valid.release.split) == ("train", "valid")
    assert (train.ill_formed.count, valid.ill_formed.count) == (186, 53)
    assert (train.entities, train.entities_strict) == (6352, 6166)
    assert report.shared_texts["train.txt and valid.txt"].count == 2
    assert train.pictures.named == 4000
    assert report.exit_code == 0


@pytest.mark.slow
def test_the_real_relation_data(shared):
    report = check(shared / "data/mnre")
    assert [split.posts for split in report.splits] == [12247, 1624]
    assert [split.pictures.named for split in report.splits] == [7356, 931]
    assert [split.relations["None"] for split in report.splits] == [7744, 1000]
    # A leak of the data: a pair with the tail before the head is hardly ever of the class None.
    assert [split.head_first["None"] for split in report.splits] == [7708, 997]
    expected = (
        "the head comes first in 7,708 of 7,744 pairs without a relation, and in 3,112 of 4,503 with one: "
        "the order"
    )
    assert expected in printed(report)
    assert report.shared_texts["mnre_train.txt and mnre_val.txt"].count == 5


@pytest.mark.slow
def test_the_real_pictures(shared):
    report = check(shared / "data/twitter2017", images=shared / "data/pictures/real")
    assert sum(split.pictures.readable for split in report.splits) == 15
    assert report.exit_code == 1


def test_iob1_is_reported_and_none_of_its_entities_is_ill_formed(tmp_path):
    (tmp_path / "a.conll").write_text("Nora\tI-PER\nAda\tB-PER\nin\tO\nTurin\tI-LOC\n\n")
    report = check(tmp_path / "a.conll")
    (split,) = report.splits
    assert (split.scheme, split.entities, split.entities_strict, split.ill_formed.count) == ("IOB1", 3, 3, 0)
    assert "tags are IOB1" in printed(report)


def test_entities_that_begin_or_end_inside_a_word_are_shown(tmp_path):
    lines = [
        '{"id": 1, "text": "Ada in Turin", "label": [[0, 2, "PER"], [7, 12, "LOC"]]}',
        '{"id": 2, "text": "Ada in Turin", "label": [[0, 4, "PER"]]}',
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    report = check(tmp_path / "a.jsonl")
    (split,) = report.splits
    assert split.misaligned.count == 2
    assert split.misaligned.examples == ["a.jsonl:1: 'Ad' in 'Ada'", "a.jsonl:2: 'Ada ' in 'Ada '"]
    assert "begin or end inside a word (no prediction can match them): 2" in printed(report)


def test_a_file_without_labels_is_reported(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"id": 1, "text": "Ada", "label": "happy"}\n')
    report = check(tmp_path / "a.jsonl")
    assert report.splits[0].labelled == 0
    assert "no labelled post" in printed(report)


def test_texts_of_several_folders_are_compared_despite_different_preprocessing(tmp_path):
    for name, text in {
        "a/x": "Hi , @ada : see Turin !",
        "b/x": "RT @bob: hi see TURIN http://t.co/a",
    }.items():
        (tmp_path / name).parent.mkdir()
        rows = "".join(f"{token}\tO\n" for token in text.split())
        (tmp_path / name).write_text(f"{rows}\tO\n")
    report = check(tmp_path / "a", tmp_path / "b" / "x")
    assert report.shared_texts == {}
    assert report.alike_texts["a/x and b/x"].count == 1
    assert [split.empty_tokens for split in report.splits] == [1, 1]
    text = printed(report)
    assert "texts that differ only in case, links, mentions and punctuation in a/x and b/x: 1" in text
    assert "empty tokens: 1 (left out)" in text


def test_entities_that_overlap_are_shown(tmp_path):
    spans = [{"start": 0, "end": 9, "type": "PER"}, {"start": 5, "end": 9, "type": "LOC"}]
    spans += [{"start": 13, "end": 18, "type": "LOC"}, {"start": 8, "end": 12, "type": "ORG"}]
    post = {"id": 1, "text": "Nora Berg in Turin", "entities": spans}
    (tmp_path / "a.jsonl").write_text(json.dumps(post) + "\n" + json.dumps(post | {"entities": spans[1:3]}))
    report = check(tmp_path / "a.jsonl")
    (split,) = report.splits
    assert split.overlapping.examples == [
        "a.jsonl:1: 'Berg' (LOC) overlaps 'Nora Berg' (PER)",
        "a.jsonl:1: 'g in' (ORG) overlaps 'Nora Berg' (PER)",
    ]  # fmt: skip
    assert report.exit_code == 0
    assert "entities that overlap another one (training learns at most one of them): 2" in printed(report)
    assert "every record can be used, but not every entity (2 overlapping entities)" in printed(report)
