"""Run folders that someone changed, moved or damaged: nothing is destroyed, and every message names the file."""

import errno
import hashlib
import json
import os
import shutil
from functools import partial

import pytest
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save

from lasem import records
from lasem.errors import RunError, RunStopped, SpecError
from lasem.runs import RunFolder, RunOptions, load, resolve, run
from lasem.testing import Listener

SETTINGS = [
    "benchmark.first_tasks=2", "benchmark.train_per_class=10", "benchmark.max_test=30", "network.name=synthetic-3",
    "training.epochs=3",
]  # fmt: skip
TIMES = {"training_seconds", "evaluation_seconds", "cpu_seconds", "seconds"}
SPEC = resolve("digits/hps", SETTINGS)


def again(folder, **more):
    return run(SPEC, RunOptions(out=folder.path.parent, device="cpu", checkpoint_every=1), **more)


def timeless(folder):
    events, warnings = records.read_events(folder.records_path)
    assert not warnings
    return [event.model_dump(exclude=TIMES) for event in events]


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """A run that was stopped after its first task, and a whole one."""
    paths, left = tmp_path_factory.mktemp("stopped"), [5]

    def stop():
        left[0] -= 1
        return left[0] <= 0

    with pytest.raises(RunStopped):
        run(SPEC, RunOptions(out=paths / "part", device="cpu", checkpoint_every=1), stop=stop)
    run(SPEC, RunOptions(out=paths / "whole", device="cpu"))
    return paths


@pytest.fixture
def stopped(originals, tmp_path):
    return RunFolder.of(SPEC, shutil.copytree(originals / "part", tmp_path / "part"))


@pytest.fixture
def whole(originals, tmp_path):
    return RunFolder.of(SPEC, shutil.copytree(originals / "whole", tmp_path / "whole"))


# Checkpoints out of reach


def test_a_folder_of_checkpoints_that_cannot_be_listed_stops_the_run_and_changes_nothing(stopped, whole, monkeypatch):
    before = stopped.records_path.read_bytes()

    def closed(path=".", *, inner):
        if str(path) == str(stopped.checkpoints_path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return inner(path)

    with monkeypatch.context() as patch:
        for name in ("listdir", "scandir"):  # root, as which tests may run, can list any folder
            patch.setattr(os, name, partial(closed, inner=getattr(os, name)))
        with pytest.raises(RunError, match=r"checkpoint must be readable \(got Permission denied\); make it readable"):
            again(stopped)
    assert stopped.records_path.read_bytes() == before
    starts = []
    again(stopped, sinks=[Listener(started=starts.append)])
    assert (starts[0].resumed, starts[0].warnings) == (3, [])
    assert timeless(stopped) == timeless(whole)


def test_records_without_any_checkpoint_are_set_aside_with_a_warning_and_not_cut(stopped, whole, tmp_path):
    before, away, starts = stopped.records_path.read_bytes(), tmp_path / "away", []
    shutil.copytree(stopped.checkpoints_path, away)
    for file in stopped.checkpoints_path.iterdir():
        file.unlink()
    again(stopped, sinks=[Listener(started=starts.append)])
    (aside,) = stopped.set_aside
    assert aside.read_bytes() == before
    (warning,) = starts[0].warnings
    assert str(aside) in warning
    assert "no checkpoint" in warning
    assert warning in stopped.resumptions_path.read_text()
    assert timeless(stopped) == timeless(whole)


def test_checkpoints_that_come_back_too_late_are_told_with_the_records_that_fit_them(stopped, tmp_path):
    away = tmp_path / "away"
    stopped.checkpoints_path.rename(away)
    stopped.checkpoints_path.mkdir()
    with pytest.raises(RunStopped):
        again(stopped, stop=lambda: True)
    stopped.checkpoints_path.rmdir()
    away.rename(stopped.checkpoints_path)
    with pytest.raises(
        RunError, match=r"restore .*\(records that were set aside are in .*records-set-aside-1\.jsonl\)"
    ):
        again(stopped)
    stopped.set_aside[0].replace(stopped.records_path)  # as the message says
    assert again(stopped).complete


def test_files_of_others_beside_the_checkpoints_stay(stopped):
    for name in ("notes.txt", "backup.safetensors", "000001-copy.safetensors.bak"):
        (stopped.checkpoints_path / name).write_text("mine")
    (stopped.checkpoints_path / "folder").mkdir()
    again(stopped)
    left = [path for path in stopped.checkpoints_path.iterdir() if path.is_dir() or path.read_bytes() == b"mine"]
    assert len(left) == 4
    assert len(list(stopped.checkpoints_path.iterdir())) == 4 + 2


# Records that were changed


def change_accuracy(folder, line):
    """Change one digit of one line of the records."""
    lines = folder.records_path.read_bytes().splitlines(keepends=True)
    key, _, rest = lines[line].partition(b'_accuracy":0.')
    lines[line] = key + b'_accuracy":0.' + (b"1" if rest[:1] != b"1" else b"2") + rest[1:]
    folder.records_path.write_bytes(b"".join(lines))


def test_one_changed_digit_in_the_records_is_found_and_named(stopped):
    change_accuracy(stopped, 1)  # the first epoch
    with pytest.raises(RunError, match=r"does not fit .*records\.jsonl \(the first \d+ bytes have changed"):
        again(stopped)


def test_records_that_changed_behind_the_checkpoint_before_are_written_again(stopped, whole):
    starts = []
    first, last = sorted(stopped.checkpoints_path.iterdir())
    behind = json.loads(header_of(last)["records"]) - json.loads(header_of(first)["records"])
    assert behind > 0
    content = bytearray(stopped.records_path.read_bytes())
    place = content.rindex(b'"accuracy":[0.') + len(b'"accuracy":[0.')  # behind the first, before the last
    content[place] ^= 1
    stopped.records_path.write_bytes(content)
    again(stopped, sinks=[Listener(started=starts.append)])
    (warning,) = starts[0].warnings
    assert str(last) in warning
    assert first.name in warning
    assert timeless(stopped) == timeless(whole)


def header_of(path):
    """The metadata of a checkpoint."""
    content = path.read_bytes()
    return json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]


