"""The events of a run for TensorBoard."""

from importlib import import_module
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from lasem.errors import RunError
from lasem.records import DecisionRecord, EpochRecord, EvaluationRecord, Event, EventReader, TaskRecord
from lasem.runs._sink import RunStart, Sink

FOLDER = "tensorboard"
"""Name of the folder inside the run folder."""

PIXELS = 24
"""Width and height of a cell of the share map, in pixels."""

COLORS = np.array([[230, 159, 0], [0, 114, 178], [217, 217, 217]], dtype=np.uint8)
"""(3, RGB): colors of own, shared and undecided layers, as on the report's page."""


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
        self._names: list[str] | None = None
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
        match event:
            case TaskRecord():
                self._names = event.candidates
            case EpochRecord():
                self._epoch(event)
            case DecisionRecord():
                self._decision(event)
            case EvaluationRecord():
                self._evaluation(event)
            case _:
                pass

    def _scalars(self, step: int, values: dict[str, float | None]) -> None:
        assert self._writer is not None, "a run has started"
        for tag, value in values.items():
            if value is not None:
                self._writer.add_scalar(tag, value, step)

    def _epoch(self, event: EpochRecord) -> None:
        measures = {
            "loss/train": event.loss,
            "accuracy/validation": event.valid_accuracy,
            "accuracy/test": event.test_accuracy,
            "search/entropy": event.entropy,
        }
        shared = {f"sharing/group_{group:02}": p for group, p in enumerate(event.marginals or [], start=1)}
        groups = len(event.marginals or [])
        prior = {f"configuration/{self._name(index, groups)}": p for index, p in event.prior or []}
        self._scalars(event.epoch, {**measures, **shared, **prior})

    def _name(self, index: int, groups: int) -> str:
        return self._names[index] if self._names else f"{index:0{groups}b}"

    def _decision(self, event: DecisionRecord) -> None:
        self._scalars(event.epoch, {"decision/probability": event.probability, "decision/margin": event.margin})
        if event.configuration is not None and self._writer is not None:
            self._decided[event.task] = event.configuration
            picture = share_map(self._decided, max(self._num_tasks, event.task + 1))
            self._writer.add_image("share_map", picture, event.epoch, dataformats="HWC")

    def _evaluation(self, event: EvaluationRecord) -> None:
        per_task = {f"task_accuracy/{task:02}": accuracy for task, accuracy in enumerate(event.accuracy)}
        mean = {"accuracy/mean_of_tasks_so_far": sum(event.accuracy) / len(event.accuracy)}
        self._scalars(event.epoch, {**per_task, **mean})
        if self._writer is not None:
            self._writer.flush()


def share_map(decided: dict[int, list[int]], num_tasks: int) -> NDArray[np.uint8]:
    """Draw which layers each task shares: (L * PIXELS, T * PIXELS, 3), with the first layer at the bottom."""
    layers = max(map(len, decided.values()))
    cells = np.full((layers, num_tasks), 2)
    for task, bits in decided.items():
        cells[: len(bits), task] = bits
    return COLORS[cells[::-1]].repeat(PIXELS, axis=0).repeat(PIXELS, axis=1)


def _tensorboard() -> ModuleType:
    try:
        return import_module("torch.utils.tensorboard")
    except ImportError:
        raise RunError(
            "the package tensorboard must be installed for --tensorboard; run: pip install 'lasem[tensorboard]'"
        ) from None
