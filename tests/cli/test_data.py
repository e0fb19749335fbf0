from __future__ import annotations

import json
from pathlib import Path

import pytest

from twofold.cli.main import main

POSTS = '{"id": 1, "tokens": ["Ada", "!"], "entities": [{"start": 0, "end": 3, "type": "PER"}]}\n'


def twofold(*arguments: object) -> int:
    return main(["data", *map(str, arguments)])


@pytest.fixture
def posts(tmp_path) -> Path:
    path = tmp_path / "posts.jsonl"
    path.write_text(POSTS, encoding="utf-8")
    return path


def test_check_prints_and_writes_a_report(posts, tmp_path, capsys):
    assert twofold("check", posts, "--json", tmp_path / "report.json") == 0
    out, err = capsys.readouterr()
    assert "no known release (jsonl" in out
    assert "1 post, 2 tokens, 1 entity (lenient), 1 by B- tags (strict)" in out
    assert "every record can be used" in out
    assert err == ""
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["splits"][0]["types"] == {
        "PER": 1
    }


def test_draw_writes_a_valid_data_set_and_overwrites_none(tmp_path, capsys):
    target = tmp_path / "drawn"
    assert twofold("draw", target, "--pairs", 2, "--task", "relations") == 0
    assert len((target / "train.jsonl").read_text().splitlines()) == 6
    assert twofold("check", target / "mismatched.jsonl") == 0
    assert "every record can be used" in capsys.readouterr().out
    assert twofold("draw", target) == 2
    assert "already exists" in capsys.readouterr().err
    assert twofold("draw", tmp_path / "other", "--pairs", 0) == 2
    (tmp_path / "file").touch()
    capsys.readouterr()
    assert twofold("draw", tmp_path / "file" / "set") == 2
    assert f"{tmp_path / 'file'}" in (error := capsys.readouterr().err)
    assert "cannot be written: Not a directory; expected a new folder inside" in error


def test_check_reports_what_cannot_be_used(posts, capsys):
    posts.write_text(POSTS + '{"id": 2}\n{"id": 3, "text": "a", "image": "none.jpg"}\n', encoding="utf-8")
    assert twofold("check", posts) == 1
    out = capsys.readouterr().out
    assert "posts.jsonl:2: text is missing" in out
    assert "none.jpg: " in out
    assert "1 record and 1 picture cannot be used" in out


def test_check_of_nothing(tmp_path, capsys):
    assert twofold("check", tmp_path / "nowhere") == 2
    err = capsys.readouterr().err
    assert "nowhere: cannot be opened: No such file or directory; expected a data file" in err
    (tmp_path / "bad.jsonl").write_text("junk\n", encoding="utf-8")
    assert twofold("check", tmp_path / "bad.jsonl") == 2
    assert "nothing could be read" in capsys.readouterr().out


def test_convert(posts, tmp_path, capsys):
    assert twofold("convert", posts, tmp_path / "out.txt", "--to", "imgid") == 0
    assert (tmp_path / "out.txt").read_text(encoding="utf-8") == "IMGID:1\nAda\tB-PER\n!\tO\n\n"
    out, err = capsys.readouterr()
    assert out == f"1 post written to {tmp_path / 'out.txt'}\n"
    assert err == "not kept in imgid: whole-number ids, which come back as text (1)\n"


def test_convert_warns_of_pictures_outside_the_folder_of_the_new_file(tmp_path, capsys):
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    posts = tmp_path / "in" / "posts.jsonl"
    posts.write_text('{"id": 1, "text": "Ada", "image": "a.jpg"}\n', encoding="utf-8")
    assert twofold("convert", posts, tmp_path / "out" / "new.jsonl", "--to", "jsonl") == 0
    err = capsys.readouterr().err
    assert "1 post with a picture outside the folder of new.jsonl" in err
    assert "--allow-outside" in err


def test_convert_writes_unreadable_records_to_the_rejects(posts, tmp_path, capsys):
    posts.write_text("junk\n" * 7 + POSTS, encoding="utf-8")
    rejects = tmp_path / "rejects.jsonl"
    assert twofold("convert", posts, tmp_path / "out.txt", "--to", "conll", "--rejects", rejects) == 1
    lines = [json.loads(line) for line in rejects.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 7
    assert lines[0]["raw"] == "junk"
    assert "not JSON" in lines[0]["reason"]
    err = capsys.readouterr().err
    assert err.count("rejected: ") == 6
    assert "rejected: 2 more" in err


def test_convert_maps_wnut17_types_on_request(tmp_path):
    source = tmp_path / "w.conll"
    source.write_text("Ada\tB-person\n", encoding="utf-8")
    assert twofold("convert", source, tmp_path / "a", "--to", "conll") == 0
    assert "B-person" in (tmp_path / "a").read_text(encoding="utf-8")
    assert twofold("convert", source, tmp_path / "a", "--to", "conll", "--wnut-types") == 0
    assert "B-PER" in (tmp_path / "a").read_text(encoding="utf-8")


def test_convert_of_nothing_and_onto_itself(posts, tmp_path, capsys):
    assert twofold("convert", posts, tmp_path / "out.txt", "--to", "mnre") == 2
    error = capsys.readouterr().err
    assert "no post to write" in error
    assert f"cannot be written: {posts}:1: it has no relation, and MNRE holds nothing else" in error
    assert not (tmp_path / "out.txt").exists()
    assert twofold("convert", posts, posts, "--to", "jsonl") == 2
    assert "is the same file as one that is read" in capsys.readouterr().err
    assert posts.read_text(encoding="utf-8") == POSTS
    assert twofold("convert", posts, tmp_path / "nowhere" / "out", "--to", "jsonl") == 2
    assert f"cannot be written: the folder {tmp_path / 'nowhere'} does not exist" in capsys.readouterr().err


def test_an_unknown_format_is_refused(posts, capsys):
    with pytest.raises(SystemExit) as error:
        twofold("convert", posts, "out", "--to", "xml")
    assert error.value.code == 2
    assert "invalid choice: 'xml'" in capsys.readouterr().err


@pytest.mark.parametrize("action", [("check",), ("convert",)])
def test_names_and_labels_cannot_control_the_terminal(tmp_path, monkeypatch, capsys, action):
    monkeypatch.chdir(tmp_path)
    more = ["out.jsonl", "--to", "jsonl"] if action == ("convert",) else []
    assert twofold(*action, "\x1b[31mgone\n.jsonl", *more) == 2
    name, escape = "\x1b[2Jposts.jsonl", "\\u001b[31mX"
    (tmp_path / name).write_text(
        f'{{"id": 1, "text": "Ada", "entities": [{{"start": 0, "end": 3, "type": "{escape}"}}]}}\n'
        f'{{"id": 2, "text": "Ada", "entities": [{{"start": 0, "end": 3, "type": "B"}}]}}\njunk{escape}\n',
        encoding="utf-8",
    )
    twofold(*action, name, *more)
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert "\\x1b[31mgone\\n.jsonl: cannot be opened" in err


def test_an_output_that_names_a_folder_is_refused(posts, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        twofold("check", posts, "--json", f"{tmp_path}/new/")
    assert "names a folder; expected a file" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
