"""The command `lasem layers`, which says which layers to freeze, share or tune."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lasem.cli._console import print_or_write
from lasem.cli._warnings import print_warnings
from lasem.errors import ReportError
from lasem.text import printable

if TYPE_CHECKING:
    from lasem.report import TaskAdvice


def layers(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run whose learner searched.")],
    task: Annotated[int | None, typer.Option(help="Position of one task, from 0. Default: all tasks.")] = None,
    form: Annotated[Literal["table", "json"], typer.Option("--format", help="Form of the output.")] = "table",
    out: Annotated[Path | None, typer.Option(help="File to write. Default: print.")] = None,
) -> None:
    """Say which layers to freeze, share or tune.

    The answer is what the search of a run found for each task. JSON has it as lists of modules, as groups of parameters
    with factors of the learning rate, and as arguments of PEFT.

    Example: lasem layers runs/RUN --format json
    """
    from lasem.report import collect, layer_advice

    found = collect([run])
    print_warnings(found)
    if len(found) != 1:
        raise ReportError(f"advice must be asked for one run (got {len(found)} in {printable(run)}); name its folder")
    every = layer_advice(found[0])
    advice = [one for one in every if task in (None, one.task)]
    if not advice:
        known = ", ".join(str(one.task) for one in every)
        raise ReportError(f"a task must be one that the run has searched, {known} (got {task}); name one of them")
    text = _json(advice) if form == "json" else "\n".join(map(_table, advice))
    print_or_write(text, out, what=f"layers: {len(advice)} tasks")


def _json(advice: "list[TaskAdvice]") -> str:
    """Return a list with a table for each task."""
    return json.dumps([one.record() for one in advice], indent=1, ensure_ascii=False) + "\n"


def _table(advice: "TaskAdvice") -> str:
    """Return one line for each stage: its modules, the probability of each branch, and what to do."""
    words = {"own": "tune for this task", "shared": "share", "frozen": "freeze"}
    frozen = any(stage.probabilities["frozen"] for stage in advice.stages)
    branches = ("own", "shared", "frozen") if frozen else ("own", "shared")
    names = [printable(", ".join(stage.modules)) for stage in advice.stages]
    width = max(map(len, names))
    lines = [
        f"task {advice.task}: {printable(advice.name)}",
        f"  {'layers':{width}}" + "".join(map("{:>9}".format, branches)),
    ]
    for name, stage in zip(names, advice.stages, strict=True):
        shares = "".join(f"{stage.probabilities[branch]:9.1%}" for branch in branches)
        lines.append(f"  {name:{width}}{shares}   {words[stage.branch]}")
    if advice.doubt:
        lines.append(f"  the data cannot tell: {advice.doubt}")
    return "\n".join(lines) + "\n"
