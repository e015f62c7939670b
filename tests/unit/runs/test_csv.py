"""The CSV of a run's numbers is complete and has no step twice, however often the run was resumed."""

import csv

from lasem.records import EpochRecord, EvaluationRecord, TaskRecord, line
from lasem.runs import RunOptions, RunStart, resolve, run
from lasem.runs._sink import following
from lasem.runs.sinks import CsvLog


def events():
    yield TaskRecord(task=0, identity=0, name="t", classes=2, images={"train": 8}, candidates=["=none", "all"])
    for epoch in (1, 2):
        yield EpochRecord(
            task=0, epoch=epoch, task_epoch=epoch, loss=1 / epoch, valid_accuracy=0.5, prior=[(0, 0.25), (1, 0.75)],
            training_seconds=1, evaluation_seconds=1,
        )  # fmt: skip
    yield EvaluationRecord(task=0, epoch=2, accuracy=[0.75], seconds=1)


def attempt(folder, *, kept, new):
    (folder / "records.jsonl").write_text("".join(map(line, kept)))
    spec = resolve("digits/lasem-hps")
    log = CsvLog()
    with following([log], RunStart(folder=folder, spec=spec, num_tasks=1, epochs=2, resumed=0, finished=False)):
        for event in new:
            log.event(event)
    with (folder / "scalars.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_resumed_run_has_every_number_once(tmp_path):
    everything = list(events())
    whole = attempt(tmp_path, kept=[], new=everything)
    assert attempt(tmp_path, kept=everything[:2], new=everything[2:]) == whole
    assert attempt(tmp_path, kept=everything, new=[]) == whole
    keys = [(row["step"], row["name"]) for row in whole]
    assert len(keys) == len(set(keys)) == 2 * 4 + 2
    assert {"step": "2", "task": "0", "name": "loss/train", "value": "0.5"} in whole
    assert {"step": "2", "task": "0", "name": "accuracy/mean_of_tasks_so_far", "value": "0.75"} in whole


def test_a_callback_hears_every_event_that_the_records_have(tmp_path):
    spec = resolve("digits/stl", ["benchmark.first_tasks=1", "training.epochs=1", "network.name=synthetic-3"])
    heard = []
    run(spec, RunOptions(out=tmp_path, device="cpu"), on_event=heard.append, sinks=[CsvLog()])
    folder = tmp_path / spec.folder
    assert "".join(map(line, heard)) == (folder / "records.jsonl").read_text()
    assert (folder / "scalars.csv").read_text().count("loss/train") == 1
