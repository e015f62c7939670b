"""Trackers have every number of a run once, however often it is stopped and resumed; real libraries read it back."""

import json
import struct
import sys
import time
from pathlib import Path

import pytest

from lasem.cli import app
from lasem.errors import RunError, SpecError
from lasem.records import DecisionRecord, EpochRecord, EvaluationRecord, TaskRecord, line
from lasem.runs import RunStart, resolve
from lasem.runs._sink import following
from lasem.runs.sinks import MlflowLog, TrackioLog, WandbLog

SPEC = resolve("digits/lasem-hps")
NAMES = {"loss/train", "accuracy/validation", "search/entropy", "sharing/group_01", "decision/margin"}


def events():
    """Two tasks of two epochs."""
    for task in range(2):
        yield TaskRecord(task=task, identity=task, name=f"t{task}", classes=2, images={"train": 8})
        for epoch in (1, 2):
            yield EpochRecord(
                task=task, epoch=2 * task + epoch, task_epoch=epoch, loss=task + 1 / epoch, valid_accuracy=0.5,
                configuration=[1], prior=[(0, 0.25), (1, 0.75)], marginals=[0.75], entropy=0.5,
                training_seconds=1, evaluation_seconds=1,
            )  # fmt: skip
        yield DecisionRecord(task=task, epoch=2 * task + 2, configuration=[1], probability=0.75, margin=0.25)
        yield EvaluationRecord(task=task, epoch=2 * task + 2, accuracy=[0.75, 0.5][: task + 1], seconds=1)


EVERYTHING = list(events())
EXPECTED = {
    "loss/train": [(1, 1.0), (2, 0.5), (3, 2.0), (4, 1.5)],
    "sharing/group_01": [(step, 0.75) for step in (1, 2, 3, 4)],
    "decision/margin": [(2, 0.25), (4, 0.25)],
    "task_accuracy/00": [(2, 0.75), (4, 0.75)],
    "task_accuracy/01": [(4, 0.5)],
    "accuracy/mean_of_tasks_so_far": [(2, 0.75), (4, 0.625)],
}


@pytest.fixture(autouse=True)
def nothing_leaves_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("MLFLOW_TRACKING_URI", "TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"):
        monkeypatch.delenv(name, raising=False)


def attempt(make, folder, kept, heard):
    """An attempt that resumes from the records kept, and hears some events before it ends."""
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "records.jsonl").write_text("".join(map(line, EVERYTHING[:kept])))
    resumed = sum(isinstance(event, EpochRecord) for event in EVERYTHING[:kept])
    finished = kept == len(EVERYTHING)
    start = RunStart(folder=folder, spec=SPEC, num_tasks=2, epochs=4, resumed=resumed, finished=finished)
    log = make()
    with following([log], start):
        for event in heard:
            log.event(event)


def attempts(make, folder):
    """A run that loses what came after its last checkpoint, then is resumed, ends, and is asked for again."""
    attempt(make, folder, 0, EVERYTHING[:3])  # before its first checkpoint
    attempt(make, folder, 0, EVERYTHING[:7])
    attempt(make, folder, 5, EVERYTHING[5:])
    attempt(make, folder, len(EVERYTHING), [])


def points(rows):
    """Steps and values by name: an iterable of (name, step, value) -> the same as EXPECTED."""
    found = {}
    for name, step, value in rows:
        found.setdefault(name, []).append((step, value))
    return {name: sorted(found[name]) for name in EXPECTED}


@pytest.mark.slow  # importing mlflow takes seconds
def test_mlflow_has_every_point_once(tmp_path):
    pytest.importorskip("mlflow", reason="needs the package mlflow-skinny")
    attempts(MlflowLog, tmp_path / "run")
    from mlflow.tracking import MlflowClient

    client = MlflowClient((tmp_path / "mlruns").as_uri())
    (run,) = client.search_runs([client.get_experiment_by_name("lasem").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["training.epochs"] == str(SPEC.training.epochs)
    history = [metric for name in run.data.metrics for metric in client.get_metric_history(run.info.run_id, name)]
    assert points((metric.key, metric.step, metric.value) for metric in history) == EXPECTED


@pytest.mark.slow  # every attempt starts a process of wandb
def test_wandb_has_every_point_once(tmp_path):
    pytest.importorskip("wandb", reason="needs the package wandb")
    attempts(WandbLog, tmp_path / "run")
    (file,) = (tmp_path / "run/wandb").glob("offline-run-*/*.wandb")
    records = finished_wandb_records(file)
    (run,) = (record.run for record in records if record.HasField("run"))
    assert (run.run_id, run.project) == ("run", "lasem")
    rows = [
        ("/".join(item.nested_key) or item.key, record.history.step.num, json.loads(item.value_json))
        for record in records
        if record.HasField("history")
        for item in record.history.item
    ]
    assert points(rows) == EXPECTED
    assert [record.exit.exit_code for record in records if record.HasField("exit")] == [0]


def finished_wandb_records(path: Path):
    """Read a file once its last record is there: wandb's process may still write when the run is over."""
    for _ in range(300):
        records = [*wandb_records(path)]
        if any(record.HasField("exit") for record in records):
            return records
        time.sleep(0.1)
    raise AssertionError(f"{path} must end with an exit record")


def wandb_records(path: Path):
    """Read a file of Weights & Biases: blocks of 32 KiB with chunks of records, as in a log of LevelDB."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, place, pieces = path.read_bytes(), 7, b""
    while place + 7 <= len(content):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
            continue
        _, length, kind = struct.unpack_from("<IHB", content, place)
        if place + 7 + length > len(content):  # not written to its end yet
            return
        pieces += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last of several chunks
            yield Record.FromString(pieces)
            pieces = b""


def test_trackio_has_every_point_once(tmp_path, monkeypatch, capsys):
    trackio = pytest.importorskip("trackio", reason="needs the package trackio")
    from trackio import sqlite_storage, utils

    for module in (trackio, sqlite_storage, utils):
        monkeypatch.setattr(module, "TRACKIO_DIR", tmp_path / "trackio")
    attempts(TrackioLog, tmp_path / "run")
    (run,) = trackio.Api().runs("lasem")
    assert (run.name, run.config["training"]["epochs"]) == ("run", SPEC.training.epochs)
    rows = [
        (name, row["step"], value)
        for row in sqlite_storage.SQLiteStorage.get_logs("lasem", run.name)
        for name, value in row.items()
    ]
    assert points(rows) == EXPECTED
    assert capsys.readouterr().out == ""


def test_trackio_that_would_send_numbers_away_is_refused(monkeypatch):
    pytest.importorskip("trackio", reason="needs the package trackio")
    monkeypatch.setenv("TRACKIO_SPACE_ID", "me/space")
    with pytest.raises(RunError, match=r"on this machine \(got TRACKIO_SPACE_ID=me/space\); remove the variable"):
        TrackioLog()


@pytest.mark.parametrize("package", ["mlflow", "trackio", "wandb"])
def test_a_missing_package_names_its_extra(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(RunError, match=rf"{package} must be installed for .*; run: pip install 'lasem\[{package}\]'"):
        app(["run", "digits/stl", "--track", package], standalone_mode=False)


def test_an_unknown_tracker_is_refused():
    with pytest.raises(SpecError, match=r"--track must name a tracker \(got 'wandbb'\); did you mean 'wandb'\?"):
        app(["run", "digits/stl", "--track", "wandbb", "--dry-run"], standalone_mode=False)
