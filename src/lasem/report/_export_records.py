"""The rows of every exported table; `lasem.report._export` declares their columns."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from lasem.report._choices import configuration_name
from lasem.report._run import Run

Row = dict[str, Any]


def _runs(run: Run) -> Iterator[Row]:
    counts = run.parameters
    yield {
        "network": run.network,
        "profile": run.profile,
        "small": bool(run.spec.get("small")),
        "finished": run.finished,
        "stream_seed": run.setting("seeds", "stream"),
        "data_seed": run.setting("seeds", "data"),
        "epochs": run.setting("training", "epochs"),
        "training_seconds": run.training_seconds,
        "evaluation_seconds": run.evaluation_seconds,
        "parameters_shared": counts and counts.shared,
        "parameters_tasks": counts and sum(counts.per_task),
        "parameters_search": counts and counts.search,
        "device": run.environment.get("device_name"),
        "fingerprint": run.stream.get("fingerprint"),
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


def _tasks(run: Run) -> Iterator[Row]:
    for task, bits in zip(run.tasks, run.configurations, strict=False):
        record, decision = task.task, task.decision
        yield {
            "task": task.position,
            "identity": record and record.identity,
            "name": task.name,
            "classes": record and record.classes,
            **{split: record.images.get(split) if record else None for split in ("train", "valid", "test")},
            "configuration": bits,
            "configuration_name": bits and configuration_name(bits),
            "probability": decision and decision.probability,
            "margin": decision and decision.margin,
        }


def _accuracy(run: Run) -> Iterator[Row]:
    for task in run.tasks:
        for e in task.epochs:
            when = {"task": task.position, "epoch": e.epoch, "task_epoch": e.task_epoch, "candidate": e.candidate}
            yield when | {"split": "valid", "accuracy": e.valid_accuracy}
            if e.test_accuracy is not None:
                yield when | {"split": "test", "accuracy": e.test_accuracy}


def _losses(run: Run) -> Iterator[Row]:
    for task in run.tasks:
        for e in task.epochs:
            when = {"task": task.position, "epoch": e.epoch, "task_epoch": e.task_epoch, "candidate": e.candidate}
            yield when | {"loss": e.loss, "training_seconds": e.training_seconds}


def _retention(run: Run) -> Iterator[Row]:
    for after in run.tasks:
        for task, accuracy in enumerate(after.evaluation.accuracy if after.evaluation else ()):
            yield {"task": task, "after_task": after.position, "accuracy": accuracy}


def _configurations(run: Run) -> Iterator[Row]:
    for task, bits in enumerate(run.configurations):
        for layer, bit in enumerate(bits or "", start=1):
            yield {"task": task, "layer": layer, "shared": bit == "1"}


def _probabilities(run: Run) -> Iterator[Row]:
    for task in run.tasks:
        for e in task.epochs:
            for index, probability in e.prior or ():
                yield {
                    "task": task.position, "task_epoch": e.task_epoch, "candidate": index,
                    "configuration": task.candidate(index), "probability": probability,
                }  # fmt: skip


def _marginals(run: Run) -> Iterator[Row]:
    for task in run.tasks:
        for e in task.epochs:
            for group, probability in enumerate(e.marginals or (), start=1):
                when = {"task": task.position, "task_epoch": e.task_epoch}
                yield when | {"group": group, "probability": probability}


RECORDS: Mapping[str, Callable[[Run], Iterator[Row]]] = MappingProxyType(
    {
        "runs": _runs,
        "measures": _measures,
        "tasks": _tasks,
        "accuracy": _accuracy,
        "losses": _losses,
        "retention": _retention,
        "configurations": _configurations,
        "probabilities": _probabilities,
        "marginals": _marginals,
    }
)
"""Functions that yield the rows of a table for one run, by name of the table."""