def with_header(path, change, tensors=None):
    """Write a checkpoint again with another header, and with the name that its content must have."""
    changed = save(tensors or load_tensors(path.read_bytes()), metadata=change(header_of(path)))
    path.unlink()
    path.with_name(f"{path.name[:6]}-{hashlib.sha256(changed).hexdigest()[:32]}.safetensors").write_bytes(changed)


def test_checkpoints_of_older_versions_without_a_hash_still_resume(stopped, whole):
    for path in stopped.checkpoints_path.iterdir():
        with_header(path, lambda header: {key: text for key, text in header.items() if key != "records_sha256"})
    again(stopped)
    assert timeless(stopped) == timeless(whole)


# Hostile checkpoints

DEEP = "[" * 5000 + "]" * 5000
HEADERS = {
    "none": lambda header: None,
    "null": lambda header: header | {"values": "null"},
    "list": lambda header: header | {"values": "[]", "strides": "[]"},
    "deep": lambda header: header | {"values": DEEP},
    "few-levels-too-deep": lambda header: header | {"values": "[" * 100 + "]" * 100},
    "negative-strides": lambda header: header | {"strides": '{"NAME": [-1]}'},
    "huge-strides": lambda header: header | {"strides": '{"NAME": [1000000000000]}'},
    "strides-of-text": lambda header: header | {"strides": '{"NAME": "x"}'},
    "strides-null": lambda header: header | {"strides": '{"NAME": null}'},
    "negative-records": lambda header: header | {"records": "-1"},
    "text-epoch": lambda header: header | {"epoch": '"x"'},
    "other-values": lambda header: header | {"values": '{"x": 1}'},
}


@pytest.mark.parametrize("kind", HEADERS)
def test_a_checkpoint_with_an_odd_header_is_refused_in_words(whole, kind):
    for path in list(whole.checkpoints_path.iterdir()):
        with_header(path, HEADERS[kind], {"NAME": torch.zeros(3)})
    for act in (lambda: load(whole.path), lambda: (whole.result_path.unlink(), again(whole))):
        with pytest.raises(RunError, match="must"):
            act()


# Files that are something else, and names from another time


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("result.json", None), ("stream.json", None), ("environment.json", None), ("records.jsonl", None),
        ("checkpoint", ""), ("stream.json", "[]"), ("stream.json", DEEP), ("environment.json", "3"),
        ("environment.json", DEEP),
    ],
)  # fmt: skip
def test_a_file_of_another_kind_is_named_and_nothing_is_changed(stopped, name, content):
    path = stopped.path / name
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    if content is None:
        path.mkdir()
    else:
        path.write_text(content)
    before = {file: file.read_bytes() for file in stopped.path.rglob("*.jsonl") if file.is_file()}
    with pytest.raises(RunError, match=rf"{name}|\(got File exists\)"):
        again(stopped)
    assert {file: file.read_bytes() for file in before} == before


@pytest.mark.parametrize("size", [0, 700, None])
def test_a_finished_run_without_all_its_records_is_told_so_in_words(whole, size):
    result = whole.result()
    if size is None:
        whole.records_path.unlink()
    else:
        os.truncate(whole.records_path, size)
    assert again(whole) == result  # it is finished, whatever became of its records
    with pytest.raises(RunError, match=r"checkpoint .*must be intact .*bytes of records"):
        load(whole.path)
    whole.result_path.unlink()
    shutil.rmtree(whole.checkpoints_path)  # as the message says
    assert again(whole).accuracy == result.accuracy


def test_a_path_that_is_not_text_is_a_path_like_any_other(whole, tmp_path, monkeypatch):
    out = tmp_path / os.fsdecode(b"caf\xe9")
    monkeypatch.setattr("sys.argv", ["lasem", "run", "--out", str(out)])
    with pytest.raises(RunStopped):
        run(SPEC, RunOptions(out=out, device="cpu"), stop=lambda: True)
    folder = RunFolder.of(SPEC, out)
    run(SPEC, RunOptions(out=out, device="cpu"))
    assert timeless(folder) == timeless(whole)
    assert "caf\\xe9" in folder.read_json(folder.environment_path)["command"]
    assert load(folder.path).result.complete


def test_a_path_that_is_too_long_is_refused(tmp_path):
    for long in ("a" * 300, "a/" * 3000):
        with pytest.raises(RunError, match=r"must be readable \(got File name too long\)"):
            run(SPEC, RunOptions(out=tmp_path / long, device="cpu"))


@pytest.mark.parametrize("threads", [-1, 30_000, 2**40])
def test_an_impossible_number_of_threads_is_refused_before_anything_is_made(threads):
    with pytest.raises(SpecError, match=rf"threads must be from 1 to \d+ on this machine.*\(got {threads}\)"):
        RunOptions(threads=threads)
    assert RunOptions(threads=4 * (os.cpu_count() or 1)).threads
