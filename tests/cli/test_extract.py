"""``twofold extract`` as users run it, with the mistakes that they make."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny_model
from PIL import Image

from twofold.cli.main import main


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model.build(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def extract(model, tmp_path, monkeypatch):
    """Runs the command in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments) -> int:
        return main(["extract", "--model", str(model), *map(str, arguments)])

    return run


def write(path: Path, *lines: object) -> Path:
    rows = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    path.write_bytes(b"\n".join(rows) + b"\n")
    return path


def read(path: Path | str) -> list[dict]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def picture(path: Path) -> Path:
    Image.new("RGB", (40, 30), "red").save(path)
    return path


def test_a_file_to_a_file(extract, tmp_path, capsys):
    picture(tmp_path / "red.png")
    posts = write(
        tmp_path / "posts.jsonl",
        {"id": "a", "text": "Anna left paris", "image": "red.png", "alt_text": "a square"},
        {"id": 2, "text": "nothing here"},
    )
    assert extract(posts, "-o", "out.jsonl") == 0
    first, second = read("out.jsonl")
    assert [entity["text"] for entity in first["entities"]] == ["Anna", "paris"]
    assert set(first["entities"][0]["sources"]) == {"text", "picture", "alt_text"}
    assert first["picture"] == {"status": "read", "reason": ""}
    assert second == {
        "id": 2, "text": "nothing here", "entities": [], "relations": [],
        "picture": {"status": "none", "reason": ""}, "model": "tiny",
    }  # fmt: skip
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "2 posts, 2 entities, 0 pictures unreadable, 0 lines rejected" in shown.err
    assert not list(tmp_path.glob("*.part"))


def test_standard_output_is_json_lines_without_a_terminal(extract, tmp_path, capsys):
    assert extract(write(tmp_path / "posts.jsonl", {"id": 1, "text": "Anna"})) == 0
    assert json.loads(capsys.readouterr().out)["entities"][0]["type"] == "PER"


def test_one_post_from_the_command_line(extract, tmp_path, capsys):
    image = picture(tmp_path / "red.png")
    assert extract("--text", "Anna left", "--image", image, "--alt-text", "a square") == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["picture"]["status"] == "read"
    assert shown.err == ""


def test_a_text_from_the_command_line_is_utf_8_in_any_locale(extract, capsys):
    """In a locale without UTF-8, Python passes each byte as a lone surrogate."""
    given = "Anna 😀".encode().decode("ascii", "surrogateescape")
    assert extract("--text", given) == 0
    assert json.loads(capsys.readouterr().out)["text"] == "Anna 😀"
    assert extract("--text", "a\udcff") == 2
    assert "--text is not UTF-8: byte 0xff at position 1" in capsys.readouterr().err


def test_standard_input(extract, monkeypatch, capsys):
    lines = b'{"id": 1, "text": "Anna"}\nnot json\n{"id": 2, "text": "Bob"}\n'
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines)))
    assert extract("-") == 1
    shown = capsys.readouterr()
    assert [json.loads(line)["id"] for line in shown.out.splitlines()] == [1, 2]
    assert "<stdin>:2: rejected: the line is not JSON" in shown.err


def test_a_table(extract, tmp_path, capsys):
    posts = write(
        tmp_path / "posts.jsonl",
        {"id": "[bold]x", "text": "Anna left\x1b[31m paris", "alt_text": "a square"},
        {"id": 2, "text": "nothing", "image": "gone.png"},
    )
    assert extract(posts, "--table", "-o", "out.jsonl") == 0
    table = capsys.readouterr().out
    for expected in ("Anna", "PER", "alt", "\\x1b[31m"):
        assert expected in table
    assert "\x1b[31m" not in table
    assert "[bold]x" in table
    assert "picture unreadable: file not found" in table
    assert "(no entity)" in table
    assert len(read("out.jsonl")) == 2


