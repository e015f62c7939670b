"""Run folders as a runner leaves them, made up: many learners, seeds and tasks, for what reads them."""

import json
from pathlib import Path

import numpy as np

from lasem.metrics import LearningCurve, accuracy_matrix, measures
from lasem.records import DecisionRecord, EpochRecord, EvaluationRecord, Result, TaskRecord, line

LEARNERS = (
    "lasem-hps", "lasem-tf", "lasem-dfcnn", "darts-hps", "darts-tf", "darts-dfcnn", "stl", "snn", "hps", "hps-top-1",
    "hps-bottom-1", "hps-alternating", "tf", "tf-top-1", "dfcnn", "dfcnn-top-1", "prognn",
)  # fmt: skip
"""Seventeen; the first six search."""

SEARCHING = 6
LAYERS = 4
CANDIDATES = 2**LAYERS

SPEC = """
name = "{benchmark}/{learner}"
profile = "paper"
small = ["5 tasks instead of 10"]

[benchmark]
name = "{benchmark}"
kind = "cifar100"

[network]
name = "cifar-4"

[learner]
name = "{learner}"

[seeds]
stream = 0
data = {seed}
training = {seed}
"""


def write_runs(out, *, learners=LEARNERS, seeds=3, tasks=5, epochs=20, benchmark="cifar100-10"):
    """Write a finished run per learner and seed below `out`; equal arguments give equal runs."""
    for number, learner in enumerate(learners):
        for seed in range(seeds):
            source = np.random.default_rng([number, seed])
            folder = Path(out) / f"{benchmark}-{learner}-s{seed}-{number:08x}"
            _write_run(folder, learner, seed, benchmark, _events(source, tasks, epochs, LEARNERS.index(learner)))


def _events(source, tasks, epochs, number):
    """Accuracies that rise and are forgotten a little, and a prior that leans to one candidate."""
    best = np.minimum(1, 0.5 + 0.4 * source.random(tasks) + 0.01 * number)
    for task in range(tasks):
        names = {"train": 100, "valid": 50, "test": 100}
        yield TaskRecord(task=task, identity=task, name=f"task of {task}", classes=10, images=names)
        lean, chosen = np.zeros(CANDIDATES), int(source.integers(CANDIDATES))
        for epoch in range(epochs):
            lean[chosen] += 4 / epochs
            accuracy = float(best[task] * (1 - np.exp(-4 * (epoch + 1) / epochs)) + 0.01 * source.standard_normal())
            search = _search(lean + 0.1 * source.standard_normal(CANDIDATES)) if number < SEARCHING else {}
            yield EpochRecord(
                task=task, epoch=task * epochs + epoch + 1, task_epoch=epoch + 1, loss=2.3 * np.exp(-epoch / epochs),
                valid_accuracy=np.clip(accuracy, 0, 1), test_accuracy=np.clip(accuracy - 0.02, 0, 1),
                configuration=_bits(chosen), training_seconds=1.0, evaluation_seconds=0.1, **search,
            )  # fmt: skip
        epoch = (task + 1) * epochs
        yield DecisionRecord(task=task, epoch=epoch, configuration=_bits(chosen), probability=0.7, margin=0.4)
        now = [float(best[t] * 0.99 ** (task - t)) for t in range(task + 1)]
        yield EvaluationRecord(task=task, epoch=epoch, accuracy=now, seconds=0.2)


def _bits(index):
    return [int(bit) for bit in f"{index:0{LAYERS}b}"]


def _search(logits):
    prior = np.exp(logits) / np.exp(logits).sum()
    shared = np.array([_bits(index) for index in range(CANDIDATES)])
    return {
        "prior": [(index, round(float(p), 6)) for index, p in enumerate(prior)],
        "marginals": [round(float(p), 6) for p in prior @ shared],
        "entropy": float(-(prior * np.log(prior)).sum()),
    }


def _write_run(folder, learner, seed, benchmark, events):
    folder.mkdir(parents=True)
    events = list(events)
    names = [event.name for event in events if event.event == "task"]
    environment = {
        "lasem": "0.1.0", "python": "3.11.7", "torch": "2.9.0", "device": "cpu", "device_name": "a processor",
        "threads": 1, "command": f"lasem run {benchmark}/{learner}/small --seeds 0,1,2", "fingerprint": "0f" * 32,
    }  # fmt: skip
    (folder / "spec.toml").write_text(SPEC.format(benchmark=benchmark, learner=learner, seed=seed))
    (folder / "environment.json").write_text(json.dumps(environment))
    (folder / "stream.json").write_text(json.dumps({"outline": {"identities": [*range(len(names))]}}))
    (folder / "records.jsonl").write_text("".join(map(line, events)))
    (folder / "result.json").write_text(_result(events, names, learner, seed, benchmark).model_dump_json())


def _result(events, names, learner, seed, benchmark):
    rows = {event.task: event.accuracy for event in events if event.event == "evaluation"}
    epochs = [[e for e in events if e.event == "epoch" and e.task == task] for task in range(len(names))]
    curves = [
        LearningCurve(np.array([e.valid_accuracy for e in own]), np.array([e.test_accuracy for e in own]))
        for own in epochs
    ]
    return Result(
        name=f"{benchmark}/{learner}", learner=learner, benchmark=benchmark, network="cifar-4", profile="paper",
        seed=seed, device="cpu", complete=True, tasks=names,
        configurations=[event.configuration for event in events if event.event == "decision"],
        parameters={"shared": 1000, "per_task": [100] * len(names), "search": 2000},
        seconds={"training": float(sum(map(len, epochs))), "evaluation": 3.0},
        **dict(measures(accuracy_matrix(rows, len(names)), curves)),
    )  # fmt: skip
