import errno
import hashlib
import os
import threading
from pathlib import Path

import pytest

from lasem.errors import RunError
from lasem.files import DEEPEST, StartHash, append, parse_json, replacing, write_atomically, write_output


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "a.txt"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_if_one_of_several_files_fails_all_old_ones_stay(tmp_path):
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(*paths) as fresh:
        fresh[1 // fresh[0].write_text("")].write_text("new")
    assert [path.read_text() for path in paths] == ["old", "old"]
    assert len(list(tmp_path.iterdir())) == 2


def test_what_cannot_be_written_is_named_with_a_remedy(tmp_path):
    for write in (write_atomically, append):
        with pytest.raises(RunError, match=r"absent.a must be writable \(got No such file or directory\); make it"):
            write(tmp_path / "absent" / "a", b"")


def test_no_link_that_lies_beside_a_file_is_followed(tmp_path, monkeypatch):
    monkeypatch.setattr("secrets.token_hex", lambda size: "known")
    other = tmp_path / "other"
    other.write_text("not ours")
    for name in ("a.html.new", "a.html.known.new"):
        (tmp_path / name).symlink_to(other)
    write_atomically(tmp_path / "a.html", b"one")
    assert (tmp_path / "a.html").read_text() == "one"
    with pytest.raises(RunError, match="File exists"):
        write_output(tmp_path / "a.html", b"two")
    assert (other.read_text(), (tmp_path / "a.html").is_symlink()) == ("not ours", False)


def test_two_processes_may_write_one_output_at_once(tmp_path):
    path, both = tmp_path / "a.html", threading.Barrier(2, timeout=5)
    failed = []

    def write(text):
        try:
            with replacing(path) as (new,):
                new.write_text(text)
                both.wait()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(text,)) for text in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert path.read_text() in ("one", "two")
    assert [file.name for file in tmp_path.iterdir()] == ["a.html"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [(".", "Is a directory"), ("file/a.html", "(Not a directory|File exists)"), ("a" * 300, "File name too long")],
)
def test_an_output_that_can_be_no_file_is_refused_and_leaves_nothing(tmp_path, name, reason):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=rf"must be writable \(got {reason}\); choose another --out") as caught:
        write_output(tmp_path / name, b"one")
    assert caught.value.__cause__ is None  # another attempt would fail, too
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_an_output_on_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(RunError, match=r"No space left on device\); free space there"):
        write_output(tmp_path / "new" / "a.html", b"one")
    assert not [*(tmp_path / "new").iterdir()]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device")
def test_a_device_is_written_to_and_never_replaced():
    with pytest.raises(RunError, match="No space left on device"):
        write_output(Path("/dev/full"), b"one")
    assert Path("/dev/full").is_char_device()
    write_output(Path("/dev/null"), b"one")


def test_json_is_read_up_to_a_depth():
    for text in ("1", "[]", '{"a": [1, {"b": null}]}', "[" * DEEPEST + "]" * DEEPEST):
        parse_json(text)
    for levels in (DEEPEST + 1, 100_000):
        with pytest.raises(ValueError, match="levels of nesting"):
            parse_json("[" * levels + "]" * levels)


def test_the_hash_of_a_growing_start_is_that_of_its_bytes(tmp_path):
    path, content = tmp_path / "records", bytes(range(256)) * 9000
    found = StartHash(path)
    assert found.of(0) == hashlib.sha256(b"").hexdigest()
    for size in (10, 11, 2_000_000):
        path.write_bytes(content[: size + 5])
        assert found.of(size) == hashlib.sha256(content[:size]).hexdigest()
