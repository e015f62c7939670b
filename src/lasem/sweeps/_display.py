"""Display of a sweep: a table in a terminal that is updated all the time, and a line per ending elsewhere."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from typing import get_args

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lasem.sweeps._folder import Ending
from lasem.sweeps._status import RunStatus, State, StatusReader
from lasem.text import printable

STYLES: dict[State, str] = {
    "running": "bold",
    "failed": "red",
    "interrupted": "yellow",
    "waiting": "dim",
    "done": "green",
}
MARGIN = 6
"""Number of lines of a terminal that the table's frame takes."""


def status_table(statuses: Sequence[RunStatus], lines: int | None = None) -> RenderableType:
    """Make a table with a line per run and the number of runs in each state, and below it what went wrong.

    Args:
        statuses: Status of each run.
        lines: Most lines to show; running and failed runs come before the others, and messages are cut to one line.
    """
    count = Counter(status.state for status in statuses)
    caption = ", ".join(f"{count[state]} {state}" for state in get_args(State) if count[state])
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), caption=caption, caption_justify="left")
    table.add_column("run", overflow="fold")
    table.add_column("state")
    for title in ("task", "epoch", "accuracy, %", "time", "tries"):
        table.add_column(title, justify="right")
    table.add_column("on", overflow="fold")
    messages = [f"{status.run.label}: {status.remark}" for status in statuses if status.remark and not _runs(status)]
    if lines is not None:
        messages = messages[: lines // 4]
        lines -= len(messages)
    for status in _chosen(statuses, lines):
        table.add_row(*_row(status))
    cut = {} if lines is None else {"no_wrap": True, "overflow": "ellipsis"}
    return Group(
        table, *(Text(printable(message, multiline=lines is None), style="red", **cut) for message in messages)
    )


def _runs(status: RunStatus) -> bool:
    """Whether a run is at work, so that the remark is the name of its machine."""
    return status.state == "running"


def _chosen(statuses: Sequence[RunStatus], lines: int | None) -> Sequence[RunStatus]:
    """Choose the lines to show, in the order of the runs."""
    if lines is None or len(statuses) <= lines:
        return statuses
    order = get_args(State)
    ranked = sorted(range(len(statuses)), key=lambda index: (order.index(statuses[index].state), index))
    return [statuses[index] for index in sorted(ranked[: max(lines, 1)])]


def _row(status: RunStatus) -> list[Text | str]:
    """Return the cells of one line."""
    accuracy = status.accuracy if status.accuracy is not None else status.validation
    first = status.accuracy is None and status.validation is not None
    epochs = status.run.epochs
    return [
        Text(printable(status.run.label)),
        Text(status.state, style=STYLES[status.state]),
        f"{status.task}/{status.num_tasks}" if status.num_tasks else "",
        f"{status.epoch}/{epochs}" if status.state in ("running", "interrupted") and status.task else "",
        "" if accuracy is None else f"{'valid ' if first else ''}{100 * accuracy:.1f}",
        str(timedelta(seconds=round(status.seconds))) if status.seconds else "",
        str(status.attempt or ""),
        Text(printable(status.remark) if _runs(status) else ""),
    ]


@contextmanager
def live_table(console: Console, reader: StatusReader) -> Iterator[Callable[[Ending], None]]:
    """Show a sweep while it is executed, and give a function that prints how an attempt ended.

    Args:
        console: Console to print on. Only in a terminal there is a table, which is updated all the time.
        reader: Reads the status of the runs.
    """

    def table() -> RenderableType:
        return status_table(reader.read(), console.height - MARGIN)

    def say(ending: Ending) -> None:
        then = "" if ending.final or ending.kind == "done" else f"; attempt {ending.attempt + 1} follows"
        why = f": {ending.error}" if ending.error else ""
        console.print(
            printable(f"{ending.label}: {ending.kind}{why}{then}"), highlight=False, markup=False, soft_wrap=True
        )

    live = console.is_terminal and not console.quiet
    with Live(get_renderable=table, console=console, refresh_per_second=2, transient=True) if live else nullcontext():
        yield say
