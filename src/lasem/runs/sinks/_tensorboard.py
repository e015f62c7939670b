"""The events of a run for TensorBoard."""

from importlib import import_module
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from lasem.extras import require_packages
from lasem.records import DecisionRecord, EvaluationRecord, Event, EventReader
from lasem.runs._sink import RunStart, Sink
from lasem.runs.sinks._scalars import ScalarReader

FOLDER = "tensorboard"
"""Name of the folder inside the run folder."""

PIXELS = 24
"""Width and height of a cell of the share map, in pixels."""

COLORS = np.array([[230, 159, 0], [0, 114, 178], [0, 158, 115], [217, 217, 217]], dtype=np.uint8)
"""(4, RGB): colors of own, shared, frozen and undecided layers, as on the report's page."""


class TensorBoardLog(Sink):
    """Writes a run's events for TensorBoard, into ``<run folder>/tensorboard``. A step is an epoch of the stream.

    Whenever a run starts, resumes or is finished already, a new event file voids the earlier ones and is filled from
    the run's records. So no step is shown twice, and a run that began without TensorBoard has its whole history.

    Raises:
        RunError: The package tensorboard is not installed.
    """

    def __init__(self) -> None:
        self._module = _tensorboard()
        self._writer = None
        self._reader = ScalarReader()
        self._decided: dict[int, list[int]] = {}
        self._num_tasks = 0

    def ended(self) -> None:
        """Close the file of TensorBoard events."""
        if self._writer is not None:
            self._writer.close()

    def started(self, start: RunStart) -> None:
        """Open a new event file and fill it from the run's records."""
        folder = start.folder / FOLDER
        for file in sorted(folder.glob("events.out.tfevents.*"))[:-1]:  # the last may be open in a TensorBoard
            file.unlink()
        # Of what came before, every step from 0 is void.
        self._writer = self._module.SummaryWriter(str(folder), purge_step=0, flush_secs=10)
        self._num_tasks = start.num_tasks
        self._writer.add_text("spec", "```toml\n" + start.spec.toml() + "```", 0)
        for event in EventReader(start.folder / "records.jsonl").new_events():
            self.event(event)

    def event(self, event: Event) -> None:
        """Write an event as soon as it happens."""
        assert self._writer is not None, "a run has started"
        found = self._reader.read(event)
        if found is not None:
            for tag, value in found.values.items():
                self._writer.add_scalar(tag, value, found.step)
        if isinstance(event, DecisionRecord):
            self._decision(event)
        elif isinstance(event, EvaluationRecord):
            self._writer.flush()

    def _decision(self, event: DecisionRecord) -> None:
        if event.configuration is not None and self._writer is not None:
            self._decided[event.task] = event.configuration
            picture = share_map(self._decided, max(self._num_tasks, event.task + 1))
            self._writer.add_image("share_map", picture, event.epoch, dataformats="HWC")


def share_map(decided: dict[int, list[int]], num_tasks: int) -> NDArray[np.uint8]:
    """Draw which branch each layer takes: (L * PIXELS, T * PIXELS, 3), with the first layer at the bottom."""
    layers = max(map(len, decided.values()))
    cells = np.full((layers, num_tasks), len(COLORS) - 1)
    for task, digits in decided.items():
        cells[: len(digits), task] = digits
    return COLORS[cells[::-1]].repeat(PIXELS, axis=0).repeat(PIXELS, axis=1)


def _tensorboard() -> ModuleType:
    require_packages("tensorboard", what="--tensorboard")
    return import_module("torch.utils.tensorboard")
