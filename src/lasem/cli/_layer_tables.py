"""What `lasem layers` prints: what to do with each stage, accuracies beside the search's, and the cost."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lasem.formats import duration
from lasem.text import printable

if TYPE_CHECKING:
    from lasem.report import Rival, TaskAdvice

ABOUT = {
    "search": "what the search chose",
    "full": "full tuning of a copy for each task",
    "linear": "linear probe, all stages frozen",
    "auto-rgn": "full tuning, rates by relative gradient norm",
    "own-norms": "own scales and shifts of norms",
    "own-lora": "own low-rank changes of weights",
}
"""What the names of learners stand for."""


def layers_json(advice: "Sequence[TaskAdvice]", rivals: "Sequence[Rival]", costs: Mapping[str, float]) -> str:
    """Return a list with a table for each task, with the test accuracy of every learner and the cost of all tasks."""
    tables: list[dict[str, Any]] = []
    for one in advice:
        accuracy = {rival.name: round(rival.accuracy[one.task], 4) for rival in rivals}
        seconds = {rival.name: round(rival.seconds, 2) for rival in rivals}
        tables.append(one.record() | {"accuracy": accuracy, "seconds": seconds, **costs})
    return json.dumps(tables, indent=1, ensure_ascii=False) + "\n"


def advice_table(advice: "TaskAdvice") -> str:
    """Return one line for each stage: its modules, the probability of each branch, and what to do."""
    known = ("own", "shared", "frozen")
    branches = [branch for branch in known if any(stage.probabilities[branch] for stage in advice.stages)]
    names = [printable(", ".join(stage.modules)) for stage in advice.stages]
    width = max(len("layers"), *map(len, names))
    lines = [
        f"task {advice.task}: {printable(advice.name)}",
        f"  {'layers':{width}}" + "".join(map("{:>9}".format, branches)),
    ]
    for name, stage in zip(names, advice.stages, strict=True):
        shares = "".join(f"{stage.probabilities[branch]:9.1%}" for branch in branches)
        lines.append(f"  {name:{width}}{shares}   {stage.action}")
    if advice.doubt:
        lines.append(f"  the data cannot tell: {advice.doubt}")
    return "\n".join(lines) + "\n"


def rivals_table(rivals: "Sequence[Rival]", chance: float | None) -> str:
    """Return one line for each learner: its test accuracy in percent, the mean and every task, and its time."""
    tasks = range(len(rivals[0].accuracy))
    width = max(len(_about(rival.name)) for rival in rivals)
    heads = ["mean", *(f"task {task}" for task in tasks)] if len(tasks) > 1 else ["task 0"]
    lines = [f"{'test accuracy, %':{width + 10}}" + "".join(f"{head:>8}" for head in heads) + "    time"]
    for rival in rivals:
        values = [rival.mean, *rival.accuracy] if len(tasks) > 1 else [rival.mean]
        numbers = "".join(f"{100 * value:8.1f}" for value in values)
        lines.append(f"{rival.name:10}{_about(rival.name):{width}}{numbers}   {duration(rival.seconds)}")
    if chance is not None and len(rivals) > 1:
        what = "means that differ" if len(tasks) > 1 else "accuracies that differ"
        lines.append(f"{what} by less than {100 * chance:.0f} points may do so by chance; another seed tells")
    return "\n".join(lines) + "\n"


def cost_line(rivals: "Sequence[Rival]", costs: Mapping[str, float]) -> str:
    """Return what the search took, in words."""
    steps = costs.get("static_steps")
    beside = f", {steps:.1f} times the multiply-adds of one static training" if steps else ""
    return f"cost: {duration(rivals[0].seconds)} of training{beside}\n"


def _about(name: str) -> str:
    """Return what the name of a learner stands for."""
    last = name.removeprefix("last-")
    return ABOUT.get(name) or f"last {last} stage{'s' if last != '1' else ''} tuned for each task, others frozen"
