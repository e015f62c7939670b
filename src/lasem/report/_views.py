"""The data of the page's plots, as plain values for JSON: of one run, and of a row of the comparison."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from lasem.records import TaskHistory
from lasem.report._collect import Run
from lasem.report._curves import forgetting_curves, group_names, thin
from lasem.report._history import committed, history, measured
from lasem.report._tables import COLUMNS, ComparisonRow, comparison_rows, task_rows

MOST_NAMED = 8
"""Candidates of a task with a line of their own; the others are summed."""

MOST_TURNS = 16
"""Of candidates that take turns, those drawn: they validate best."""

ACCURACY, PROBABILITY, MARGINAL = 10_000, 1_000, 100
"""Parts of one that are kept: what a screen can show."""

Curve = list[Any]
"""Increments of x, increments of y in parts of one, and the number of parts, for `curve` in page.js."""


def run_view(run: Run, most: int) -> dict[str, Any]:
    """Everything the page shows of one run: its tasks with curves of at most `most` points, and what was run."""
    tasks = history(run)
    matrix = measured(run, tasks).accuracy
    groups = max((len(record.marginals or ()) for task in tasks for record in task.epochs), default=0)
    return {
        "tasks": [_task_view(task, tasks, most) for task in tasks],
        "rows": [{key: _short(value) for key, value in row._asdict().items()} for row in task_rows(run)],
        "groups": group_names(run, groups),
        "bits": committed(run, tasks),
        "matrix": [[_rounded(value) for value in row] for row in matrix],
        "facts": list(_facts(run)),
        "spec": run.spec_text,
    }


def row_view(row: ComparisonRow) -> dict[str, Any]:
    """A row of the comparison: each run's measures, forgetting as tasks arrive, and how often each layer is shared."""
    alone = [comparison_rows([run])[0].spreads for run in row.runs]
    curves = forgetting_curves(row.runs)
    bits = [bits for run in row.runs for bits in committed(run, history(run)) if bits]
    return {
        "learner": row.learner,
        "benchmark": row.benchmark,
        "finished": row.finished,
        "runs": [{"seed": run.seed, "path": str(run.path), "name": run.name} for run in row.runs],
        "measures": {
            key: {
                "values": [_known(spreads[i].mean) for spreads in alone],
                "mean": _known(row.spreads[i].mean),
                "half": _known(row.spreads[i].half_width),
                "text": column.text(row.spreads[i]),
            }
            for i, (key, column) in enumerate(COLUMNS.items())
        },
        "forgetting": [curves[0].x, [_rounded(value) for value in curves[0].y]] if curves else None,
        "shared": [sum(map(int, column)) for column in zip(*bits, strict=False)],
        "decided": len(bits),
    }


def as_json(value: object) -> str:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)


def _task_view(task: TaskHistory, tasks: Sequence[TaskHistory], most: int) -> dict[str, Any]:
    chosen = task.chosen
    after = {late.evaluation.epoch: late.evaluation for late in tasks[task.position :] if late.evaluation}
    return {
        "name": task.name,
        "span": [task.epochs[0].epoch, task.epochs[-1].epoch] if task.epochs else None,
        "test": _curve({e.epoch: e.test_accuracy for e in chosen}, most),
        "valid": _curve({e.epoch: e.valid_accuracy for e in chosen}, most),
        "loss": _curve({e.epoch: e.loss for e in chosen}, most),
        "after": _curve({epoch: late.accuracy[task.position] for epoch, late in after.items()}, most),
        "search": _search_view(task, most),
        "turns": _turns_view(task, most),
        "decision": task.decision.model_dump(include={"probability", "margin"}) if task.decision else None,
    }


def _search_view(task: TaskHistory, most: int) -> dict[str, Any] | None:
    """Candidates by their mean probability in the task, the rest together, and the marginals."""
    priors = {record.epoch: dict(record.prior) for record in task.epochs if record.prior}
    if not priors:
        return None
    totals: Counter[int] = Counter()
    for prior in priors.values():
        totals.update(prior)
    ranked = [index for index, _ in totals.most_common()]
    top = ranked[: MOST_NAMED if len(ranked) > MOST_NAMED + 1 else MOST_NAMED + 1]
    last = next(reversed(priors.values()))
    rest = {epoch: 1 - sum(prior.get(index, 0.0) for index in top) for epoch, prior in priors.items()}
    return {
        "lines": [
            {
                "label": task.candidate(index),
                "points": _curve({epoch: prior.get(index, 0.0) for epoch, prior in priors.items()}, most, PROBABILITY),
                "mean": _rounded(totals[index] / len(priors)),
                "last": _rounded(last.get(index, 0.0)),
            }
            for index in top
        ],
        "others": len(ranked) - len(top),
        "rest": _curve(rest, most, PROBABILITY) if len(ranked) > len(top) else None,
        "marginals": _marginals(task, most),
    }


def _marginals(task: TaskHistory, most: int) -> list[Curve]:
    """Per group its probability to be shared, at equally spaced epochs."""
    known = [(record.epoch, record.marginals) for record in task.epochs if record.marginals]
    kept = [known[i] for i in np.unique(np.linspace(0, len(known) - 1, min(len(known), most)).astype(int))]
    epochs = [epoch for epoch, _ in kept]
    groups = zip(*(marginals for _, marginals in kept), strict=True)
    return [_packed(epochs, group, MARGINAL) for group in groups]


def _turns_view(task: TaskHistory, most: int) -> list[dict[str, Any]] | None:
    """Validation accuracy of the candidates that took turns, those that validate best first."""
    turns: dict[int, dict[int, float]] = {}
    for record in task.epochs:
        if record.candidate is not None:
            turns.setdefault(record.candidate, {})[record.task_epoch] = record.valid_accuracy
    best = sorted(turns, key=lambda candidate: -max(turns[candidate].values()))[:MOST_TURNS]
    drawn = [{"label": task.candidate(index), "points": _curve(turns[index], most)} for index in best]
    return drawn or None


def _facts(run: Run) -> Iterator[tuple[str, str]]:
    """What was run and on what, as pairs for a list."""
    yield from ((what, run.part(what)) for what in ("learner", "benchmark", "network", "profile"))
    yield "seed", "-" if run.seed is None else str(run.seed)
    yield from _flat(run.environment)
    yield "folder", str(run.path)


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield prefix + key.replace("_", " "), str(value)


def _curve(values: Mapping[int, float | None], most: int, scale: int = ACCURACY) -> Curve | None:
    """A thinned curve; None where nothing is known."""
    known = {x: y for x, y in values.items() if y is not None}
    return _packed(*thin(list(known), list(known.values()), most), scale) if known else None


def _packed(x: Sequence[float], y: Sequence[float], scale: int) -> Curve:
    """Whole numbers, each less the one before: smooth curves take a fraction of the bytes."""
    whole = (np.asarray(x), np.rint(np.asarray(y) * scale))
    return [*(np.diff(values, prepend=0).astype(int).tolist() for values in whole), scale]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _short(value: object) -> object:
    """A cell of a table: four digits of a fraction."""
    return round(value, 4) if isinstance(value, float) else value


def _known(value: float) -> float | None:
    """None for NaN, which JSON has not."""
    return None if value != value else value
