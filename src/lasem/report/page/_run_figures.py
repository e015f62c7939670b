"""The figures of one run on the page.

Traces carry `meta.task`: the page makes the others faint when a task is chosen. A trace with `meta.only` is drawn only
while a task (`meta.task`, or any) is chosen, and with `meta.all` also while none is.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lasem.configurations import BRANCHES
from lasem.report._curves import MOST_POINTS, TaskSearch, leading, task_searches, task_turns, thin
from lasem.report._run import Run
from lasem.report.page._plotly_style import (
    FAINT,
    FROZEN,
    GRAY,
    LEANING,
    MOST_LEGEND,
    OWN,
    PALETTE,
    SHARED,
    THREE_LEANING,
    Figure,
    branch_keys,
    escaped,
    leaning,
    marker,
    rounded,
    spaced,
    stroke,
)

MOST_NAMED = 12
"""Most configurations with a line of their own; the others are summed."""

Spans = list[list[int] | None]
"""First and last epoch of the stream of every task; None for a task without epochs."""


def run_figures(run: Run, most_points: int = MOST_POINTS) -> dict[str, Figure]:
    """Make every figure of one run, without those that would be empty.

    Args:
        run: Any run.
        most_points: Most points of a curve per task.
    """
    spans: Spans = [[task.epochs[0].epoch, task.epochs[-1].epoch] if task.epochs else None for task in run.tasks]
    searches = task_searches(run, most_points)
    figures = {
        "accuracy": _accuracy(run, spans, most_points),
        "probabilities": _probabilities(searches, spans) if searches else _turns(run, most_points),
        "share-map": _share_map(run),
        "matrix": _matrix(run),
    }
    return {name: figure for name, figure in figures.items() if figure["data"]}


LOSS_AXIS = {
    "overlaying": "y",
    "side": "right",
    "showgrid": False,
    "rangemode": "tozero",
    "nticks": 6,
    "visible": False,
}
"""Second axis of accuracy curves, shown together with the training loss."""


def _accuracy(run: Run, spans: Spans, most_points: int) -> Figure:
    """Accuracy of every task while it is learned, and after it and every later task were learned."""
    tested = any(e.test_accuracy is not None for task in run.tasks for e in task.epochs)
    traces: list[dict[str, Any]] = []
    for t, task in enumerate(run.tasks):
        name = f"<b>task {t} ({escaped(task.name)})</b>"
        own = {e.epoch: e.test_accuracy if tested else e.valid_accuracy for e in task.chosen}
        curve = thin("", {epoch: value for epoch, value in own.items() if value is not None}, most_points)
        later = [after.evaluation for after in run.tasks[t:] if after.evaluation]
        same: dict[str, Any] = {"meta": {"task": t}, "legendgroup": f"{t}"}
        traces += [
            same
            | {"x": curve.x, "y": rounded(curve.y), "name": f"task {t}", "line": stroke(t, 1.5),
               "hovertemplate": f"{name}<br>epoch %{{x}}: %{{y}}<extra></extra>"}
            | ({"showlegend": False} if len(run.tasks) > MOST_LEGEND else {}),
            same
            | {"x": [e.epoch for e in later], "y": rounded([e.accuracy[t] for e in later]), "mode": "lines+markers",
               "line": stroke(t, 1) | {"dash": "dot"}, "marker": marker(t, 7), "showlegend": False,
               "hovertemplate": f"{name}, afterwards<br>epoch %{{x}}: %{{y}}<extra></extra>"},
        ]  # fmt: skip
    if tested:
        curves = [{e.epoch: e.valid_accuracy for e in task.chosen} for task in run.tasks]
        traces.append(
            _detail(curves, most_points, name="validation", line={"color": GRAY, "width": 1.5, "dash": "dash"})
        )
    losses = [{e.epoch: e.loss for e in task.chosen} for task in run.tasks]
    line = {"color": PALETTE[3], "width": 1.5, "dash": "dot"}
    traces.append(_detail(losses, most_points, name="training loss (right)", line=line, yaxis="y2"))
    words = f"{'test' if tested else 'validation'} accuracy"
    layout = {
        "xaxis": {"title": {"text": "epoch of the stream"}, "range": _whole(spans)},
        "yaxis": {"title": {"text": words}, "tickformat": ".0%", "hoverformat": ".1%", "range": [0, 1.02]},
        "yaxis2": LOSS_AXIS,
        "shapes": _task_lines(spans),
        "meta": {"height": 350, "spans": spans},
    }
    return {"data": [trace for trace in traces if trace["x"]], "layout": layout}


def _detail(curves: Sequence[Mapping[int, float]], most_points: int, **look: object) -> dict[str, Any]:
    """Curves of all tasks in one trace, with a gap between two tasks, which is drawn while a task is chosen."""
    x: list[float | None] = []
    y: list[float | None] = []
    for values in curves:
        curve = thin("", values, most_points)
        x += [*curve.x, None]
        y += [*rounded(curve.y), None]
    return {"meta": {"only": True}, "x": x, "y": y, **look}


def _probabilities(searches: Sequence[TaskSearch], spans: Spans) -> Figure:
    """Above the probability of every configuration, below that of every group to be shared; tasks side by side."""
    names = leading(searches, MOST_NAMED)
    x: list[int | None] = []
    lines: dict[str, list[float | None]] = {name: [] for name in names}
    others: list[float | None] = []
    for search in searches:
        found = {line.label: line.y for line in search.candidates}
        epochs = [search.start + int(epoch) for epoch in search.candidates[0].x]
        x += [*epochs, None]
        for name, y in lines.items():
            y += [*rounded(found.get(name, [None] * len(epochs)), 3), None]
        rest = [1 - sum(found[name][i] or 0.0 for name in names if name in found) for i in range(len(epochs))]
        others += [*rounded(rest, 3), None]
    traces: list[dict[str, Any]] = [
        {"y": y, "name": escaped(name), "legendgroup": f"{i}", "line": stroke(i)}
        for i, (name, y) in enumerate(lines.items())
    ]
    if max(search.size for search in searches) > len(names):
        line = {"color": GRAY, "width": 1, "dash": "dot"}
        traces.append({"y": others, "name": "others, together", "line": line})
    highest = max(y for trace in traces for y in trace["y"] if y is not None)
    groups = max((search.groups for search in searches), key=len)
    map_height = 20 * len(groups) + 24 if groups else 0
    split = map_height / (280 + map_height)
    layout: dict[str, Any] = {
        "xaxis": {
            "title": {"text": "epoch of the stream"}, "range": _whole(spans), "anchor": "y2" if groups else "y",
        },
        "yaxis": {
            "title": {"text": "probability"}, "hoverformat": ".3f", "range": [0, min(1.02, 1.1 * highest)],
            "domain": [split + 0.03 if groups else 0, 1],
        },
        "shapes": _task_lines(spans),
        "meta": {"height": 336 + map_height, "spans": spans, "x": x},
    }  # fmt: skip
    if groups:
        traces.append(_marginals(searches, groups))
        layout["yaxis2"] = {"domain": [0, split - 0.02], "showgrid": False, "type": "category"}
    return {"data": traces, "layout": layout}


def _marginals(searches: Sequence[TaskSearch], groups: Sequence[str]) -> dict[str, Any]:
    known = [search for search in searches if len(search.marginals) == len(groups)]
    trace: dict[str, Any] = {
        "type": "heatmap", "yaxis": "y2", "x": [search.start + epoch for search in known for epoch in search.epochs],
        "y": [escaped(name) for name in groups], "showscale": False,
    }  # fmt: skip
    if all(search.branch_marginals for search in known):
        rows = [[p for search in known for p in search.branch_marginals[g]] for g in range(len(groups))]
        return trace | THREE_LEANING | {
            "z": [[leaning(p) for p in row] for row in rows],
            "customdata": [[", ".join(f"{word} {part:.2f}" for word, part in zip(BRANCHES, p, strict=True))
                            for p in row] for row in rows],
            "hovertemplate": "%{y}, epoch %{x}: probabilities %{customdata}<extra></extra>",
        }  # fmt: skip
    return trace | {
        "z": [rounded([p for search in known for p in search.marginals[g]], 2) for g in range(len(groups))],
        "zmin": 0, "zmax": 1, "colorscale": LEANING,
        "hovertemplate": "%{y}, epoch %{x}: shared with probability %{z:.2f}<extra></extra>",
    }  # fmt: skip


def _turns(run: Run, most_points: int) -> Figure:
    """Candidates that take turns have no probability: their validation accuracy; without a chosen task, of the last."""
    turns = task_turns(run, most_points)
    traces = [
        {
            "x": line.x, "y": rounded(line.y), "name": escaped(line.label), "line": stroke(i),
            "meta": {"task": task.position, "only": True, "all": task is turns[-1]},
        }
        for task in turns
        for i, line in enumerate(task.candidates)
    ]  # fmt: skip
    layout = {
        "xaxis": {"title": {"text": "epoch of a candidate's turn"}},
        "yaxis": {
            "title": {"text": "validation accuracy"},
            "tickformat": ".0%",
            "hoverformat": ".1%",
            "range": [0, 1.02],
        },
        "meta": {"height": 320},
    }
    return {"data": traces, "layout": layout}


def _share_map(run: Run) -> Figure:
    """Task by task, the branch that each layer takes."""
    depth = max((len(digits) for digits in run.configurations if digits), default=0)
    if not depth:
        return {"data": [], "layout": {}}
    columns = [list(map(int, digits)) if digits else [None] * depth for digits in run.configurations]
    words = {1: "shared", 0: "its own", 2: "frozen", None: "not decided"}
    colors = [OWN, SHARED, FROZEN][: run.branches]
    traces: list[dict[str, Any]] = [
        {
            "type": "heatmap", "x": [*range(len(columns))], "y": [*range(1, 1 + depth)],
            "z": [[column[layer] for column in columns] for layer in range(depth)], "xgap": 2, "ygap": 2,
            "zmin": 0, "zmax": len(colors) - 1, "showscale": False,
            "colorscale": [[digit / (len(colors) - 1), color] for digit, color in enumerate(colors)],
            "customdata": [[words[column[layer]] for column in columns] for layer in range(depth)],
            "hovertemplate": "task %{x}, layer %{y}: %{customdata}<extra></extra>",
        },
        *branch_keys(run.branches),
    ]  # fmt: skip
    layout = {
        "xaxis": {"title": {"text": "task"}, "dtick": spaced(len(columns)), "showgrid": False},
        "yaxis": {"title": {"text": "layer"}, "dtick": 1, "showgrid": False},
        "meta": {"height": 70 + 26 * depth, "mark": True},
    }
    return {"data": traces, "layout": layout}


def _matrix(run: Run) -> Figure:
    """Test accuracy of each task (column) after each task was learned (row)."""
    rows = run.measures.accuracy
    if len(rows) < 2:
        return {"data": [], "layout": {}}
    tasks = [*range(len(rows))]
    trace = {
        "type": "heatmap", "x": tasks, "y": tasks, "z": [rounded(row) for row in rows], "zmin": 0, "zmax": 1, "xgap": 1,
        "ygap": 1, "colorscale": "Cividis", "texttemplate": "%{z:.0%}" if len(tasks) <= 12 else "",
        "textfont": {"size": 11}, "hovertemplate": "task %{x} after task %{y}: %{z:.1%}<extra></extra>",
    }  # fmt: skip
    axis = {"dtick": spaced(len(tasks)), "showgrid": False}
    layout = {
        "xaxis": axis | {"title": {"text": "task"}},
        "yaxis": axis | {"title": {"text": "after task"}, "autorange": "reversed"},
        "meta": {"height": 110 + min(22 * len(tasks), 330), "mark": True},
    }
    return {"data": [trace], "layout": layout}


def _whole(spans: Spans) -> list[float] | None:
    """The epochs of the whole stream, with a margin at both ends."""
    known = [epoch for span in spans if span for epoch in span]
    if not known:
        return None
    margin = max(0.5, (max(known) - min(known)) / 40)
    return [min(known) - margin, max(known) + margin]


def _task_lines(spans: Iterable[list[int] | None]) -> list[dict[str, Any]]:
    """A vertical line where every task but the first begins."""
    starts = [span[0] - 0.5 for span in spans if span][1:]
    return [
        {"type": "line", "x0": x, "x1": x, "yref": "paper", "y0": 0, "y1": 1, "line": {"color": FAINT, "width": 1.5}}
        for x in starts
    ]
