"""Tables and the state of a run, for the terminal."""

from collections.abc import Sequence
from io import StringIO

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from lasem.metrics import spread
from lasem.records import EpochRecord, TaskHistory
from lasem.report._collect import Run
from lasem.report._history import history
from lasem.report._sheet import Cell, Sheet
from lasem.report._sheets import comparison_sheet
from lasem.report._tables import COLUMNS, UNKNOWN, comparison_rows, duration, percent, task_rows

LEADING = 5
"""Candidates shown of a search that goes on."""


GAP = 2
"""Spaces between columns."""


class SheetView:
    """A table for a terminal: what does not fit beside each other goes below, with the names of the rows again.

    Args:
        sheet: The table.
    """

    def __init__(self, sheet: Sheet) -> None:
        self.sheet = sheet

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The title, one block per screenful of columns, the note."""
        yield Text(self.sheet.title, style="italic")
        for columns in self._blocks(options.max_width):
            yield self._block(columns, options.max_width)
        yield Text(self.sheet.note, style="dim")

    def text(self, width: int = 120) -> str:
        """As plain text of so many columns."""
        console = Console(width=width, file=StringIO(), record=True)
        console.print(self)
        return console.export_text()

    def _blocks(self, room: int) -> list[list[int]]:
        """Columns of each block, the keys first."""
        keys = list(range(self.sheet.keys))
        named = sum(self._width(column, room) for column in keys)
        blocks: list[list[int]] = []
        left = 0
        for column in range(self.sheet.keys, len(self.sheet.heads)):
            width = self._width(column, room)
            if not blocks or width > left:
                blocks.append([*keys])
                left = room + GAP - named  # nothing stands behind the last column
            blocks[-1].append(column)
            left -= width
        return blocks

    def _width(self, column: int, room: int) -> int:
        """Of the widest cell, or word of the head, with the gap behind it; keys leave room for numbers."""
        cells = [cell_len(row[column].marked) for row in self.sheet.rows]
        words = [cell_len(word) for word in self.sheet.heads[column].title.split()]
        width = max([*cells, *words], default=0) + GAP
        return min(width, room // 2 // self.sheet.keys) if column < self.sheet.keys else width

    def _block(self, columns: Sequence[int], room: int) -> Table:
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
        for column in columns:
            head = self.sheet.heads[column]
            width = self._width(column, room) - GAP
            table.add_column(
                Text(head.title), justify="right" if head.right else "left", overflow="fold", width=width,
                vertical="top",
            )  # fmt: skip
        for row in self.sheet.rows:
            table.add_row(*(_ranked(row[column]) for column in columns))
        return table


def comparison(runs: Sequence[Run]) -> RenderableType:
    """One row per spec: mean and 95% interval over its seeds; unfinished runs in rows of their own, with a star."""
    return SheetView(comparison_sheet(runs))


def _ranked(cell: Cell) -> Text:
    """A number with the mark of its rank."""
    return Text(cell.marked, style="bold" if cell.rank == "best" else "")


def run_table(run: Run) -> Table:
    """One row per task of a run; accuracies in percent.

    The columns: one bit per layer, 1 = shared, the layer nearest the input first; the peak inside the task's own
    training, selected by validation; the accuracy at its end; now; the forgetting ratio; epochs to 98% of the peak.
    """
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("task", justify="right")
    table.add_column("name", overflow="fold", min_width=16)
    for title in ("shares", "peak, %", "end, %", "now, %", "forgetting", "to 98%"):
        table.add_column(title, justify="right", overflow="fold")
    for row in task_rows(run):
        table.add_row(
            str(row.position),
            escape(row.name),
            row.configuration or UNKNOWN,
            percent(row.peak_validation),
            "learning" if row.end is None else percent(row.end),
            percent(row.now),
            UNKNOWN if row.forgetting_ratio is None else f"{row.forgetting_ratio:.3f}",
            str(row.epochs_to_98_percent or UNKNOWN),
        )
    return table


def show(run: Run) -> RenderableType:
    """What a run is, how far it is, its table, and what to know about it."""
    parts = [f"{what} {run.part(what)}" for what in ("learner", "benchmark", "network", "profile")]
    title = Text(run.name, style="bold")
    title.append("" if run.seed is None else f"  seed {run.seed}", style="not bold")
    lines: list[RenderableType] = [title, Text(" · ".join(parts)), Text(str(run.path), style="dim")]
    tasks = history(run)
    if not run.finished:
        lines.extend(_progress(tasks))
    lines.append(run_table(run))
    if run.finished:
        lines.append(_summary(run))
    lines.extend(Text(f"warning: {warning}", style="yellow") for warning in run.warnings)
    return Group(*lines)


def _summary(run: Run) -> Table:
    """The comparison's row of one run, one measure a line."""
    grid = Table.grid(padding=(0, 2))
    (row,) = comparison_rows([run])
    for column, values in zip(COLUMNS.values(), row.spreads, strict=True):
        grid.add_row(column.title, column.text(values))
    return grid


def _progress(tasks: Sequence[TaskHistory]) -> list[RenderableType]:
    """Where an unfinished run stands: its latest epoch and what the search leans to."""
    epochs = [record for task in tasks for record in task.epochs]
    if not epochs:
        return [Text("no epoch yet")]
    now, latest = tasks[-1], epochs[-1]
    seconds = spread([sum(record.training_seconds for record in epochs)])
    test = "" if latest.test_accuracy is None else f", test {percent(latest.test_accuracy)} %"
    lines: list[RenderableType] = [
        Text(f"task {now.position} ({now.name}), epoch {latest.task_epoch} of the task, {latest.epoch} of the stream"),
        Text(f"loss {latest.loss:.4g}, valid {percent(latest.valid_accuracy)} %{test}, trained {duration(seconds)}"),
    ]
    if latest.candidate is not None:
        lines.append(Text(f"candidate {now.candidate(latest.candidate)}, number {latest.candidate + 1} in turn"))
    return lines + ([Text(_leading(now, latest))] if latest.prior else [])


def _leading(task: TaskHistory, record: EpochRecord) -> str:
    ranked = sorted(record.prior or [], key=lambda item: -item[1])[:LEADING]
    return "leading: " + ", ".join(f"{task.candidate(index)} {probability:.3f}" for index, probability in ranked)
