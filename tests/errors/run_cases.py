"""Run folders and devices that cannot be used: by id, a function of a folder with a finished run in it."""

import resource
from functools import partial

import torch

import lasem
from lasem.preflight import Limits, require_memory
from lasem.presets import resolve
from lasem.report import collect
from lasem.runs import RunFolder, RunOptions, choose_device, run
from lasem.runs._lock import exclusive

SETTINGS = ("benchmark.first_tasks=1", "training.epochs=1", "network.name=synthetic-3", "benchmark.max_test=9")


def spec():
    return resolve("digits/stl", SETTINGS)


def again(out, **place):
    """The same run again."""
    return run(spec(), RunOptions(out=out, device="cpu", **place))


def spoil(out, name, content):
    """Replace a file of the run, and run it again."""
    (out / spec().folder / name).write_text(content)
    return again(out)


def unfinished(out):
    """Without its result, a run goes on."""
    folder = out / spec().folder
    (folder / "result.json").unlink()
    return folder


def other_data(out):
    stream = unfinished(out) / "stream.json"
    stream.write_text(stream.read_text().replace('"fingerprint": "', '"fingerprint": "0'))
    return again(out)


def short_records(out):
    (unfinished(out) / "records.jsonl").write_text("")
    return again(out)


def damaged_checkpoints(out):
    for file in (unfinished(out) / "checkpoint").iterdir():
        file.write_bytes(file.read_bytes()[:-1])
    return again(out)


def held(out):
    """While this process holds the folder, as another one would."""
    with exclusive(RunFolder(unfinished(out))):
        return again(out)


def full_disk(out):
    """A file may hold no more than a few bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    unfinished(out)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, before[1]))
    try:
        return again(out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def predict(out, *, shape=(1, 8, 8), task=0):
    return lasem.load(out / spec().folder).predict(torch.zeros(1, *shape), task=task)


def no_room(out):
    large, cpu = resolve("digits/lasem-hps", SETTINGS), torch.device("cpu")
    inspect = partial(require_memory, large, limits=Limits(2**17), device=cpu)
    return run(large, RunOptions(out=out, device="cpu"), inspect=inspect)


CASES = {
    "run-other-spec": lambda out: spoil(out, "spec.toml", resolve("digits/hps", SETTINGS).toml()),
    "run-spec-not-toml": lambda out: spoil(out, "spec.toml", "name = "),
    "run-out-is-run": lambda out: again(out / spec().folder),
    "run-out-is-file": lambda out: ((out / "file").write_text("") and None) or again(out / "file"),
    "run-out-below-file": lambda out: ((out / "file").write_text("") and None) or again(out / "file" / "runs"),
    "run-result-damaged": lambda out: spoil(out, "result.json", '{"name": "half'),
    "run-stream-damaged": lambda out: (unfinished(out), spoil(out, "stream.json", "{")),
    "run-other-data": other_data,
    "run-short-records": short_records,
    "run-checkpoints-damaged": damaged_checkpoints,
    "run-held": held,
    "run-disk-full": full_disk,
    "run-no-room": no_room,
    "run-load-nothing": lambda out: lasem.load(out / "absent"),
    "run-load-unfinished": lambda out: lasem.load(unfinished(out)),
    "run-predict-shape": lambda out: predict(out, shape=(3, 8, 8)),
    "run-predict-task": lambda out: predict(out, task=1),
    "run-show-nothing": lambda out: collect([out / "absent"]),
    "run-show-no-run": lambda out: (out / "empty").mkdir() or collect([out / "empty"]),
    "device-unknown": lambda _: choose_device("gpu"),
    "device-mps": lambda _: choose_device("mps"),
    "device-index": lambda _: choose_device("cuda:99"),
    "device-no-index": lambda _: choose_device("cuda:first"),
    "device-cpu-index": lambda _: choose_device("cpu:1"),
}

COMMANDS = {
    "cli-no-preset": ("run", "digits/lasem-hp"),
    "cli-unknown-key": ("run", "digits/stl", "--set", "training.epoch=3"),
    "cli-seeds-text": ("run", "digits/stl", "--seeds", "0,one"),
    "cli-seeds-negative": ("run", "digits/stl", "--seeds", "-1"),
    "cli-no-file": ("run", "absent.toml"),
    "cli-no-data": ("run", "pacs/stl", "--data", "absent"),
    "cli-no-gpu": ("run", "digits/stl", "--device", "cuda:99"),
    "cli-tf32": ("run", "digits/stl", "--set", "training.precision=tf32", "--device", "cpu"),
    "cli-no-room": ("run", "digits/lasem-hps", "--max-memory", "0.001", "--device", "cpu"),
    "cli-max-hours": ("run", "digits/lasem-hps", "--max-hours", "2"),
    "cli-show-nothing": ("show", "absent"),
}
