"""The progress of a run: a live display in a terminal or a notebook, plain lines elsewhere."""

import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

from lasem.configurations import FROZEN, SHARED, digits_key
from lasem.records import (
    DecisionRecord,
    EpochRecord,
    EvaluationRecord,
    Event,
    NoteRecord,
    SearchTrack,
    TaskRecord,
    close_call,
    power_once,
)
from lasem.runs._signals import NOTICE
from lasem.runs._sink import RunStart, Sink
from lasem.runs._spec import Spec
from lasem.runs.sinks._notebook import NotebookDisplay
from lasem.text import escape_markup, printable

LEADING = 4
"""Number of candidates that the display shows."""

EVERY = 60.0
"""Number of seconds between two lines where there is no terminal."""


class ProgressDisplay(Sink):
    """Shows how a run proceeds: a live display in a terminal or a notebook, elsewhere plain lines.

    Args:
        console: The console to print on; by default standard output, or the output of the notebook's cell.
        stopping: Whether the run was asked to stop, such as `Signals.received`; the live display says so.
        clock: Returns seconds; for tests.
    """

    def __init__(
        self,
        console: Console | None = None,
        *,
        stopping: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console = console or Console()
        self._stopping = stopping
        self._clock = clock
        self._bar = Progress(
            TextColumn(
                "{task.description}",
                style="bold",
                markup=False,
                table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1),
            ),
            BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=10)),
            MofNCompleteColumn(),
            TextColumn("epochs"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            expand=True,
        )
        self._latest: EpochRecord | None = None
        self._track = SearchTrack()
        self._branches = 2
        self._live: Live | NotebookDisplay | None = None
        if console.is_jupyter:
            self._live = NotebookDisplay(self._frame, clock=clock)
        elif console.is_terminal:
            self._live = Live(console=console, refresh_per_second=4, transient=True, get_renderable=self._frame)
        self._task: TaskRecord | None = None
        self._spec: Spec | None = None
        self._num_tasks = 0
        self._total = 0
        self._resumed = 0
        self._began = self._printed = 0.0
        self._accuracy: list[float] = []

    def started(self, start: RunStart) -> None:
        """Say where the run starts or resumes, and open the display."""
        if start.finished:
            self._say(f"finished already: {start.folder}")
            return
        self._task, self._spec = start.task, start.spec
        where = f"resumes after epoch {start.resumed}" if start.resumed else "starts"
        seed = start.spec.seeds.training
        self._say(f"{start.spec.name} seed {seed} {where}: {start.folder}")
        for note in filter(None, (start.about, start.storage)):
            self._say(f"data: {note}")
        for warning in start.warnings:
            self._console.print(f"[yellow]warning:[/] {escape_markup(warning)}", highlight=False, soft_wrap=True)
        for change in start.spec.small or []:
            self._say(f"  small: {change}")
        self.open(start.spec.name, num_tasks=start.num_tasks, epochs=start.epochs, resumed=start.resumed)

    def open(self, title: str, *, num_tasks: int, epochs: int, resumed: int = 0) -> None:
        """Open the display; `started` does it for runs with a spec.

        Args:
            title: Name of what is trained.
            num_tasks: Number of tasks.
            epochs: Number of epochs of all tasks.
            resumed: Number of epochs that earlier attempts have trained.
        """
        self._num_tasks, self._total, self._resumed = num_tasks, epochs, resumed
        self._began = self._printed = self._clock()
        self._bar.add_task(printable(title), total=epochs, completed=resumed)
        if self._live is not None:
            self._live.start()

    def ended(self) -> None:
        """Close the display, which leaves the lines printed so far."""
        if self._live is not None:
            self._live.stop()

    def event(self, event: Event) -> None:
        """Show an event as soon as it happens."""
        match event:
            case TaskRecord():
                self._task, self._track = event, SearchTrack()
            case EpochRecord():
                self._track.add(event)
                self._branches = event.branches
                self._epoch(event)
            case DecisionRecord():
                self._decision(event)
            case EvaluationRecord():
                self._accuracy, self._printed = event.accuracy, self._clock()
                mean = sum(event.accuracy) / len(event.accuracy)
                name = self._task.name if self._task else "?"
                self._say(
                    f"task {event.task + 1}/{self._num_tasks}  {name}: test accuracy {event.accuracy[-1]:.1%},"
                    f" mean of tasks so far {mean:.1%}"
                )
            case NoteRecord():
                self._say(f"note: {event.text}")
            case _:
                pass

    def _decision(self, event: DecisionRecord) -> None:
        """Say how the search came to its decision, and warn of one that means nothing."""
        sentence = self._track.sentence() if self._task and self._task.task == event.task else None
        if sentence and event.configuration is not None:
            layers = f"layers {''.join(map(str, event.configuration))}, {digits_key(self._branches)}"
            self._say(f"task {event.task + 1}/{self._num_tasks}  {layers}: {sentence}")
        if warning := close_call(event, power=self._power(event)):
            self._console.print(f"[yellow]warning:[/] {escape_markup(warning)}", highlight=False, soft_wrap=True)

    def _power(self, event: DecisionRecord) -> float:
        """Return the power of the prior that says how sure a decision is; see `lasem.records.power_once`."""
        if self._spec is None or self._task is None or self._spec.training.epochs is None:
            return 1.0
        return power_once(
            self._spec.sections.get("search", {}),
            epochs=self._spec.training.epochs,
            batch_size=self._spec.training.batch_size,
            images=self._task.images,
            settled=event.settled,
        )

    def _say(self, text: str) -> None:
        """Print a line as it is, which a terminal wraps and a log does not."""
        self._console.print(printable(text), highlight=False, markup=False, soft_wrap=True)

    def _epoch(self, event: EpochRecord) -> None:
        if self._live is not None:
            self._bar.update(self._bar.task_ids[0], completed=event.epoch)
            self._latest = event
            if isinstance(self._live, NotebookDisplay):
                self._live.refresh()
        elif self._clock() - self._printed >= EVERY:
            self._printed = self._clock()
            self._say(self._line(event))

    def _frame(self) -> RenderableType:
        """Return what the live display shows now: the bar, the latest epoch, and whether the run is to stop."""
        notice = Text(NOTICE, style="bold yellow")
        state = [] if self._latest is None else [self._state(self._latest)]
        return Group(self._bar, *state, *([notice] if self._stopping() else []))

    def _state(self, event: EpochRecord) -> RenderableType:
        """Return task, accuracy and the leading configurations, one line each, cut to the width of the terminal."""
        grid = Table.grid(padding=(0, 2), expand=True)
        grid.add_column(no_wrap=True, min_width=len("candidate"))
        grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        name = self._task.name if self._task else ""
        grid.add_row("task", Text(printable(f"{event.task + 1} of {self._num_tasks}  {name}")))
        test = "" if event.test_accuracy is None else f"  test {event.test_accuracy:.1%}"
        loss = f"loss {event.loss:.4f}  validation {event.valid_accuracy:.1%}{test}"
        grid.add_row("epoch", f"{event.task_epoch}  {loss}")
        if self._accuracy:
            mean = sum(self._accuracy) / len(self._accuracy)
            grid.add_row("so far", f"test accuracy {mean:.1%}, mean of {len(self._accuracy)} tasks")
        if event.candidate is not None and self._task and self._task.candidates:
            names = self._task.candidates
            grid.add_row(
                "candidate", Text(printable(f"{event.candidate + 1} of {len(names)}  {names[event.candidate]}"))
            )
        if event.prior:
            ranked = "  ".join(f"{digits} {share:.3f}" for digits, share in self._leading(event, LEADING))
            grid.add_row("leading", Text(printable(ranked)))
        if event.configuration is not None:
            grid.add_row("shares", shared_layers(event.configuration))
        return grid

    def _leading(self, event: EpochRecord, most: int) -> list[tuple[str, float]]:
        """Return name and probability of the most probable candidates."""
        ranked = sorted(event.prior or [], key=lambda item: -item[1])[:most]
        listed = self._task.candidates if self._task else None
        return [(event.name(index, listed), share) for index, share in ranked]

    def _line(self, event: EpochRecord) -> str:
        """Return how far the run has come, as a line for a log."""
        trained = event.epoch - self._resumed
        left = (self._clock() - self._began) / max(1, trained) * (self._total - event.epoch)
        leading = "".join(f", {digits} leads with {share:.3f}" for digits, share in self._leading(event, 1))
        return (
            f"task {event.task + 1}/{self._num_tasks}  epoch {event.epoch}/{self._total}: loss {event.loss:.4f},"
            f" validation {event.valid_accuracy:.1%}{leading}, about {timedelta(seconds=round(left))} left"
        )


def shared_layers(configuration: Sequence[int]) -> str:
    """Say in words which layers a configuration shares, and which it takes frozen.

    >>> shared_layers([1, 0, 1])
    'layers 1 and 3; the network has 3 that can be shared'
    >>> shared_layers([2, 2, 1])
    'layer 3; layers 1 and 2 frozen; the network has 3 that can be shared'
    """
    frozen = f"; {_layers(configuration, FROZEN)} frozen" if FROZEN in configuration else ""
    return f"{_layers(configuration, SHARED)}{frozen}; the network has {len(configuration)} that can be shared"


def _layers(configuration: Sequence[int], digit: int) -> str:
    """Name the layers with a digit, such as "layers 1 and 3"."""
    found = [str(layer) for layer, taken in enumerate(configuration, start=1) if taken == digit]
    listed = " and ".join([", ".join(found[:-1]), found[-1]] if len(found) > 1 else found)
    return f"layer{'s' if len(found) > 1 else ''} {listed}" if found else "no layer"
