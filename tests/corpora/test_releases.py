from __future__ import annotations

from dataclasses import replace

import pytest

from twofold.corpora import open_corpus
from twofold.corpora.check import check
from twofold.corpora.convert import convert
from twofold.corpora.releases import (
    RELEASES,
    ContentDigest,
    dataset_of,
    md5_of,
    note_on,
    release_of,
    resembles,
    same_content,
)
from twofold.posts import Entity, Post


def test_every_hash_is_valid_and_different():
    assert all(len(release.md5) == 32 and int(release.md5, 16) for release in RELEASES)
    assert len({release.md5 for release in RELEASES}) == len(RELEASES)


def test_the_held_out_test_sets_are_known():
    held_out = {release.md5: release for release in RELEASES if release.split == "test"}
    twitter = held_out["b9a4d75baa76cb7311bd440fd6215524"]
    assert (twitter.title, twitter.posts, twitter.entities) == ("Twitter-2015", 3257, 5207)
    assert held_out["752689de8750aa04d6b30bae72ee1319"].posts == 1614


REAL = {
    "twitter2015/train.txt": ("Twitter-2015", "train"),
    "twitter2015/valid.txt": ("Twitter-2015", "valid"),
    "twitter2017/train.txt": ("Twitter-2017", "train"),
    "twitter2017/valid.txt": ("Twitter-2017", "valid"),
    "twitter2017/test.txt": ("Twitter-2017", "test"),
    "mnre/mnre_train.txt": ("MNRE", "train"),
    "mnre/mnre_val.txt": ("MNRE", "valid"),
    "wnut17/wnut17train.conll": ("WNUT-17", "train"),
    "wnut17/emerging.dev.conll": ("WNUT-17", "valid"),
    "wnut17/emerging.test.annotated": ("WNUT-17", "test"),
    "btc/btc.train.conll": ("Broad Twitter Corpus", "train"),
    "btc/btc.dev.conll": ("Broad Twitter Corpus", "valid"),
    "tweebank/train.bio": ("Tweebank-NER", "train"),
    "tweebank/dev.bio": ("Tweebank-NER", "valid"),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files_are_recognised(shared, name):
    release = release_of(shared / "data" / name)
    assert (release.title, release.split) == REAL[name]
    assert dataset_of(shared / "data" / name, release) == release.dataset


def test_an_own_file_is_not_a_release(tmp_path):
    path = tmp_path / "My Set-2" / "a.txt"
    path.parent.mkdir()
    path.write_bytes(b"abc")
    assert md5_of(path) == "900150983cd24fb0d6963f7d28e17f72"
    assert release_of(path) is None
    assert dataset_of(path, None) == "myset2"


def test_a_changed_copy_is_recognised_by_its_size():
    assert resembles(4000, 64439).split == "train"
    assert resembles(4000, 64000).split == "train"
    assert resembles(3257, 5).title == "Twitter-2015"
    assert resembles(1000, 50) is None
    assert resembles(12, 64439) is None


def test_the_note_says_what_the_check_cannot_tell():
    note = note_on(resembles(4000, 64439), 6000)
    assert "6000 entities, the original has 6352" in note
    assert "relabelled Twitter-2015 is in circulation" in note
    assert "cannot tell" in note
    assert "relabelled" not in note_on(resembles(3373, 53007), 6049)


def test_of_two_releases_with_as_many_posts_the_nearest_is_chosen():
    assert resembles(723, 11309).split == "valid"
    assert resembles(723, 11330).split == "test"


def content(posts: list[Post]) -> str:
    digest = ContentDigest()
    for post in posts:
        digest.add(post)
    return str(digest)


def test_the_content_digest_is_of_texts_and_entities_in_their_order():
    ada, turin = Post(1, "Ada", entities=(Entity(0, 3, "Ada", "PER"),)), Post(2, "Turin", entities=())
    assert content([ada, turin]) == content([replace(ada, id="x", alt_text="a woman"), turin])
    assert content([ada, turin]) != content([turin, ada])
    assert content([ada]) != content([replace(ada, entities=())])
    assert same_content(content([ada])) is None


@pytest.mark.parametrize("to", ["conll", "jsonl", "imgid"])
def test_a_conversion_of_a_release_is_recognised_by_its_content(shared, tmp_path, to):
    """Twitter-2017 has 723 posts in valid and in test."""
    convert(open_corpus(shared / "data/twitter2017/test.txt"), tmp_path / "copy", to)
    with (tmp_path / "copy").open("ab") as stream:
        stream.write(b"" if to == "jsonl" else b"\n")
    (split,) = check(tmp_path / "copy").splits
    assert split.release is None
    assert split.note.startswith("the texts and entities of Twitter-2017 test, the labels of the UMT release")
