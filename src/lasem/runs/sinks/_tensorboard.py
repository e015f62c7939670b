"""A run's events for TensorBoard."""

from importlib import import_module
from types import ModuleType, TracebackType

import numpy as np
from numpy.typing import NDArray

from lasem import records
from lasem.errors import RunError
from lasem.records import DecisionRecord, EpochRecord, EvaluationRecord, Event, TaskRecord
from lasem.runs._run import Started

FOLDER = "tensorboard"
"""Below the run folder."""

PIXELS = 24
"""Width and height of a cell of the share map."""

COLORS = np.array([[230, 159, 0], [0, 114, 178], [217, 217, 217]], dtype=np.uint8)
"""(3, RGB): the task's own, shared, not decided; as on the report's page."""


class TensorBoardLog:
    """Writes a run's events into ``<run folder>/tensorboard``; use as a context.

    What is there is what the records say: whenever a run begins, goes on or is done already, a new event file voids the
    earlier ones and is filled from its records, so no step is shown twice, and a run that began without has its whole
    history. A step is an epoch of the stream.

    Raises:
        RunError: The package tensorboard is not installed.
    """

    def __init__(self) -> None:
        self._module = _tensorboard()
        self._writer = None
        self._names: list[str] | None = None
        self._decided: dict[int, list[int]] = {}
        self._num_tasks = 0

    def __enter__(self) -> "TensorBoardLog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def started(self, start: Started) -> None:
        """A run begins, goes on, or is done already: write what its records hold."""
        folder = start.folder / FOLDER
        for file in sorted(folder.glob("events.out.tfevents.*"))[:-1]:  # the last may be open in a TensorBoard
            file.unlink()
        # Of what came before, every step from 0 is void.
        self._writer = self._module.SummaryWriter(str(folder), purge_step=0, flush_secs=10)
        self._num_tasks = start.num_tasks
        self._writer.add_text("spec", "```toml\n" + start.spec.toml() + "```", 0)
        events, _ = records.read_events(start.folder / "records.jsonl")
        for event in events:
            self.watch(event)

    def watch(self, event: Event) -> None:
        """Write an event."""
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
        assert self._writer is not None, "started comes first"
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
    """Which layers each task shares, as a picture: (L * PIXELS, T * PIXELS, 3), the first layer at the bottom."""
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
            "--tensorboard needs the package tensorboard - it is not installed here - pip install 'lasem[tensorboard]'"
        ) from None
