"""The tables of exported data: their columns with type and meaning, and their rows for a run."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pyarrow as pa

from lasem.configurations import BRANCHES, FROZEN, SHARED, digits_key
from lasem.records import EpochRecord, TaskHistory
from lasem.report._choices import configuration_name
from lasem.report._run import Run

TEXT, WHOLE, NUMBER, YES_NO = pa.string(), pa.int64(), pa.float64(), pa.bool_()

Columns = Mapping[str, tuple[pa.DataType, str]]
"""Type and meaning of columns by name."""

Row = dict[str, Any]

RUN: Columns = MappingProxyType(
    {
        "run": (TEXT, "name of the run's folder; the path of the folder if two runs have the same name"),
        "learner": (TEXT, "name of the learner, such as lasem-hps"),
        "benchmark": (TEXT, "name of the stream's benchmark"),
        "seed": (WHOLE, "seed of training; missing if the run does not record it"),
    }
)
"""Columns that every table begins with."""

TASK: Columns = {"task": (WHOLE, "position of the task in the stream, from 0")}
EPOCH: Columns = {"task_epoch": (WHOLE, "epoch of the task, from 1; if candidates take turns, epoch of the turn")}
TRAINED: Columns = {
    **TASK,
    "epoch": (WHOLE, "epoch of the stream, from 1"),
    **EPOCH,
    "candidate": (WHOLE, "index of the candidate that was trained, if candidates take turns"),
}

RUNS: Mapping[str, tuple[pa.DataType, str, Callable[[Run], object]]] = MappingProxyType(
    {
        "network": (TEXT, "name of the network", lambda run: run.network),
        "profile": (TEXT, "paper, release or recommended", lambda run: run.profile),
        "small": (
            YES_NO,
            "whether the run uses a small variant instead of the published setting",
            lambda run: bool(run.spec.get("small")),
        ),
        "finished": (YES_NO, "whether the run has learned the whole stream", lambda run: run.finished),
        "stream_seed": (WHOLE, "seed of the tasks", lambda run: run.stream_seed),
        "data_seed": (WHOLE, "seed of the images", lambda run: run.data_seed),
        "epochs": (WHOLE, "epochs per task in the spec", lambda run: run.setting("training", "epochs")),
        "training_seconds": (NUMBER, "wall clock of training", lambda run: run.training_seconds),
        "evaluation_seconds": (NUMBER, "wall clock of evaluation", lambda run: run.evaluation_seconds),
        "cpu_seconds": (NUMBER, "CPU time of training, over all threads", lambda run: run.cpu_seconds),
        "parameters_shared": (
            WHOLE,
            "number of shared parameters at the end",
            lambda run: run.parameters and run.parameters.shared,
        ),
        "parameters_tasks": (
            WHOLE,
            "number of parameters that belong to single tasks, summed over tasks, at the end",
            lambda run: run.parameters and sum(run.parameters.per_task),
        ),
        "parameters_search": (
            WHOLE,
            "largest number of parameters trained at the same time",
            lambda run: run.parameters and run.parameters.search,
        ),
        "device": (TEXT, "name of the processor or GPU", lambda run: run.environment.get("device_name")),
        "fingerprint": (
            TEXT,
            "hash of the selected pixels, labels and choices of the stream",
            lambda run: run.stream.get("fingerprint"),
        ),
    }
)
"""Columns of the table of runs, with the function that gives the value."""


MEASURES: Columns = {
    "measure": (TEXT, "name of the measure, such as final_accuracy; docs/runs.md defines each"),
    "value": (NUMBER, "fraction, ratio or difference of fractions"),
}


def _measures(run: Run) -> Iterator[Row]:
    found = run.measures
    values = {
        "peak_accuracy_validation": found.peak_accuracy.validation.mean,
        "peak_accuracy_test": found.peak_accuracy.test.mean,
        "final_accuracy": found.final_accuracy,
        "average_incremental_accuracy": found.average_incremental_accuracy,
        "forgetting_ratio": found.forgetting_ratio.mean,
        "backward_transfer": found.backward_transfer,
        "forgetting": found.forgetting,
    }
    yield from ({"measure": name, "value": value} for name, value in values.items() if value is not None)


TASKS: Columns = {
    **TASK,
    "identity": (WHOLE, "the same number for every visit of the same task"),
    "name": (TEXT, "the task's name"),
    "classes": (WHOLE, "number of classes"),
    "train": (WHOLE, "training images"),
    "valid": (WHOLE, "validation images"),
    "test": (WHOLE, "test images"),
    "configuration": (
        TEXT,
        f"committed configuration: one digit per layer, the layer nearest the input first; {digits_key(3)}",
    ),
    "configuration_name": (TEXT, "name of the configuration, such as top-2, if it has one"),
    "probability": (NUMBER, "probability of the committed configuration"),
    "margin": (NUMBER, "probability of the committed configuration minus that of the runner-up"),
    "tied": (WHOLE, "number of other candidates that validated equally well, if candidates take turns"),
}


def _tasks(run: Run) -> Iterator[Row]:
    for task, digits in zip(run.tasks, run.configurations, strict=False):
        record, decision = task.task, task.decision
        yield {
            "task": task.position,
            "identity": record and record.identity,
            "name": task.name,
            "classes": record and record.classes,
            **(record.images if record else {}),
            "configuration": digits,
            "configuration_name": digits and configuration_name(digits),
            "probability": decision and decision.probability,
            "margin": decision and decision.margin,
            "tied": decision and decision.tied,
        }


UNITS: Columns = {
    **TASK,
    "layer": (WHOLE, "hidden layer, from 1 at the input"),
    "units": (WHOLE, "units of all tasks so far; with gating, channels that they use"),
    "selected": (WHOLE, "units that the task retrained (DEN)"),
    "expanded": (WHOLE, "units that stayed of those added for the task (DEN)"),
    "split": (WHOLE, "units that were split because they had drifted (DEN)"),
}


def _units(run: Run) -> Iterator[Row]:
    for task in run.tasks:
        decision = task.decision
        for layer, units in enumerate((decision and decision.units) or ()):
            changes = {name: getattr(decision, name) for name in ("selected", "expanded", "split")}
            counts = {name: numbers and numbers[layer] for name, numbers in changes.items()}
            yield {"task": task.position, "layer": layer + 1, "units": units, **counts}


def _epochs(run: Run) -> Iterator[tuple[TaskHistory, EpochRecord, Row]]:
    """Every epoch with the columns that say when it was."""
    for task in run.tasks:
        for e in task.epochs:
            when = {"task": task.position, "epoch": e.epoch, "task_epoch": e.task_epoch, "candidate": e.candidate}
            yield task, e, when


def _accuracy(run: Run) -> Iterator[Row]:
    for _, e, when in _epochs(run):
        yield when | {"split": "valid", "accuracy": e.valid_accuracy}
        if e.test_accuracy is not None:
            yield when | {"split": "test", "accuracy": e.test_accuracy}


def _losses(run: Run) -> Iterator[Row]:
    yield from (when | {"loss": e.loss, "training_seconds": e.training_seconds} for _, e, when in _epochs(run))


def _retention(run: Run) -> Iterator[Row]:
    for after in run.tasks:
        for task, accuracy in enumerate(after.evaluation.accuracy if after.evaluation else ()):
            yield {"task": task, "after_task": after.position, "accuracy": accuracy}


def _configurations(run: Run) -> Iterator[Row]:
    for task, digits in enumerate(run.configurations):
        for layer, digit in enumerate(map(int, digits or ""), start=1):
            yield {"task": task, "layer": layer, "shared": digit == SHARED, "branch": BRANCHES[digit]}


def _probabilities(run: Run) -> Iterator[Row]:
    for task, e, when in _epochs(run):
        for index, probability in e.prior or ():
            named = {"candidate": index, "configuration": task.candidate(index)}
            yield when | named | {"probability": probability}


def _marginals(run: Run) -> Iterator[Row]:
    for _, e, when in _epochs(run):
        for group, probability in enumerate(e.marginals or (), start=1):
            frozen = e.branch_marginals[group - 1][FROZEN] if e.branch_marginals else None
            yield when | {"group": group, "probability": probability, "frozen": frozen}


class ExportedTable(NamedTuple):
    """A table of the export, with its columns behind those of `RUN` and its rows for a run."""

    columns: Columns
    rows: Callable[[Run], Iterator[Row]]


EXPORTED: Mapping[str, ExportedTable] = MappingProxyType(
    {
        "runs": ExportedTable(
            {name: (kind, meaning) for name, (kind, meaning, _) in RUNS.items()},
            lambda run: iter([{name: value(run) for name, (_, _, value) in RUNS.items()}]),
        ),
        "measures": ExportedTable(MEASURES, _measures),
        "tasks": ExportedTable(TASKS, _tasks),
        "units": ExportedTable(UNITS, _units),
        "accuracy": ExportedTable(
            {**TRAINED, "split": (TEXT, "valid or test"), "accuracy": (NUMBER, "fraction")}, _accuracy
        ),
        "losses": ExportedTable(
            {
                **TRAINED,
                "loss": (NUMBER, "mean training loss of the epoch"),
                "training_seconds": (NUMBER, "wall clock of the epoch's training"),
            },
            _losses,
        ),
        "retention": ExportedTable(
            {
                **TASK,
                "after_task": (WHOLE, "position of the task that was learned last; equals task at its own end"),
                "accuracy": (NUMBER, "test accuracy of the task at that time, as a fraction: R[after_task, task]"),
            },
            _retention,
        ),
        "configurations": ExportedTable(
            {
                **TASK,
                "layer": (WHOLE, "number of the layer, from 1 at the input"),
                "shared": (YES_NO, "whether the task reads the layer from shared knowledge"),
                "branch": (TEXT, "own, shared, or frozen at the initial values"),
            },
            _configurations,
        ),
        "probabilities": ExportedTable(
            {
                **TASK,
                **EPOCH,
                "candidate": (WHOLE, "index of the configuration"),
                "configuration": (TEXT, f"one digit per group, the group with the lowest layer first; {digits_key(3)}"),
                "probability": (
                    NUMBER,
                    "prior at the end of the epoch; of more than 64 candidates, only the 64 most probable have rows",
                ),
            },
            _probabilities,
        ),
        "marginals": ExportedTable(
            {
                **TASK,
                **EPOCH,
                "group": (WHOLE, "number of the group, from 1; the group with the lowest layer first"),
                "probability": (NUMBER, "probability that the group shares"),
                "frozen": (NUMBER, "probability that the group is frozen; missing without a frozen branch"),
            },
            _marginals,
        ),
    }
)
"""The exported tables by name, in the order in which they are written."""
