"""Tables and the state of a run, for the terminal."""

from collections.abc import Sequence
from io import StringIO

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table as RichTable
from rich.text import Text

from lasem.configurations import FROZEN
from lasem.metrics import spread
from lasem.records import TaskHistory
from lasem.report._comparison import MEASURES, UNKNOWN, comparison_rows, duration, percent, task_rows
from lasem.report._curves import leading_candidates
from lasem.report._run import Run
from lasem.report._table import Table, html
from lasem.report._tables import comparison_table
from lasem.text import printable

LEADING = 5
"""Number of candidates listed for an unfinished search."""

LONGEST_NAME = 48
"""Number of characters of a task's name that a table of tasks shows."""

SHARES = "one digit per layer, the layer nearest the input first: 1 = shared, 0 = the task's own"
LEGEND = (
    ("peak", "test accuracy at the epoch of the task's training that validates best, so that it may be below end"),
    ("end", "test accuracy after the last epoch of the task's training"),
    ("now", "test accuracy after the last task that was learned"),
    ("forgetting", "forgetting ratio: now divided by end; below 1 the task was partly forgotten"),
    ("to 98%", "epochs until the test accuracy reached 98% of the peak"),
)
"""What the columns of a table of tasks mean, besides the configuration."""

GAP = 2
"""Number of spaces between two columns."""


class TableView:
    """A table for a terminal: columns that do not fit go below, with the names of the lines again.

    Args:
        table: The table.
    """

    def __init__(self, table: Table) -> None:
        self.table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the title, one block per screenful of columns, and the note."""
        yield Text(self.table.title, style="italic")
        for keys in self._blocks(options.max_width):
            yield self._block(keys, options.max_width)
        yield Text(self.table.note, style="dim")

    def _repr_html_(self) -> str:
        """Show the table in a notebook."""
        return html(self.table)

    def text(self, width: int = 120) -> str:
        """Return the table as plain text of at most so many characters a line."""
        console = Console(width=width, file=StringIO(), record=True)
        console.print(self)
        return console.export_text()

    def _blocks(self, available: int) -> list[list[str]]:
        """Keys of the columns of each block, those that name a line first."""
        keys = list(self.table.titles)
        names, others = keys[: self.table.num_names], keys[self.table.num_names :]
        blocks: list[list[str]] = []
        left = 0
        for key in others:
            width = self._width(key, available)
            if not blocks or width > left:
                blocks.append([*names])
                left = available + GAP - sum(self._width(name, available) for name in names)  # no gap at the end
            blocks[-1].append(key)
            left -= width
        return blocks

    def _width(self, key: str, available: int) -> int:
        """Characters of the widest cell or word of the title, and the gap; names leave space for numbers."""
        cells = [cell_len(text) for text in self.table.texts[key]]
        width = max([*cells, *(cell_len(word) for word in self.table.titles[key].split())], default=0) + GAP
        names = list(self.table.titles)[: self.table.num_names]
        return min(width, available // 2 // len(names)) if key in names else width

    def _block(self, keys: Sequence[str], available: int) -> RichTable:
        shown = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
        for key in keys:
            shown.add_column(
                Text(self.table.titles[key]), justify="left" if key in self.table.words else "right", overflow="fold",
                width=self._width(key, available) - GAP, vertical="top",
            )  # fmt: skip
        for texts, best in zip(self.table.texts[keys].to_numpy(), self.table.best[keys].to_numpy(), strict=True):
            shown.add_row(*(Text(text, style="bold" if bold else "") for text, bold in zip(texts, best, strict=True)))
        return shown


def comparison(runs: Sequence[Run]) -> RenderableType:
    """Compare runs: one line per spec, with mean and 95% interval over its seeds; a star marks unfinished runs."""
    return TableView(comparison_table(runs))


def run_table(run: Run) -> RichTable:
    """List the tasks of a run with their accuracies in percent.

    The columns: one digit per layer, the layer nearest the input first; the peak inside the task's own training,
    selected by validation; the accuracy at its end; now; the forgetting ratio; epochs to 98% of the peak.
    """
    table = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("task", justify="right")
    table.add_column("name", no_wrap=True, overflow="ellipsis", min_width=16, max_width=LONGEST_NAME)
    for title in ("shares", "peak, %", "end, %", "now, %", "forgetting", "to 98%"):
        table.add_column(title, justify="right", overflow="fold")
    for row in task_rows(run):
        # the peak by test accuracy is on the page only
        table.add_row(*(Text(printable(text)) for text in (*row.texts[:4], *row.texts[5:])))
    return table


def legend(*, branches: int = 2) -> RichTable:
    """Explain the columns of a table of tasks, one a line; with three branches also the digit of the frozen one."""
    grid = RichTable.grid(padding=(0, 2))
    shares = SHARES + (", 2 = frozen at the initial values" if branches > FROZEN else "")
    for name, meaning in (("shares", shares), *LEGEND):
        grid.add_row(Text(name, style="dim"), Text(meaning, style="dim"))
    return grid


def run_list(runs: Sequence[Run]) -> RichTable:
    """List runs, one a line: how far each has come, its accuracy in percent, and its folder."""
    table = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("run", overflow="fold")
    table.add_column("seed", justify="right")
    table.add_column("state")
    table.add_column("tasks", justify="right")
    table.add_column("accuracy, %", justify="right")
    table.add_column("folder", overflow="fold")
    for run in runs:
        now = [row.now for row in task_rows(run) if row.now is not None]
        table.add_row(
            Text(printable(run.name)),
            UNKNOWN if run.seed is None else str(run.seed),
            "finished" if run.finished else "unfinished",
            str(len(run.tasks)),
            percent(sum(now) / len(now)) if now else UNKNOWN,
            Text(run.folder),
        )
    return table


def show(run: Run) -> RenderableType:
    """Describe a run: what it is, how far it is, its table, and what to know about it."""
    title = Text(printable(run.name), style="bold")
    title.append("" if run.seed is None else f"  seed {run.seed}", style="not bold")
    what = f"learner {run.learner} · benchmark {run.benchmark} · network {run.network} · profile {run.profile}"
    lines: list[RenderableType] = [title, Text(printable(what)), Text(run.folder, style="dim")]
    if not run.finished:
        lines.extend(_progress(run.tasks))
    lines.append(run_table(run))
    searched = [(task, task.track.sentence()) for task in run.tasks]
    lines.extend(Text(f"task {task.position}: {sentence}", style="dim") for task, sentence in searched if sentence)
    if run.finished:
        lines.append(_summary(run))
    lines.extend(Text(printable(f"warning: {warning}"), style="yellow") for warning in run.warnings)
    return Group(*lines)


def _summary(run: Run) -> RichTable:
    """The measures of one run, one a line."""
    grid = RichTable.grid(padding=(0, 2))
    (row,) = comparison_rows([run])
    for key, measure in MEASURES.items():
        grid.add_row(measure.title, measure.text(row.spreads[key]))
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
    if leaders := leading_candidates(now, LEADING):
        lines.append(Text("leading: " + ", ".join(f"{name} {latest:.3f}" for name, latest, _ in leaders)))
    return lines
