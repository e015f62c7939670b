"""Small run folders, written the way a runner writes them."""

from dataclasses import replace

import numpy as np

from lasem.metrics import LearningCurve, accuracy_matrix, measures
from lasem.records import DecisionRecord, EpochRecord, EvaluationRecord, Result, TaskRecord, line

SPEC = """
name = "small"
profile = "paper"

[benchmark]
name = "digits"

[network]
name = "cifar-4"

[learner]
name = "lasem-hps"

[seeds]
stream = 0
data = {seed}
training = {seed}
"""

ROWS = {0: [0.8], 1: [0.6, 0.9], 2: [0.4, 0.72, 0.5]}
VALID = {0: [0.5, 0.7], 1: [0.9, 0.9], 2: [0.1, 0.4]}
TEST = {0: [0.82, 0.8], 1: [0.95, 0.9], 2: [0.3, 0.5]}
PRIORS = {
    0: [[0.25, 0.25, 0.25, 0.25], [0.1, 0.2, 0.3, 0.4]],
    1: [[0.25, 0.25, 0.25, 0.25], [0.0, 0.1, 0.7, 0.2]],
    2: [[0.25, 0.25, 0.25, 0.25], [0.9, 0.1, 0.0, 0.0]],
}
COMMITTED = {0: [1, 1], 1: [1, 0], 2: [0, 0]}


def task_events(task, *, epochs=2, ended=True):
    yield TaskRecord(task=task, identity=task, name=f"t{task}", classes=2, images={"train": 8, "valid": 2, "test": 4})
    for e in range(epochs):
        prior = PRIORS[task][e]
        yield EpochRecord(
            task=task, epoch=2 * task + e + 1, task_epoch=e + 1, loss=1.0, valid_accuracy=VALID[task][e],
            test_accuracy=TEST[task][e], configuration=COMMITTED[task], prior=list(enumerate(prior)),
            marginals=[prior[2] + prior[3], prior[1] + prior[3]], entropy=1.0, training_seconds=1.5,
            evaluation_seconds=0.5,
        )  # fmt: skip
    if ended:
        bits = COMMITTED[task]
        yield DecisionRecord(task=task, epoch=2 * task + 2, configuration=bits, probability=0.5)
        yield EvaluationRecord(task=task, epoch=2 * task + 2, accuracy=ROWS[task], seconds=0.1)


def result(seed=0):
    curves = [LearningCurve(np.array(VALID[t]), np.array(TEST[t])) for t in range(3)]
    return Result(
        name="small", learner="lasem-hps", benchmark="digits", network="cifar-4", profile="paper", seed=seed,
        device="cpu", complete=True, tasks=["t0", "t1", "t2"], configurations=list(COMMITTED.values()),
        parameters={"shared": 100, "per_task": [10, 20, 30], "search": 200},
        seconds={"training": 9.0 + seed, "evaluation": 3.0}, **dict(measures(accuracy_matrix(ROWS, 3), curves)),
    )  # fmt: skip


def write_run(folder, events, *, seed=0, end=None):
    folder.mkdir(parents=True)
    (folder / "spec.toml").write_text(SPEC.format(seed=seed))
    (folder / "environment.json").write_text(
        '{"lasem": "0.1.0", "torch": "2.9", "device_name": "a <small> device", "data": {"images": 42}}'
    )
    (folder / "stream.json").write_text('{"fingerprint": "f", "outline": {"identities": [0, 1, 2]}}')
    (folder / "records.jsonl").write_text("".join(map(line, events)))
    if end:
        (folder / "result.json").write_text(end.model_dump_json())
    return folder


def write_learner(
    folder, name, *, strategy="fixed", configuration="all", seeds=(0,), benchmark="digits", extra="", **changes
):
    """Finished runs of one learner; `changes` go into the result, a function of the seed where they differ by it."""
    for seed in seeds:
        own = {key: value(seed) if callable(value) else value for key, value in changes.items()}
        end = result(seed).model_copy(update={"learner": name, "benchmark": benchmark, **own})
        path = write_run(
            folder / f"{name}-s{seed}-abc", [e for t in range(3) for e in task_events(t)], seed=seed, end=end
        )
        text = (path / "spec.toml").read_text()
        learner = f'name = "{name}"\nstrategy = "{strategy}"\nconfiguration = "{configuration}"'
        text = text.replace('name = "lasem-hps"', learner).replace('name = "digits"', f'name = "{benchmark}"')
        (path / "spec.toml").write_text(text + extra)
    return folder


def grown(run, *, per_task=1000, units=()):
    """The run with records of what it held after each task, and of the units per layer."""
    changes = {"evaluation": lambda t: {"parameters": per_task * (t + 1)}}
    if units:
        changes["decision"] = lambda t: {"units": list(units[t])}
    events = [
        event.model_copy(update=changes[event.event](event.task)) if event.event in changes else event
        for event in run.events
    ]
    return replace(run, events=tuple(events))
