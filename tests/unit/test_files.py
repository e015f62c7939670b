import pytest

from lasem.errors import RunError
from lasem.files import append, replacing, write_atomically


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
