from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from twofold.errors import DataError
from twofold.files import OutputFile, Outputs, write_whole

posix = pytest.mark.skipif(os.name == "nt", reason="devices, pipes and links as POSIX has them")


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def put(path: Path, data: bytes, **options: object) -> None:
    with write_whole(path, **options) as output:
        output.write(data)


def test_the_file_appears_whole_at_the_end(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with write_whole(path) as output:
        output.write(b"new")
        assert path.read_bytes() == b"old"
        assert names(tmp_path) == ["a", "a.part"]
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["a"]


def test_work_that_fails_leaves_the_old_file(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(UnicodeEncodeError), write_whole(tmp_path / "a") as output:
        output.write(b"half" + "\ud800".encode())
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_a_new_file_has_the_default_permissions(tmp_path):
    (tmp_path / "plain").touch()
    put(tmp_path / "a", b"")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode


@posix
def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path):
    (tmp_path / "a").touch()
    (tmp_path / "a").chmod(0o600)
    put(tmp_path / "a", b"new")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["nowhere/a", "folder", "file/a", "a\0b"])
def test_paths_that_cannot_be_written(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written") as error:
        put(tmp_path / name, b"")
    assert error.value.where == str(tmp_path / name)
    assert "None" not in str(error.value)
    assert names(tmp_path) == ["file", "folder"]


def test_a_long_name(tmp_path):
    put(tmp_path / ("n" * 255), b"x")
    assert names(tmp_path) == ["n" * 255]


# --- links, devices, pipes ---------------------------------------------------------------------------


@posix
@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_and_its_target_is_replaced(tmp_path, there):
    (tmp_path / "data").mkdir()
    target, link, second = tmp_path / "data" / "target", tmp_path / "link", tmp_path / "second"
    if there:
        target.write_bytes(b"old")
    link.symlink_to("data/target")
    second.symlink_to(link)
    put(second, b"new")
    assert (link.is_symlink(), second.is_symlink()) == (True, True)
    assert target.read_bytes() == b"new"
    assert names(tmp_path / "data") == ["target"]


@posix
def test_circular_links(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(DataError, match="too many symbolic links"):
        put(tmp_path / "a", b"")
    assert names(tmp_path) == ["a", "b"]


@posix
def test_a_link_at_the_path_of_the_part_is_not_followed(tmp_path):
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "a.part").symlink_to("precious")
    with pytest.raises(DataError, match="is a symbolic link"):
        put(tmp_path / "a", b"x")
    assert (tmp_path / "precious").read_bytes() == b"precious"


@posix
def test_a_device_stays_a_device(tmp_path):
    before = Path(os.devnull).stat()
    put(Path(os.devnull), b"x")
    (tmp_path / "link").symlink_to(os.devnull)
    put(tmp_path / "link", b"x")
    after = Path(os.devnull).stat()
    assert (after.st_rdev, after.st_mode) == (before.st_rdev, before.st_mode)
    assert names(tmp_path) == ["link"]


@posix
def test_a_pipe_gets_each_write_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with write_whole(tmp_path / "pipe") as output:
        output.write(b"one")
        assert os.read(reader, 10) == b"one"
    os.close(reader)
    assert names(tmp_path) == ["pipe"]


@posix
def test_dev_stdout_is_standard_output(tmp_path):
    if not Path("/dev/stdout").exists():
        pytest.skip("no /dev/stdout")
    code = "from pathlib import Path; from twofold.files import write_whole\n"
    code += "with write_whole(Path('/dev/stdout')) as output: output.write(b'two')"
    (tmp_path / "log").write_bytes(b"one ")
    with (tmp_path / "log").open("ab") as log:
        subprocess.run([sys.executable, "-c", code], stdout=log, check=True)
    assert (tmp_path / "log").read_bytes() == b"one two"


@posix
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_device_is_named():
    with pytest.raises(DataError, match=r"^/dev/full: cannot be written: No space left"):
        put(Path("/dev/full"), b"x")


# --- several runs or outputs -------------------------------------------------------------------------


def test_a_second_run_on_one_output_is_refused_and_the_first_goes_on(tmp_path):
    code = "import sys; from pathlib import Path; from twofold.files import OutputFile\n"
    code += "OutputFile(Path(sys.argv[1]))"
    with write_whole(tmp_path / "a") as output:
        output.write(b"first")
        second = subprocess.run(
            [sys.executable, "-c", code, tmp_path / "a"], capture_output=True, text=True, check=False
        )
        assert "another run is writing there" in second.stderr
    assert (tmp_path / "a").read_bytes() == b"first"
    put(tmp_path / "a", b"third")


def test_the_part_of_a_killed_run_stays_until_new_data_is_written(tmp_path):
    (tmp_path / "a.part").write_bytes(b"hours of work")
    OutputFile(tmp_path / "a", keep_part=True).abandon()
    assert (tmp_path / "a.part").read_bytes() == b"hours of work"
    put(tmp_path / "a", b"new")
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"new"


def test_an_input_cannot_be_an_output(tmp_path):
    for name in ("in", "a.part"):
        (tmp_path / name).write_bytes(b"precious")
    os.link(tmp_path / "in", tmp_path / "same")
    for name, inputs in (("in", ["in"]), ("same", ["in"]), ("a", ["a.part"])):
        with pytest.raises(DataError, match="read"):
            OutputFile(tmp_path / name, [tmp_path / name for name in inputs])
    with (tmp_path / "a.part").open("rb") as stream, pytest.raises(DataError, match="read"):
        OutputFile(tmp_path / "a", [stream.fileno()])
    assert {(tmp_path / name).read_bytes() for name in ("in", "same", "a.part")} == {b"precious"}


@pytest.mark.parametrize(("one", "other"), [("a", "a"), ("a", "sub/../a"), ("a", "a.part"), ("a.part", "a")])
def test_two_outputs_of_one_command_must_be_different_files(tmp_path, one, other):
    (tmp_path / "sub").mkdir()
    with Outputs() as outputs:
        outputs.open(tmp_path / one).abandon()
        with pytest.raises(DataError, match="another output"):
            outputs.open(tmp_path / other)
    assert names(tmp_path) == ["sub"]


@posix
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_each_output_is_finished_even_if_another_fails(tmp_path):
    outputs = Outputs()
    good, full = outputs.open(tmp_path / "good"), outputs.open(Path("/dev/full"))
    full._stream.write(b"x")  # still in the buffer
    good.write(b"good")
    with pytest.raises(DataError, match="/dev/full"), outputs:
        pass
    assert (tmp_path / "good").read_bytes() == b"good"


@posix
def test_the_message_does_not_name_a_missing_part(tmp_path):
    with pytest.raises(DataError) as caught:
        OutputFile(tmp_path / "gone" / "out.jsonl", keep_part=True)
    assert ".part" not in str(caught.value)


@posix
def test_the_message_does_not_name_an_empty_part(tmp_path, monkeypatch):
    output = OutputFile(tmp_path / "out.jsonl", keep_part=True)
    monkeypatch.setattr(os, "truncate", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(DataError, match="No space left") as caught:
        output.write(b"x")
    assert ".part" not in str(caught.value)
    output.abandon()
    assert names(tmp_path) == []
