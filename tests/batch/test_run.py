"""Batch runs from files to files: all formats, refused changes, broken inputs and outputs."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import tiny_model
from batch_runs import command, posts, tree, write
from jsonschema import Draft202012Validator
from PIL import Image

from twofold import combine
from twofold.cli.main import main
from twofold.locks import lock_place

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model.build(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def extract(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> int:
        return main(["extract", "--model", str(model), "--threads", "1", *map(str, arguments)])

    return run


def lines(data: bytes) -> list[dict]:
    return [json.loads(line) for line in data.decode().splitlines()]


def expected(extract, *arguments: object) -> list[dict]:
    """Results of a run in one file, as a reference."""
    assert extract(*arguments, "-o", "plain.jsonl") in (0, 1)
    return lines(Path("plain.jsonl").read_bytes())


def read_jsonl(path: Path) -> list[dict]:
    data = path.read_bytes()
    if path.name.endswith(".gz"):
        data = gzip.decompress(data)
    if path.name.endswith(".zst"):
        data = pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()
    return lines(data)


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz", "out.jsonl.zst", "out.txt"])
def test_json_lines(extract, name):
    write(Path("posts.jsonl"), posts(50))
    plain = expected(extract, "posts.jsonl")
    assert extract("posts.jsonl", "-o", name, "--shard-rows", 7) == 0
    assert read_jsonl(Path(name)) == plain
    assert sorted(path.name for path in Path().iterdir()) == sorted(["plain.jsonl", "posts.jsonl", name])


def test_shards_do_not_change_the_bytes(extract):
    write(Path("posts.jsonl"), posts(40))
    for rows in (1, 3, 1000):
        assert extract("posts.jsonl", "-o", f"{rows}.jsonl", "--shard-rows", rows) == 0
    assert len({Path(f"{rows}.jsonl").read_bytes() for rows in (1, 3, 1000)}) == 1


@pytest.mark.parametrize(("name", "separator"), [("out.csv", ","), ("out.tsv", "\t"), ("out.csv.gz", ",")])
def test_csv(extract, name, separator):
    write(Path("posts.jsonl"), [*posts(20), {"id": "x", "text": 'a "b",\tc\nd', "lang": "en", "n": [1]}])
    plain = expected(extract, "posts.jsonl")
    assert extract("posts.jsonl", "-o", name, "--shard-rows", 7, "--carry", "lang,n") == 0
    data = Path(name).read_bytes()
    text = (gzip.decompress(data) if name.endswith(".gz") else data).decode()
    rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=separator))
    assert [(row["id"], row["text"], json.loads(row["entities"])) for row in rows] == [
        (str(line["id"]), line["text"], line["entities"]) for line in plain
    ]
    assert [(row["lang"], row["n"]) for row in rows[-2:]] == [("", ""), ("en", "[1]")]


@pytest.mark.parametrize("folder", [False, True])
def test_parquet(extract, folder):
    write(Path("posts.jsonl"), [*posts(20), {"id": "x", "text": "Anna", "lang": "en"}])
    plain = expected(extract, "posts.jsonl")
    place = ["out/", "--format", "parquet"] if folder else ["out.parquet"]
    assert extract("posts.jsonl", "-o", *place, "--shard-rows", 7, "--carry", "lang") == 0
    table = parquet.read_table("out" if folder else "out.parquet")
    rows = table.to_pylist()
    assert [row["id"] for row in rows] == [str(line["id"]) for line in plain]
    for row, line in zip(rows, plain, strict=True):
        assert [(e["start"], e["type"], e["confidence"]) for e in row["entities"]] == [
            (e["start"], e["type"], e["confidence"]) for e in line["entities"]
        ]
        assert row["picture"] == line["picture"]
    assert rows[-1]["carried"] == {"lang": "en"}
    assert rows[0]["carried"] == {"lang": None}


def test_carried_columns_are_in_the_schema(extract):
    write(Path("posts.jsonl"), [{"id": 1, "text": "Anna", "lang": "en", "when": {"day": 3}}])
    assert extract("posts.jsonl", "-o", "out.jsonl", "--carry", "lang,when,gone") == 0
    (line,) = read_jsonl(Path("out.jsonl"))
    assert line["carried"] == {"lang": "en", "when": {"day": 3}, "gone": None}
    schema = Path(__file__).parents[2] / "src/twofold/schemas/extraction.schema.json"
    Draft202012Validator(json.loads(schema.read_text(encoding="utf-8"))).validate(line)


def test_files_folders_and_patterns_in_the_order_of_names(extract):
    Path("in/sub").mkdir(parents=True)
    rows = posts(30)
    write(Path("in/b.jsonl"), rows[10:20])
    write(Path("in/sub/c.ndjson"), rows[20:])
    Path("in/a.jsonl.gz").write_bytes(gzip.compress(write(Path("a"), rows[:10]).read_bytes()))
    for name in ("in/_manifest.jsonl", "in/.hidden.jsonl", "in/notes.md"):
        Path(name).write_text("no posts", encoding="utf-8")
    for number, places in enumerate((["in"], ["in/*.gz", "in/[bs]*"], ["in/**/*.jsonl*"])):
        out = Path(f"{number}.jsonl")
        code = extract(*places, "-o", out, "--shard-rows", 4)
        ids = [line["id"] for line in read_jsonl(out)]
        if number == 0:
            assert (code, ids) == (0, list(range(30)))
        else:
            assert ids == list(range(20))


def test_a_file_given_twice_is_refused(extract, capsys):
    write(Path("posts.jsonl"), posts(2))
    assert extract("posts.jsonl", "*.jsonl", "-o", "out/") == 2
    assert "posts.jsonl: is given more than once" in capsys.readouterr().err


def test_an_address_is_read_and_written(extract, monkeypatch):
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    system.store.clear()
    data = write(
        Path("posts.jsonl"), [*posts(10), {"id": "p", "text": "Anna", "image": "x.png"}]
    ).read_bytes()
    system.pipe({"/in/a.jsonl": data, "/in/b.jsonl.gz": gzip.compress(data), "/in/_c.jsonl": b"no"})
    assert extract("memory://in", "-o", "memory://out", "--shard-rows", 6) == 0
    parts = sorted(name for name in system.find("/out") if "/part-" in name and "_manifest" not in name)
    found = [line for name in parts for line in lines(system.cat_file(name))]
    assert [line["id"] for line in found] == [*range(10), "p"] * 2
    assert found[-1]["picture"]["status"] == "unreadable"
    assert extract("memory://in", "-o", "memory://out", "--shard-rows", 6) == 0  # all is done
    assert extract("memory://in/*.gz", "-o", "some.jsonl") == 0
    assert len(read_jsonl(Path("some.jsonl"))) == 11


def test_a_folder_of_parts(extract, capsys):
    write(Path("posts.jsonl"), [*posts(20), "no json"])
    plain = expected(extract, "posts.jsonl")
    assert extract("posts.jsonl", "-o", "out/", "--shard-rows", 6, "--rejects", "no.jsonl") == 1
    parts = sorted(Path("out").glob("part-*.jsonl"))
    assert [line for part in parts for line in read_jsonl(part)] == plain
    assert [len(read_jsonl(part)) for part in parts] == [6, 6, 6, 2]
    (rejected,) = read_jsonl(Path("no.jsonl"))
    assert rejected["origin"] == "posts.jsonl:21"
    assert [path.read_bytes() for path in Path("out/_rejects").iterdir()] == [Path("no.jsonl").read_bytes()]
    done = json.loads(Path("out/_manifest/done.json").read_bytes())
    assert (done["parts"], done["rows"], done["posts"], done["rejected"]) == (4, 21, 20, 1)
    before = tree(Path("out"))
    capsys.readouterr()
    assert extract("posts.jsonl", "-o", "out", "--shard-rows", 6, "--rejects", "no.jsonl") == 1
    assert "nothing is left to do" in capsys.readouterr().err
    assert tree(Path("out")) == before


def test_a_folder_with_other_files_is_left_alone(extract, capsys):
    write(Path("posts.jsonl"), posts(2))
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("x", encoding="utf-8")
    assert extract("posts.jsonl", "-o", "mine", "--restart") == 2
    assert "holds files but no results of a run" in capsys.readouterr().err
    assert tree(Path("mine")) == {"thesis.txt": b"x"}


def test_an_output_inside_an_input_folder_is_refused(extract, capsys):
    Path("in").mkdir()
    write(Path("in/posts.jsonl"), posts(2))
    assert extract("in", "-o", "in/out/") == 2
    assert "the output in/out/ is inside the input folder in" in capsys.readouterr().err


def interrupted_run(extract, output: str, *options: object) -> None:
    """A run that is interrupted in its third shard."""
    from twofold.batch.step import Step

    run = Step.run

    def fail(self, extractor, shard):
        if shard.number == 2:
            raise KeyboardInterrupt
        return run(self, extractor, shard)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Step, "run", fail)
        assert extract("posts.jsonl", "-o", output, "--shard-rows", 5, *options) == 130


@pytest.mark.parametrize("output", ["out.jsonl", "out/"])
def test_an_unfinished_run_is_resumed(extract, capsys, output):
    write(Path("posts.jsonl"), posts(23))
    plain = expected(extract, "posts.jsonl")
    interrupted_run(extract, output)
    capsys.readouterr()
    assert extract("posts.jsonl", "-o", output, "--shard-rows", 5) == 0
    shown = capsys.readouterr().err
    assert "resuming an unfinished run: 10 rows are already done" in shown
    assert "23 posts" in shown
    files = sorted(Path("out").glob("part-*.jsonl")) if output == "out/" else [Path(output)]
    assert [line for file in files for line in read_jsonl(file)] == plain
    assert not Path("out.jsonl.journal").exists()


def test_a_missing_part_is_extracted_again(extract):
    write(Path("posts.jsonl"), posts(23))
    arguments = ["posts.jsonl", "-o", "out/", "--shard-rows", 5]
    assert extract(*arguments) == 0
    before = tree(Path("out"))
    Path("out/part-000002.jsonl").unlink()
    assert extract(*arguments) == 0
    assert tree(Path("out")) == before


def test_a_restart_that_is_killed_leaves_nothing_of_two_runs(extract, monkeypatch):
    from twofold.batch.destinations import _LocalStore

    write(Path("posts.jsonl"), posts(23))
    assert extract("posts.jsonl", "-o", "out/", "--shard-rows", 5) == 0
    other = ["posts.jsonl", "-o", "out/", "--shard-rows", 5, "--min-confidence", "0.7"]
    whole = tree(Path("out"))
    assert extract(*other, "--restart") == 0
    changed = tree(Path("out"))
    assert changed != whole
    assert extract("posts.jsonl", "-o", "out/", "--shard-rows", 5, "--restart") == 0
    for number in range(len(whole)):
        removed: list[str] = []

        def remove(self, name, number=number, removed=removed):
            if len(removed) == number:
                raise KeyboardInterrupt
            removed.append(name)
            (self._folder / name).unlink()

        with monkeypatch.context() as patch:
            patch.setattr(_LocalStore, "remove", remove)
            assert extract(*other, "--restart") == 130
        if any(name.startswith("_manifest/") and "job" not in name for name in tree(Path("out"))):
            assert extract(*other) == 2  # the remaining files are of the first run
            assert extract("posts.jsonl", "-o", "out/", "--shard-rows", 5) == 0
        else:  # no part counts as done
            assert extract(*other) == 0
            assert tree(Path("out")) == changed
            assert extract("posts.jsonl", "-o", "out/", "--shard-rows", 5, "--restart") == 0
        assert tree(Path("out")) == whole


@pytest.mark.parametrize("output", ["out.jsonl", "out/"])
def test_a_run_that_finished_no_shard_does_not_fix_the_options(extract, output, monkeypatch):
    """The run is killed before the first shard is done."""
    write(Path("posts.jsonl"), posts(8))
    arguments = ["posts.jsonl", "-o", output, "--shard-rows", 5]

    def fail(self, extractor, shard):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("twofold.batch.step.Step.run", fail)
        assert extract(*arguments) == 130
    assert extract(*arguments, "--min-confidence", "0.7") == 0
    assert extract(*arguments) == (0 if output == "out.jsonl" else 2)  # a complete file is overwritten


CHANGES = [
    (["--min-confidence", "0.5"], "a different --min-confidence: none, now 0.5"),
    (["--shard-rows", "6"], "a different --shard-rows: 5, now 6"),
    (["--carry", "lang"], "a different --carry"),
    (["--format", "csv"], "a different format: jsonl, now csv"),
    (["--no-relations"], "a different --no-relations: not given, now given"),
]


@pytest.mark.parametrize("output", ["out.jsonl", "out/"])
@pytest.mark.parametrize(("options", "message"), CHANGES)
def test_another_option_is_refused(extract, capsys, output, options, message):
    write(Path("posts.jsonl"), posts(23))
    interrupted_run(extract, output)
    before = tree(Path())
    capsys.readouterr()
    assert extract("posts.jsonl", "-o", output, "--shard-rows", 5, *options) == 2
    assert message in capsys.readouterr().err
    assert tree(Path()) == before
    assert extract("posts.jsonl", "-o", output, "--shard-rows", 5, *options, "--restart") == 0
    if output == "out.jsonl" and "--format" not in options:
        assert len(read_jsonl(Path(output))) == 23


@pytest.mark.parametrize("output", ["out.jsonl", "out/"])
def test_another_model_or_input_is_refused(extract, capsys, tmp_path, output):
    rows = posts(23)
    write(Path("posts.jsonl"), rows)
    interrupted_run(extract, output)
    arguments = ["posts.jsonl", "-o", output, "--shard-rows", "5"]
    other = tiny_model.build(tmp_path / "other", evidence=False)
    assert main(["extract", "--model", str(other), *arguments]) == 2
    assert "a different model: tiny " in capsys.readouterr().err
    write(Path("posts.jsonl"), rows[:-1])
    assert extract(*arguments) == 2
    assert "a different input: 1 file of" in capsys.readouterr().err
    changed = [*rows]
    changed[7] = {"id": 7, "text": rows[7]["text"].swapcase()}  # of the same length
    write(Path("posts.jsonl"), changed)
    assert extract(*arguments) == 2
    assert "rows 6 to 10 of the input changed since the unfinished run" in capsys.readouterr().err
    write(Path("posts.jsonl"), rows)
    assert extract(*arguments) == 0


def test_a_finished_folder_names_the_option_that_differs_before_the_model(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tagger, relations = tiny_model.build(tmp_path / "a"), tiny_model.build_relations(tmp_path / "b")
    model = str(tmp_path / "both")
    combine(tagger, relations, model)
    write(Path("posts.jsonl"), posts(8))
    arguments = ["extract", "--model", model, "posts.jsonl", "-o", "out/"]
    assert main([*arguments, "--no-relations"]) == 0
    assert main(arguments) == 2
    assert "the earlier run had a different --no-relations: given, now not given" in capsys.readouterr().err


def test_another_name_or_size_of_an_input_file_is_named(extract, capsys):
    write(Path("a.jsonl"), posts(8))
    write(Path("b.jsonl"), posts(9))
    assert extract("a.jsonl", "b.jsonl", "-o", "out/") == 0
    Path("a.jsonl").rename("c.jsonl")
    assert extract("b.jsonl", "c.jsonl", "-o", "out/") == 2
    shown = capsys.readouterr().err
    assert re.search(
        r"a different name of an input file: a.jsonl and 1 more \(.*now b.jsonl and 1 more", shown
    )
    write(Path("a.jsonl"), posts(9))
    write(Path("b.jsonl"), posts(8))
    assert extract("a.jsonl", "b.jsonl", "-o", "out/") == 2
    assert "a different size of an input file" in capsys.readouterr().err


def test_a_run_with_a_report_does_not_touch_an_unfinished_run(extract, capsys):
    write(Path("posts.jsonl"), posts(23))
    interrupted_run(extract, "out.jsonl")
    before = tree(Path())
    assert extract("posts.jsonl", "-o", "out.jsonl", "--report", "r.html") == 2
    assert "has an unfinished run" in capsys.readouterr().err
    assert tree(Path()) == before


def test_a_truncated_journal_or_one_that_does_not_match_its_file(extract):
    write(Path("posts.jsonl"), posts(23))
    plain = expected(extract, "posts.jsonl")
    interrupted_run(extract, "out.jsonl")
    whole = Path("out.jsonl.journal").read_bytes()
    part = Path("out.jsonl.part").read_bytes()
    for cut in (len(whole) - 5, len(whole.splitlines(keepends=True)[0]) + 9, 3, 0):
        Path("out.jsonl.journal").write_bytes(whole[:cut])
        Path("out.jsonl.part").write_bytes(part + b'{"id": "half a li')
        assert extract("posts.jsonl", "-o", "out.jsonl", "--shard-rows", 5) == 0
        assert read_jsonl(Path("out.jsonl")) == plain
    Path("out.jsonl.journal").write_bytes(whole)
    Path("out.jsonl.part").write_bytes(part[: len(part) // 3])  # a power cut took the end
    assert extract("posts.jsonl", "-o", "out.jsonl", "--shard-rows", 5) == 0
    assert read_jsonl(Path("out.jsonl")) == plain


@pytest.mark.parametrize("output", ["out.jsonl", "out/"])
def test_a_second_process_is_refused(extract, model, output, capsys):
    from twofold.files import Outputs
    from twofold.locks import lock_place

    write(Path("posts.jsonl"), posts(3))
    second = command("posts.jsonl", "--model", model, "-o", output)
    with Outputs() as outputs:
        if output == "out/":
            with lock_place(Path("out").absolute()):
                done = subprocess.run(second, capture_output=True, text=True, check=False)
        else:
            outputs.open(Path(output))
            done = subprocess.run(second, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "another run is writing there" in done.stderr


def test_a_broken_file_costs_only_its_own_rows(extract, capsys):
    Path("in").mkdir()
    rows = [{"id": i, "text": os.urandom(40).hex()} for i in range(600)]
    write(Path("in/a.jsonl"), rows[:5])
    whole = gzip.compress(write(Path("b"), rows).read_bytes())
    Path("in/b.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    Path("in/c.parquet").write_bytes(b"PAR1 and no more")
    write(Path("in/d.jsonl"), rows[:5])
    assert extract("in", "-o", "out.jsonl", "--rejects", "no.jsonl", "--shard-rows", 100) == 1
    ids = [line["id"] for line in read_jsonl(Path("out.jsonl"))]
    assert ids == [*range(5), *range(len(ids) - 10), *range(5)]
    assert len(ids) > 100
    no = read_jsonl(Path("no.jsonl"))
    assert [line["origin"] for line in no] == ["in/b.jsonl.gz", "in/c.parquet"]
    assert all("damaged" in line["reason"] for line in no)


def test_a_link_that_leads_out_of_a_folder_is_not_read(extract, tmp_path):
    Path("in").mkdir()
    write(Path("secret.jsonl"), ["hunter2"])
    Path("in/b.jsonl").symlink_to(tmp_path / "secret.jsonl")
    write(Path("in/a.jsonl"), posts(2))
    assert extract("in", "-o", "out.jsonl", "--rejects", "no.jsonl") == 1
    (rejected,) = read_jsonl(Path("no.jsonl"))
    assert "a link out of the folder" in rejected["reason"]
    assert "hunter2" not in Path("no.jsonl").read_text(encoding="utf-8")
    assert extract("in", "-o", "out.jsonl", "--rejects", "no.jsonl", "--allow-outside") == 1
    assert "hunter2" in Path("no.jsonl").read_text(encoding="utf-8")


def test_a_linked_folder_is_rejected_or_read_and_never_skipped_silently(extract, tmp_path):
    for name, count in (("other/deep/b.jsonl", 3), ("in/sub/a.jsonl", 2)):
        Path(name).parent.mkdir(parents=True)
        write(Path(name), posts(count))
    Path("in/out").symlink_to(tmp_path / "other")
    Path("in/again").symlink_to(tmp_path / "in" / "sub")  # is read anyway
    Path("other/deep/back").symlink_to(tmp_path / "in")
    Path("other/deep/loop").symlink_to(tmp_path / "other")
    assert extract("in", "-o", "out.jsonl", "--rejects", "no.jsonl") == 1
    (rejected,) = read_jsonl(Path("no.jsonl"))
    assert (rejected["origin"], len(read_jsonl(Path("out.jsonl")))) == ("in/out", 2)
    assert "it is a link out of the folder; copy the folder there" in rejected["reason"]
    assert extract("in", "-o", "out.jsonl", "--allow-outside") == 0
    assert len(read_jsonl(Path("out.jsonl"))) == 5


def test_a_pattern_matches_hidden_names_only_if_it_names_them(extract):
    for name in ("a", "_skip/b", ".hid/c", "sub/d", "sub/_e"):
        Path(f"in/{name}.jsonl").parent.mkdir(parents=True, exist_ok=True)
        write(Path(f"in/{name}.jsonl"), posts(1))
    for pattern, count in (("in/**/*.jsonl", 2), ("in/_skip/*.jsonl", 1), ("in/**/_*.jsonl", 1)):
        assert extract(pattern, "-o", "out.jsonl") == 0
        assert len(read_jsonl(Path("out.jsonl"))) == count, pattern
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    for name in ("a", "_b", ".c"):
        memory.pipe(f"/hidden/{name}.jsonl", Path("in/a.jsonl").read_bytes())
    assert extract("memory://hidden/*.jsonl", "-o", "out.jsonl") == 0
    assert len(read_jsonl(Path("out.jsonl"))) == 1


def test_a_wrong_name_among_several_inputs_ends_the_command(extract, capsys):
    write(Path("a.jsonl"), posts(2))
    assert extract("a.jsonl", "b.jsonl", "-o", "out.jsonl") == 2
    assert "b.jsonl: no such file or folder" in capsys.readouterr().err
    assert not Path("out.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "memory://x/found.jsonl"], "would be a folder, as every output at an address"),
        (["--format", "parquet"], "--format parquet for standard output"),
        (["-o", "-", "--format", "csv"], "--format csv for standard output"),
    ],
)
def test_outputs_that_would_be_something_else(extract, capsys, arguments, message):
    write(Path("a.jsonl"), posts(2))
    assert extract("a.jsonl", *arguments) == 2
    assert message in capsys.readouterr().err


def test_rejects_at_an_address_are_refused(extract, capsys):
    write(Path("a.jsonl"), posts(2))
    with pytest.raises(SystemExit):
        extract("a.jsonl", "-o", "out.jsonl", "--rejects", "memory://x/no.jsonl")
    assert "is an address; expected a file on this machine" in capsys.readouterr().err


def test_an_address_that_breaks_off_is_rejected_and_the_others_are_read(extract, monkeypatch):
    memory = pytest.importorskip("fsspec").filesystem("memory")
    memory.pipe("/broken/a.jsonl", b'{"id": 1, "text": "Anna"}\n' * 9)
    memory.pipe("/broken/b.jsonl", b'{"id": 2, "text": "Anna"}\n')

    def breaks(stream, size=-1):
        raise RuntimeError("the connection is gone")

    opened = type(memory).open

    def opens(system, path, *more, **options):
        stream = opened(system, path, *more, **options)
        if path.endswith("a.jsonl"):
            monkeypatch.setattr(stream, "read", breaks.__get__(stream))
        return stream

    monkeypatch.setattr(type(memory), "open", opens)
    assert extract("memory://broken", "-o", "out.jsonl", "--rejects", "no.jsonl") == 1
    assert [line["id"] for line in read_jsonl(Path("out.jsonl"))] == [2]
    (rejected,) = read_jsonl(Path("no.jsonl"))
    assert rejected["origin"].endswith("broken/a.jsonl")
    assert "RuntimeError" in rejected["reason"]


def test_an_output_inside_an_input_at_an_address_is_refused(extract, capsys):
    pytest.importorskip("fsspec").filesystem("memory").pipe("/inside/a.jsonl", b'{"id": 1, "text": "Anna"}\n')
    assert extract("memory://inside", "-o", "memory://inside/found/") == 2
    assert "is inside the input folder" in capsys.readouterr().err


def test_a_folder_in_use_is_refused_by_any_of_its_names(extract, tmp_path, capsys):
    write(Path("a.jsonl"), posts(2))
    Path("found").mkdir()
    Path("link").symlink_to(tmp_path / "found")
    with lock_place(tmp_path / "found"):
        assert extract("a.jsonl", "-o", "link/") == 2
    assert "another" in capsys.readouterr().err


def test_pictures_by_path_in_tar_and_in_parquet_give_the_same_results(extract):
    import tarfile

    Image.new("RGB", (40, 30), "red").save("red.png")
    write(Path("posts.jsonl"), [{"id": "7", "text": "Anna left", "image": "red.png"}])
    with tarfile.open("posts.tar", "w") as file:
        Path("7.txt").write_text("Anna left", encoding="utf-8")
        shutil.copy("red.png", "7.png")
        for name in ("7.txt", "7.png"):
            file.add(name)
    parquet.write_table(
        pa.table({"id": ["7"], "text": ["Anna left"], "image": [Path("red.png").read_bytes()]}),
        "posts.parquet",
    )
    found = []
    for name in ("posts.jsonl", "posts.tar", "posts.parquet"):
        assert extract(name, "-o", f"{name}.out") == 0
        found.append(Path(f"{name}.out").read_bytes())
    assert json.loads(found[0])["picture"]["status"] == "read"
    assert len(set(found)) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_reported(extract, capsys):
    write(Path("posts.jsonl"), posts(3))
    assert extract("posts.jsonl", "-o", "/dev/full") == 2
    assert "/dev/full: cannot be written: No space left" in capsys.readouterr().err


def test_a_restart_removes_only_files_that_a_run_wrote(extract):
    write(Path("posts.jsonl"), posts(23))
    assert extract("posts.jsonl", "-o", "out/", "--shard-rows", 5) == 0
    Path("out/notes.txt").write_text("mine", encoding="utf-8")
    Path("out/sub").mkdir()
    Path("out/sub/part-000001.jsonl").write_text("mine, too", encoding="utf-8")
    assert extract("posts.jsonl", "-o", "out/", "--shard-rows", 50, "--restart") == 0
    assert sorted(name for name in tree(Path("out")) if not name.startswith("_manifest")) == [
        "notes.txt", "part-000000.jsonl", "sub/part-000001.jsonl",
    ]  # fmt: skip


DAMAGE = [b"", b"{", b"[]", b"null", b'{"job": []}', b'"\xff"', b"[" * 100_000]


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize(
    "name", ["_manifest/job.json", "_manifest/done.json", "_manifest/part-000001.json", "part-000001.jsonl"]
)
def test_altered_files_in_a_folder_are_extracted_again_or_refused(extract, capsys, name, damage):
    write(Path("posts.jsonl"), posts(23))
    arguments = ["posts.jsonl", "-o", "out/", "--shard-rows", 5]
    assert extract(*arguments) == 0
    before = tree(Path("out"))
    (Path("out") / name).write_bytes(damage)
    if name == "_manifest/job.json":
        assert extract(*arguments) == 2
        assert "was altered" in capsys.readouterr().err or damage == b'{"job": []}'
        arguments.append("--restart")
    assert extract(*arguments) == 0
    assert tree(Path("out")) == before


@pytest.mark.parametrize(
    "change",
    [
        {"number": -1}, {"number": "1"}, {"number": True}, {"number": 7}, {"output": 10**9}, {"output": -1},
        {"output": 1.5}, {"counts": []}, {"counts": {"posts": "many"}}, {"digest": 3},
        {"path": "/etc/passwd"}, {"rows": None}, {"rejects": [1]},
    ],
)  # fmt: skip
def test_an_altered_journal_is_used_up_to_the_altered_line(extract, change):
    write(Path("posts.jsonl"), posts(23))
    plain = expected(extract, "posts.jsonl")
    interrupted_run(extract, "out.jsonl")
    head, first, second = Path("out.jsonl.journal").read_bytes().splitlines(keepends=True)
    altered = json.dumps(json.loads(second) | change).encode() + b"\n"
    Path("out.jsonl.journal").write_bytes(head + first + altered)
    assert extract("posts.jsonl", "-o", "out.jsonl", "--shard-rows", 5) == 0
    assert read_jsonl(Path("out.jsonl")) == plain


def test_a_file_of_the_user_with_the_name_of_a_journal_is_left_alone(extract, capsys):
    write(Path("posts.jsonl"), posts(3))
    for options in ([], ["--restart"]):
        Path("out.jsonl.journal").write_text("Dear diary\n", encoding="utf-8")
        assert extract("posts.jsonl", "-o", "out.jsonl", *options) == 2
        assert "is not the journal of a run" in capsys.readouterr().err
        assert Path("out.jsonl.journal").read_text(encoding="utf-8") == "Dear diary\n"
    Path("out.jsonl.journal").write_text('{"job": 1}\n', encoding="utf-8")
    assert extract("posts.jsonl", "-o", "out.jsonl") == 0  # that run had finished no part


@pytest.mark.parametrize("name", ["_manifest", "part-000000.jsonl"])
def test_a_link_in_a_folder_of_results_does_not_lead_out(extract, capsys, name):
    write(Path("posts.jsonl"), posts(3))
    Path("out").mkdir()
    target = Path("elsewhere") if name == "_manifest" else Path("mine")
    target.mkdir() if name == "_manifest" else target.write_text("mine", encoding="utf-8")
    if name != "_manifest":
        assert extract("posts.jsonl", "-o", "out/") == 0
        Path("out", name).unlink()
    Path("out", name).symlink_to(target.absolute())
    assert extract("posts.jsonl", "-o", "out/", "--shard-rows", 4096) == 2
    assert "is a link out of the folder" in capsys.readouterr().err
    assert tree(Path("elsewhere")) == {} or name != "_manifest"
    assert name == "_manifest" or target.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("info", ["memory://odd/in"]),
        ("open", ["memory://odd/in/a.jsonl"]),
        ("read", ["memory://odd/in/a.jsonl"]),
        ("pipe_file", ["posts.jsonl", "-o", "memory://odd/out"]),
        ("find", ["posts.jsonl", "-o", "memory://odd/in"]),
    ],
)
def test_any_error_of_a_remote_file_system_is_reported(extract, capsys, monkeypatch, method, arguments):
    """Remote file systems raise errors of their own types."""
    memory = pytest.importorskip("fsspec.implementations.memory")

    class OddError(Exception):
        pass

    def fail(*_: object, **__: object) -> None:
        raise OddError

    memory.MemoryFileSystem().pipe_file("/odd/in/a.jsonl", b'{"id": 1, "text": "Anna"}')
    write(Path("posts.jsonl"), posts(3))
    kind = memory.MemoryFile if method == "read" else memory.MemoryFileSystem
    monkeypatch.setattr(kind, method, fail)
    assert extract(*arguments) == 2
    assert "OddError" in capsys.readouterr().err


def test_an_unreadable_subfolder_is_an_error(extract, capsys, monkeypatch):
    Path("in/closed").mkdir(parents=True)
    write(Path("in/a.jsonl"), posts(1))
    scan = os.scandir

    def scandir(place):
        if Path(place).name == "closed":
            raise PermissionError(13, "Permission denied", place)
        return scan(place)

    monkeypatch.setattr(os, "scandir", scandir)
    assert extract("in") == 2
    assert "in/closed: cannot be read: Permission denied" in capsys.readouterr().err


def test_patterns_do_not_follow_links_to_folders(extract):
    """`glob.glob` follows them: two links to parent folders give more paths than can be listed."""
    for name in ("in/a.jsonl", "in/sub/b.jsonl", "in/sub/deep/c.jsonl", "in/.hidden/d.jsonl", "in/.e.jsonl"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        write(Path(name), [{"id": name, "text": "Anna"}])
    for link, target in (("in/loop", "."), ("in/up", ".."), ("in/sub/back", "../..")):
        Path(link).symlink_to(target)

    def ids(pattern: str) -> list[str]:
        return [line["id"] for line in expected(extract, pattern)]

    assert ids("in/**/*.jsonl") == ["in/a.jsonl", "in/sub/b.jsonl", "in/sub/deep/c.jsonl"]
    assert ids("in/.*.jsonl") == ["in/.e.jsonl"]
    assert ids("i[n]/s?b/*") == ["in/sub/b.jsonl"]


def test_a_file_given_by_two_names_is_refused(extract, capsys, tmp_path):
    Path("in").mkdir()
    write(Path("in/a.jsonl"), posts(1))
    for other in ("./in/a.jsonl", "in/../in/a.jsonl", str(tmp_path / "in" / "a.jsonl"), "in", "i*/a.jsonl"):
        assert extract("in/a.jsonl", other) == 2
        assert "is given more than once" in capsys.readouterr().err


def test_an_empty_output_name_is_refused(extract, capsys):
    write(Path("posts.jsonl"), posts(1))
    assert extract("posts.jsonl", "-o", "") == 2
    assert "-o is empty" in capsys.readouterr().err
