"""The tables of exported data: their columns with type and meaning, and their rows for a run."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pyarrow as pa

from lasem.records import EpochRecord, TaskHistory
from lasem.report._choices import configuration_name
from lasem.report._run import Run

TEXT, WHOLE, NUMBER, YES_NO = pa.string(), pa.int64(), pa.float64(), pa.bool_()

Columns = Mapping[str, tuple[pa.DataType, str]]
"""Type and meaning of columns by name."""

Row = dict[str, Any]

RUN: Columns = MappingProxyType(
    {
        "run": (TEXT, "name of the run's folder; its path where two have one name"),
        "learner": (TEXT, "name of the learner, such as lasem-hps"),
        "benchmark": (TEXT, "name of the stream's benchmark"),
        "seed": (WHOLE, "training seed; missing where nothing says it"),
    }
)
"""Columns that every table begins with."""

TASK: Columns = {"task": (WHOLE, "position of the task in the stream, from 0")}
EPOCH: Columns = {"task_epoch": (WHOLE, "epoch of the task (where candidates take turns, of the turn), from 1")}
TRAINED: Columns = {
    **TASK,
    "epoch": (WHOLE, "epoch of the stream, from 1"),
    **EPOCH,
    "candidate": (WHOLE, "index of the candidate that was trained, where they take turns"),
}

RUNS: Mapping[str, tuple[pa.DataType, str, Callable[[Run], object]]] = MappingProxyType(
    {
        "network": (TEXT, "name of the network", lambda run: run.network),
        "profile": (TEXT, "paper or release", lambda run: run.profile),
        "small": (
            YES_NO,
            "whether it is a small variant, no published setting",
            lambda run: bool(run.spec.get("small")),
        ),
        "finished": (YES_NO, "whether the stream was learned to its end", lambda run: run.finished),
        "stream_seed": (WHOLE, "seed of the tasks", lambda run: run.stream_seed),
        "data_seed": (WHOLE, "seed of the images", lambda run: run.data_seed),
        "epochs": (WHOLE, "epochs per task, as set", lambda run: run.setting("training", "epochs")),
        "training_seconds": (NUMBER, "wall clock of training", lambda run: run.training_seconds),
        "evaluation_seconds": (NUMBER, "wall clock of evaluation", lambda run: run.evaluation_seconds),
        "parameters_shared": (
            WHOLE,
            "parameters that tasks share, at the end",
            lambda run: run.parameters and run.parameters.shared,
        ),
        "parameters_tasks": (
            WHOLE,
            "parameters of all tasks of their own, at the end",
            lambda run: run.parameters and sum(run.parameters.per_task),
        ),
        "parameters_search": (
            WHOLE,
            "most parameters trained at once",
            lambda run: run.parameters and run.parameters.search,
        ),
        "device": (TEXT, "name of the processor or GPU", lambda run: run.environment.get("device_name")),
        "fingerprint": (TEXT, "of the selected pixels, labels and choices", lambda run: run.stream.get("fingerprint")),
    }
)
"""Columns of the table of runs, with the function that gives the value."""


MEASURES: Columns = {
    "measure": (TEXT, "such as final_accuracy; docs/runs.md tells what each is"),
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
    "configuration": (TEXT, "what was committed: a character per layer, 1 = shared, first layer first"),
    "configuration_name": (TEXT, "such as top-2, where it has a name"),
    "probability": (NUMBER, "probability of what was committed"),
    "margin": (NUMBER, "that less the runner-up's"),
}


def _tasks(run: Run) -> Iterator[Row]:
    for task, bits in zip(run.tasks, run.configurations, strict=False):
        record, decision = task.task, task.decision
        yield {
            "task": task.position,
            "identity": record and record.identity,
            "name": task.name,
            "classes": record and record.classes,
            **(record.images if record else {}),
            "configuration": bits,
            "configuration_name": bits and configuration_name(bits),
            "probability": decision and decision.probability,
            "margin": decision and decision.margin,
        }


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
    for task, bits in enumerate(run.configurations):
        for layer, bit in enumerate(bits or "", start=1):
            yield {"task": task, "layer": layer, "shared": bit == "1"}


def _probabilities(run: Run) -> Iterator[Row]:
    for task, e, when in _epochs(run):
        for index, probability in e.prior or ():
            named = {"candidate": index, "configuration": task.candidate(index)}
            yield when | named | {"probability": probability}


def _marginals(run: Run) -> Iterator[Row]:
    for _, e, when in _epochs(run):
        for group, probability in enumerate(e.marginals or (), start=1):
            yield when | {"group": group, "probability": probability}


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
                "accuracy": (NUMBER, "test accuracy of task then, fraction: R[after_task, task]"),
            },
            _retention,
        ),
        "configurations": ExportedTable(
            {
                **TASK,
                "layer": (WHOLE, "from 1, nearest the input"),
                "shared": (YES_NO, "whether the task reads the layer from shared knowledge"),
            },
            _configurations,
        ),
        "probabilities": ExportedTable(
            {
                **TASK,
                **EPOCH,
                "candidate": (WHOLE, "index of the configuration"),
                "configuration": (TEXT, "a bit per group, 1 = shared, the group with the lowest layer first"),
                "probability": (NUMBER, "prior at the epoch's end; of more than 64 the 64 most probable have rows"),
            },
            _probabilities,
        ),
        "marginals": ExportedTable(
            {
                **TASK,
                **EPOCH,
                "group": (WHOLE, "from 1, the one with the lowest layer first"),
                "probability": (NUMBER, "probability that the group shares"),
            },
            _marginals,
        ),
    }
)
"""The exported tables by name, in the order in which they are written."""
