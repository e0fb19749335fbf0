from __future__ import annotations

import pytest

from twofold.corpora.releases import RELEASES, dataset_of, md5_of, note_on, release_of, resembles


def test_every_hash_is_one_and_different():
    assert all(len(release.md5) == 32 and int(release.md5, 16) for release in RELEASES)
    assert len({release.md5 for release in RELEASES}) == len(RELEASES)


def test_the_test_sets_that_are_kept_aside_are_known():
    aside = {release.md5: release for release in RELEASES if release.split == "test"}
    twitter = aside["b9a4d75baa76cb7311bd440fd6215524"]
    assert (twitter.title, twitter.posts, twitter.entities) == ("Twitter-2015", 3257, 5207)
    assert aside["752689de8750aa04d6b30bae72ee1319"].posts == 1614


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
}


@pytest.mark.parametrize("name", REAL)
def test_real_files_are_recognised(shared, name):
    release = release_of(shared / "data" / name)
    assert (release.title, release.split) == REAL[name]
    assert dataset_of(shared / "data" / name, release) == release.dataset


def test_a_file_of_ones_own_is_none(tmp_path):
    path = tmp_path / "My Set-2" / "a.txt"
    path.parent.mkdir()
    path.write_bytes(b"abc")
    assert md5_of(path) == "900150983cd24fb0d6963f7d28e17f72"
    assert release_of(path) is None
    assert dataset_of(path, None) == "myset2"


def test_a_changed_copy_is_told_by_its_size():
    assert resembles(4000, 64439).split == "train"
    assert resembles(4000, 64000).split == "train"
    assert resembles(3257, 5).title == "Twitter-2015"
    assert resembles(1000, 50) is None
    assert resembles(12, 64439) is None


def test_the_note_says_what_cannot_be_known():
    note = note_on(resembles(4000, 64439), 6000)
    assert "6000 entities, the original has 6352" in note
    assert "relabelled Twitter-2015 is in circulation" in note
    assert "cannot tell" in note
    assert "relabelled" not in note_on(resembles(3373, 53007), 6049)
