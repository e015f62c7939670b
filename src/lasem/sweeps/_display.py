"""The runs of a sweep on the screen: a live table in a terminal, a line per ending elsewhere."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from typing import get_args

from rich import box
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from lasem.sweeps._folder import Ending
from lasem.sweeps._standing import Standing, State, Watch

STYLES: dict[State, str] = {
    "running": "bold",
    "failed": "red",
    "interrupted": "yellow",
    "waiting": "dim",
    "done": "green",
}
MARGIN = 6
"""Lines of a terminal that the table's frame takes."""


def standings_table(standings: Sequence[Standing], lines: int | None = None) -> Table:
    """A row per run, and how many there are of each state.

    Args:
        standings: Of the runs.
        lines: Rows shown at most; those under way and those that failed come before the others.
    """
    count = Counter(standing.state for standing in standings)
    caption = ", ".join(f"{count[state]} {state}" for state in get_args(State) if count[state])
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), caption=caption, caption_justify="left")
    table.add_column("run", overflow="fold")
    table.add_column("state")
    for title in ("task", "epoch", "accuracy, %", "time", "tries"):
        table.add_column(title, justify="right")
    table.add_column("", overflow="fold")
    for standing in _chosen(standings, lines):
        table.add_row(*_row(standing))
    return table


def _chosen(standings: Sequence[Standing], lines: int | None) -> Sequence[Standing]:
    """Those that there is room for, in their order."""
    if lines is None or len(standings) <= lines:
        return standings
    order = get_args(State)
    ranked = sorted(range(len(standings)), key=lambda index: (order.index(standings[index].state), index))
    return [standings[index] for index in sorted(ranked[: max(lines, 1)])]


def _row(standing: Standing) -> list[Text | str]:
    accuracy = standing.accuracy if standing.accuracy is not None else standing.validation
    first = standing.accuracy is None and standing.validation is not None
    epochs = standing.run.spec.training.epochs
    return [
        escape(standing.run.label),
        Text(standing.state, style=STYLES[standing.state]),
        f"{standing.task}/{standing.num_tasks}" if standing.num_tasks else "",
        f"{standing.epoch}/{epochs}" if standing.state in ("running", "interrupted") and standing.task else "",
        "" if accuracy is None else f"{'valid ' if first else ''}{100 * accuracy:.1f}",
        str(timedelta(seconds=round(standing.seconds))) if standing.seconds else "",
        str(standing.attempt or ""),
        escape(standing.remark),
    ]


@contextmanager
def shown(console: Console, watch: Watch) -> Iterator[Callable[[Ending], None]]:
    """Show a sweep while it is executed, and hand out what says how an attempt ended.

    Args:
        console: Where to; the table is live in a terminal alone.
        watch: Where the runs stand.
    """

    def table() -> Table:
        return standings_table(watch.standings(), console.height - MARGIN)

    def say(ending: Ending) -> None:
        then = "" if ending.final or ending.kind == "done" else f"; attempt {ending.attempt + 1} follows"
        why = f": {ending.error}" if ending.error else ""
        console.print(escape(f"{ending.label}: {ending.kind}{why}{then}"), highlight=False, soft_wrap=True)

    live = console.is_terminal and not console.quiet
    with Live(get_renderable=table, console=console, refresh_per_second=2, transient=True) if live else nullcontext():
        yield say