def test_a_terminal_gets_a_table(extract, monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert extract("--text", "Anna") == 0
    assert "entity" in capsys.readouterr().out


def test_a_report(extract, tmp_path):
    posts = write(tmp_path / "posts.jsonl", {"id": 1, "text": "Anna left"}, b"no json")
    assert extract(posts, "-o", "out.jsonl", "--report", "report.html") == 1
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Anna" in page
    assert "not JSON" in page


def test_a_corpus_format_with_pictures_and_alt_texts(extract, tmp_path):
    (tmp_path / "photos").mkdir()
    picture(tmp_path / "photos" / "7.jpg")
    (tmp_path / "alt.tsv").write_text("image\tcaption\n7.jpg\ta red square\n", encoding="utf-8")
    (tmp_path / "posts.txt").write_text("IMGID:7\nAnna\tB-PER\nleft\tO\n\n", encoding="utf-8")
    assert extract("posts.txt", "-o", "out.jsonl", "--images", "photos", "--alt-text-file", "alt.tsv") == 0
    assert set(read("out.jsonl")[0]["entities"][0]["sources"]) == {"text", "picture", "alt_text"}


BAD = [
    b"",
    b"not json",
    b"[1, 2]",
    b'{"id": 1',
    {"text": "no id"},
    {"id": 1},
    {"id": 1, "text": 7},
    {"id": 1.5, "text": "x"},
    {"id": 1, "text": "Anna", "entities": [{"start": 0, "end": 9, "type": "PER"}]},
    {"id": 1, "text": "x", "image": 5},
    {"id": 1, "text": "x", "alt_text": ["a"]},
    b'{"id": 1, "text": "\xff"}',
    b'{"id": 1, "text": "\\ud800"}',
    b"[" * 100_000,
]


def test_bad_lines_are_rejected_and_the_others_extracted(extract, tmp_path, capsys):
    good = [{"id": f"good {i}", "text": "Anna left"} for i in range(len(BAD))]
    lines = [line for pair in zip(BAD, good, strict=True) for line in pair]
    posts = write(tmp_path / "posts.jsonl", *lines)
    assert extract(posts, "-o", "out.jsonl", "--rejects", "bad.jsonl") == 1
    out, bad = read("out.jsonl"), read("bad.jsonl")
    assert [row["id"] for row in out] == [post["id"] for post in good]
    assert len(out) + len(bad) == len(lines)
    assert [row["origin"] for row in bad] == [f"{posts}:{2 * i + 1}" for i in range(len(BAD))]
    assert all(row["reason"] for row in bad)
    shown = capsys.readouterr().err
    assert shown.count(": rejected: ") == 10
    assert f"{len(BAD)} lines rejected" in shown
    assert "Traceback" not in shown


def test_only_bad_lines_are_code_2_and_leave_an_older_output_alone(extract, tmp_path):
    (tmp_path / "out.jsonl").write_text("older\n", encoding="utf-8")
    posts = write(tmp_path / "posts.jsonl", b"no", b"no")
    assert extract(posts, "-o", "out.jsonl", "--rejects", "bad.jsonl") == 2
    assert (tmp_path / "out.jsonl").read_text(encoding="utf-8") == "older\n"
    assert len(read("bad.jsonl")) == 2
    assert not list(tmp_path.glob("*.part"))


def test_an_empty_file_is_accepted(extract, tmp_path):
    (tmp_path / "posts.jsonl").write_bytes(b"")
    assert extract("posts.jsonl", "-o", "out.jsonl") == 0
    assert (tmp_path / "out.jsonl").read_bytes() == b""


def test_unreadable_pictures_are_named_in_warnings(extract, tmp_path, capsys):
    (tmp_path / "empty.png").write_bytes(b"")
    posts = write(
        tmp_path / "posts.jsonl",
        {"id": 1, "text": "Anna", "image": "empty.png"},
        {"id": 2, "text": "Bob", "image": "gone.png"},
        {"id": 3, "text": ""},
    )
    assert extract(posts, "-o", "out.jsonl") == 0
    shown = capsys.readouterr().err
    assert "posts.jsonl:1 (id 1): picture" in shown
    assert "empty.png unreadable, post extracted without it: the picture is empty" in shown
    assert "gone.png unreadable, post extracted without it: file not found" in shown
    assert "(id 3): the text is empty" in shown
    assert "2 pictures unreadable" in shown
    assert [row["picture"]["status"] for row in read("out.jsonl")] == ["unreadable", "unreadable", "none"]


def test_many_unreadable_pictures_do_not_flood_the_screen(extract, tmp_path, capsys):
    posts = [{"id": i, "text": "Anna", "image": f"{i}.png"} for i in range(60)]
    assert extract(write(tmp_path / "posts.jsonl", *posts), "-o", "out.jsonl") == 0
    shown = capsys.readouterr().err
    assert shown.count("unreadable, post extracted") == 20
    assert "and 40 more" in shown
    assert "60 pictures unreadable" in shown


def test_odd_texts(extract, tmp_path):
    texts = ["😀" * 50, "\u200b\u202eAnna\u202c", "Anna\0left", "x" * 100_000, "a\u2028b\u0085c\r d", " "]
    posts = [{"id": i, "text": text} for i, text in enumerate(texts)]
    assert extract(write(tmp_path / "posts.jsonl", *posts), "-o", "out.jsonl") == 0
    lines = (tmp_path / "out.jsonl").read_bytes().split(b"\n")
    assert [json.loads(line)["text"] for line in lines[:-1]] == texts


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no posts were given"),
        (["--image", "x.jpg"], "a picture without a text; expected --text"),
        (["posts.jsonl", "--text", "Anna"], "both a file and --text"),
        (["Nora Berg left"], "Nora Berg left: cannot be opened: No such file"),
        (["Nora Berg left"], "check the path; if it is the text of a post, give it with --text"),
        (["gone.jsonl"], "gone.jsonl: no such file or folder"),
        (["gone/*.jsonl"], "gone/*.jsonl: matches no file"),
        (["posts.jsonl", "--workers", "0"], "--workers is 0; expected a number above 0"),
        (["posts.jsonl", "--workers", "2"], "--workers needs files as input and -o as output"),
        (["posts.jsonl", "-o", "out.parquet", "--table"], "the output must be one file of JSON Lines"),
        (
            ["posts.jsonl", "-o", "out.xlsx"],
            "out.xlsx: the format .xlsx is not written; expected a name that",
        ),
        (["posts.jsonl", "-o", "out.JSON"], "out.JSON: the format .json is not written: JSON Lines are not"),
        (["posts.jsonl", "-o", "out.gz", "--table"], "the format .gz is not written"),
        (["posts.jsonl", "-o", "out", "--format", "xml"], "the format 'xml' is not known"),
        (["posts.jsonl", "--columns", "name=id"], "but name is not a field of a post; expected FIELD="),
        (["posts.jsonl", "--columns", "name=id"], "write id=name"),
        (["posts.jsonl", "--columns", "id=a,id=b"], "expected FIELD=COLUMN, each field once"),
        (["posts.jsonl", "--image", "a.png"], "--image and --alt-text belong to one post"),
        (["--text", "Anna", "--images", "."], "--images and --alt-text-file belong to a file"),
        (["posts.jsonl", "--images", "gone"], "gone: no such folder"),
        (["posts.jsonl", "--alt-text-file", "gone.tsv"], "gone.tsv: no such file"),
        (["posts.jsonl", "-o", "posts.jsonl"], "posts.jsonl: is the same file as one that is read"),
        (["posts.jsonl", "-o", "a", "--rejects", "a"], "a: is another output of the same command"),
        (
            ["posts.jsonl", "-o", "gone/out.jsonl"],
            "gone/out.jsonl: cannot be written: the folder gone does not exist; ",
        ),
        (["posts.jsonl", "-o", "."], ".: holds files but no results of a run"),
        (["posts.jsonl.part", "-o", "posts.jsonl"], "would be written as"),
        (
            ["posts.jsonl", "-o", "a", "--report", "gone/r.html"],
            "gone/r.html: cannot be written: the folder gone does not exist; ",
        ),
        (["posts.jsonl", "--batch-size", "0"], "--batch-size is 0"),
        (["posts.jsonl", "--threads", "-1"], "threads is -1"),
        (["posts.jsonl", "--max-characters", "0"], "max_characters is 0"),
        (["posts.jsonl", "--model", "gone", "--max-error", "1.5"], "--max-error is 1.5; expected a fraction"),
        (["posts.jsonl", "--model", "gone", "--max-error", "nan"], "--max-error is nan; expected a fraction"),
        (["posts.jsonl", "--model", "gone", "--max-relation-error", "0"], "--max-relation-error is 0.0"),
        (
            ["posts.jsonl", "--model", "gone", "--coverage", "1"],
            "--coverage is 1.0; expected a fraction from",
        ),
        (["posts.jsonl", "--model", "gone"], "gone: no such folder; expected a model folder"),
        (["--text", "\ud800"], "--text: "),
    ],
)
def test_mistakes_on_the_command_line(extract, tmp_path, capsys, arguments, message):
    for name in ("posts.jsonl", "posts.jsonl.part"):
        write(tmp_path / name, {"id": 1, "text": "Anna"})
    before = sorted(tmp_path.iterdir())
    assert extract(*arguments) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert sorted(tmp_path.iterdir()) == before
    assert shown.err.count("\n") == 1
    assert shown.out == ""


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), "was interrupted"),
        (lambda folder: (folder / "text.onnx").write_bytes(b"x"), "altered"),
        (lambda folder: (folder / "fusion.onnx").unlink(), "lacks fusion.onnx"),
        (lambda folder: (folder / "config.json").write_text('{"format": 99}'), "install a newer Twofold"),
    ],
)
def test_a_damaged_model_folder(tmp_path, capsys, damage, message):
    folder = tiny_model.build(tmp_path / "model")
    damage(folder)
    assert main(["extract", "--model", str(folder), "--text", "Anna"]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.err.count("\n") == 1


def test_a_name_of_another_format_is_written_where_the_format_is_given(extract, tmp_path):
    posts = write(tmp_path / "posts.jsonl", {"id": 1, "text": "Anna"})
    assert extract(posts, "-o", "out.json", "--format", "jsonl") == 0
    assert json.loads((tmp_path / "out.json").read_bytes())["text"] == "Anna"
    assert extract(posts, "-o", "out.txt") == 0
    assert (tmp_path / "out.txt").read_bytes() == (tmp_path / "out.json").read_bytes()


def test_the_cache_is_used(extract, tmp_path):
    picture(tmp_path / "red.png")
    posts = write(tmp_path / "posts.jsonl", {"id": 1, "text": "Anna", "image": "red.png"})
    for out in ("one.jsonl", "two.jsonl"):
        assert extract(posts, "-o", out, "--cache", "cache") == 0
    assert read("one.jsonl") == read("two.jsonl")
    assert list((tmp_path / "cache").rglob("*.npy"))


def test_special_files_are_written_directly(extract, tmp_path):
    posts = write(tmp_path / "posts.jsonl", {"id": 1, "text": "Anna"}, b"no")
    assert extract(posts, "-o", os.devnull, "--rejects", os.devnull) == 1
    assert not Path(f"{os.devnull}.part").exists()


def test_a_killed_run_does_not_look_finished(model, tmp_path):
    out = tmp_path / "out.jsonl"
    code = "import sys; from twofold.cli.main import entry; entry()"
    child = subprocess.Popen(
        [sys.executable, "-c", code, "extract", "--model", model, "-", "-o", out, "--batch-size", "1"],
        stdin=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    child.stdin.write(b"".join(b'{"id": %d, "text": "Anna"}\n' % i for i in range(2000)))
    child.stdin.flush()
    part, deadline = tmp_path / "out.jsonl.part", time.monotonic() + 30
    while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdin.close()
    assert not out.exists()
    assert part.stat().st_size > 0


def test_memory_does_not_grow_with_rejected_records(tmp_path):
    from twofold.console.outputs import RejectLog
    from twofold.posts import Rejected

    log = RejectLog(None, lambda message: None)
    for i in range(1000):
        log.add(Rejected(f"f:{i}", "bad", "x"))
    assert len(log) == 1000
    assert len(log[:5000]) == RejectLog.KEPT
    assert log[3].origin == "f:3"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_for_the_report_does_not_affect_other_outputs(extract, tmp_path, capsys):
    posts = write(tmp_path / "posts.jsonl", {"id": 1, "text": "Anna"}, b"no")
    assert extract(posts, "-o", "out.jsonl", "--rejects", "no.jsonl", "--report", "/dev/full") == 2
    assert "/dev/full: cannot be written: No space left" in capsys.readouterr().err
    assert (len(read("out.jsonl")), len(read("no.jsonl"))) == (1, 1)
    assert not list(tmp_path.glob("*.part"))


def test_a_file_on_standard_input_is_not_overwritten(model, tmp_path):
    posts = write(tmp_path / "out.jsonl.part", {"id": 1, "text": "Anna"})
    before = Path(posts).read_bytes()
    command = [
        sys.executable,
        "-m",
        "twofold",
        "extract",
        "--model",
        model,
        "-",
        "-o",
        tmp_path / "out.jsonl",
    ]
    with Path(posts).open("rb") as stream:
        done = subprocess.run(command, stdin=stream, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "is being read" in done.stderr
    assert Path(posts).read_bytes() == before


def test_low_confidences_are_left_out(extract, tmp_path):
    posts = write(tmp_path / "posts.jsonl", {"id": 1, "text": "Anna left paris"})
    assert extract(posts, "-o", "all.jsonl") == 0
    (everything,) = read("all.jsonl")
    confidences = sorted(entity["confidence"] for entity in everything["entities"])
    assert len(set(confidences)) == 2
    assert extract(posts, "-o", "some.jsonl", "--min-confidence", str(sum(confidences) / 2)) == 0
    (some,) = read("some.jsonl")
    assert [entity["confidence"] for entity in some["entities"]] == confidences[1:]
    assert extract(posts, "-o", "none.jsonl", "--min-confidence", "1") == 0
    assert read("none.jsonl")[0]["entities"] == []


@pytest.mark.parametrize("value", ["-0.1", "1.5", "nan"])
def test_a_confidence_is_a_fraction(extract, tmp_path, capsys, value):
    write(tmp_path / "posts.jsonl", {"id": 1, "text": "Anna"})
    assert extract("posts.jsonl", f"--min-confidence={value}") == 2
    assert "expected a fraction from 0 to 1" in capsys.readouterr().err


def test_a_long_post_is_rejected_or_allowed(extract, tmp_path, capsys):
    posts = write(tmp_path / "posts.jsonl", {"id": 1, "text": "Anna " * 10}, {"id": 2, "text": "Anna"})
    assert extract(posts, "-o", "out.jsonl", "--max-characters", "49") == 1
    assert "rejected: the post has 50 characters; expected at most 49" in capsys.readouterr().err
    assert [post["id"] for post in read("out.jsonl")] == [2]
    assert extract(posts, "-o", "out.jsonl", "--max-characters", "50") == 0


@pytest.mark.parametrize(
    ("post", "code"),
    [
        ({"id": 1, "text": "Anna"}, 0),
        ({"id": 1, "text": ""}, 0),
        ({"id": 1, "text": "left " * 100}, 1),
        ({"id": 1, "text": "Anna", "image": "gone.png"}, 1),
    ],
)
def test_strict_makes_warnings_a_failure(extract, tmp_path, post, code):
    posts = write(tmp_path / "posts.jsonl", post)
    assert extract(posts, "-o", "out.jsonl") == 0
    assert extract(posts, "-o", "out.jsonl", "--strict") == code
    assert len(read("out.jsonl")) == 1


def test_a_picture_outside_the_folder_is_refused_alone(extract, tmp_path, capsys):
    (tmp_path / "data").mkdir()
    picture(tmp_path / "secret.png")
    picture(tmp_path / "data" / "red.png")
    paths = ["../secret.png", str(tmp_path / "secret.png"), "red.png", "/proc/self/mem"]
    rows = ({"id": i, "text": "Anna", "image": path} for i, path in enumerate(paths))
    posts = write(tmp_path / "data" / "posts.jsonl", *rows)
    assert extract(posts, "-o", "out.jsonl") == 0
    found = [post["picture"] for post in read("out.jsonl")]
    assert [picture["status"] for picture in found] == ["unreadable", "unreadable", "read", "unreadable"]
    assert "leads out of the folder" in found[0]["reason"]
    assert "--allow-outside" in capsys.readouterr().err
    assert extract(posts, "-o", "out.jsonl", "--allow-outside") == 0
    statuses = [post["picture"]["status"] for post in read("out.jsonl")]
    assert statuses == ["read", "read", "read", "unreadable"]


@pytest.mark.parametrize("options", [[], ["--allow-outside"]])
def test_no_output_contains_anything_of_a_file_that_is_not_a_picture(extract, tmp_path, capsys, options):
    (tmp_path / "data").mkdir()
    (tmp_path / "secret").write_text("hunter2:x:0:0:/root", encoding="utf-8")
    (tmp_path / "data" / "link.png").symlink_to(tmp_path / "secret")
    rows = [{"id": i, "text": "Anna", "image": image} for i, image in enumerate(["../secret", "link.png"])]
    posts = write(tmp_path / "data" / "posts.jsonl", *rows)
    outputs = ["-o", "out.jsonl", "--report", "report.html", "--rejects", "no.jsonl"]
    assert extract(posts, *outputs, *options) == 0
    assert [post["picture"]["status"] for post in read("out.jsonl")] == ["unreadable", "unreadable"]
    written = [(tmp_path / name).read_text(encoding="utf-8") for name in outputs[1::2]]
    assert not any("hunter2" in text for text in (*written, *capsys.readouterr()))


def test_no_output_replaces_a_file_of_the_model(model, tmp_path, capsys):
    posts = write(tmp_path / "posts.jsonl", {"id": 1, "text": "Anna"})
    before = {path.name: path.read_bytes() for path in Path(model).iterdir()}
    for option in ("-o", "--report", "--rejects"):
        arguments = ["extract", str(posts), "--model", str(model), "--format", "jsonl"]
        assert main([*arguments, option, f"{model}/config.json"]) == 2
        assert "is the same file as one that is read" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in Path(model).iterdir()} == before


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="no file that cannot be read to its end")
def test_an_unreadable_alt_text_file_is_named(extract, tmp_path, capsys):
    posts = write(tmp_path / "posts.jsonl", {"id": 1, "text": "Anna"})
    assert extract(posts, "--alt-text-file", "/proc/self/mem") == 2
    assert "twofold: /proc/self/mem: cannot be read: Input/output error" in capsys.readouterr().err
