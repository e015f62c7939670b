"""The open task while it trains: its batches, its optimizer, and the place inside an epoch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import isfinite

import torch
from torch import Generator, Tensor

from lasem.benchmarks import Task
from lasem.errors import LasemError, RunError
from lasem.search import Batch
from lasem.training._augment import augment
from lasem.training._batches import Batches, HeldOutBatches
from lasem.training._options import Training
from lasem.training._steps import OptimizerSteps


@dataclass
class Visit:
    """What exists only while a task is open.

    Attributes:
        task: The task.
        identity: Number that all visits of the task have in common.
        position: Position of the visit in the stream.
        batches: Batches of its images.
        steps: Optimizer steps.
        masks: Source of dropout masks.
        held_out: Held-out batches of the epoch; None if nothing is held out.
        epoch: Number of epochs trained.
        batch: Number of batches of the current epoch so far, the current one included; None between two epochs.
        taken: How many of these were trained by a loop of the user's own.
        rows: Rows of the current batch among the images that batches are made of, (B,).
        drawn: How many seeds of the modules' random numbers were drawn in the current epoch.
    """

    task: Task
    identity: int
    position: int
    batches: Batches
    steps: OptimizerSteps
    masks: Generator = field(init=False)
    held_out: HeldOutBatches | None = field(init=False)
    epoch: int = 0
    batch: int | None = None
    taken: int = 0
    rows: Tensor | None = None
    drawn: int = 0

    def __post_init__(self) -> None:
        self.masks, self.held_out = self.batches.masks(0), self.batches.held_out(0)

    @property
    def place(self) -> str:
        """The task and the epoch, for messages."""
        return f"task {self.position} ('{self.task.name}'), epoch {self.epoch + 1} of the task"

    def schedule_factor(self, training: Training) -> float:
        """Return the schedule's factor of the learning rate at the current batch."""
        before = self.epoch * self.batches.number + max(0, (self.batch or 0) - 1)
        return training.schedule_factor(before, per_epoch=self.batches.number)

    def step(self, losses: Sequence[Tensor], *, learning_rate: float) -> Tensor:
        """Make an optimizer step on these losses and those that came before, and return their sum.

        Raises:
            RunError: The sum or a gradient is not finite, and parameters lie on the host.
        """
        for loss in losses:
            self.steps.backward(loss)
        batch = self.batch or 0
        total = self.steps.step(learning_rate, batch=batch)
        if self.steps.on_host and not self.steps.finite:
            raise self.not_finite(float(total), batch=batch)
        return total

    def require_between_epochs(self) -> None:
        """Check that the last epoch has ended.

        Raises:
            LasemError: It has not, so that parameters are from inside an epoch.
        """
        if self.batch is not None:
            raise LasemError(
                f"an epoch must end before the next begins or a state is taken (got {self.place}, which stopped at"
                f" batch {self.batch}); restore a new learner from an earlier state, or end the task"
            )

    def begin_epoch(self) -> None:
        """Begin the next epoch, with dropout masks and held-out batches of its own.

        Raises:
            LasemError: The epoch before was interrupted, or gradients are switched off.
        """
        self.require_between_epochs()
        if not torch.is_grad_enabled() or torch.is_inference_mode_enabled():
            raise LasemError(
                f"training must compute gradients (got torch.no_grad or torch.inference_mode in {self.place}); train"
                " outside of it"
            )
        self.masks, self.held_out = self.batches.masks(self.epoch), self.batches.held_out(self.epoch)
        self.batch = self.taken = self.drawn = 0
        self.steps.begin_epoch()

    def draw_seed(self) -> int:
        """Return a seed that follows from the place: the visit, the epoch, and how many were drawn in this epoch."""
        self.drawn += 1
        return self.batches.module_seed(self.epoch, self.drawn)

    def iter_batches(self, *, features: bool, training: Training) -> Iterator[Batch]:
        """Yield and count every complete batch of the epoch; begin the epoch if that was not done."""
        if self.batch != 0:
            self.begin_epoch()
        for number, (rows, batch) in enumerate(self.batches.epoch(self.epoch, features=features), start=1):
            self.batch, self.rows = number, rows
            if training.augments:
                images, labels = batch
                seed = self.batches.augmentation_seed(self.epoch, number)
                batch = (augment(images, training, seed=seed), labels)
            yield batch

    def take_batch(self) -> None:
        """Count a batch of a loop of the user's own; `iter_batches` may have counted it already.

        Raises:
            LasemError: No epoch was begun.
        """
        if self.batch is None:
            raise LasemError(
                f"an epoch must be begun before its batches are trained on (got a step in {self.place}); call"
                " begin_epoch first, and end_epoch after the last batch"
            )
        self.taken += 1
        self.batch = max(self.batch, self.taken)

    def end_epoch(self, losses: Sequence[Tensor]) -> float:
        """Count the epoch, and return the mean loss of its batches.

        Raises:
            LasemError: No epoch was begun, or there is no loss.
            RunError: A loss or a gradient was not finite.
        """
        if self.batch is None or not losses:
            raise LasemError(
                f"an epoch must be begun and have batches before it ends (got {len(losses)} losses in {self.place});"
                " call begin_epoch, and train at least one batch"
            )
        failed = self.steps.first_failed_batch()  # on a device, the first time in the epoch that anyone waits for it
        if failed is not None:
            raise self.not_finite(float(losses[failed - 1]), batch=failed)
        self.epoch += 1
        self.batch = None
        return float(torch.stack(list(losses)).mean())

    def not_finite(self, loss: float, *, batch: int) -> RunError:
        """Make the error of a loss or gradient that is not finite."""
        came = f"{loss:.4g} with a gradient that is not finite" if isfinite(loss) else f"{loss}"
        return RunError(
            f"losses and gradients must be finite (got {came} in {self.place}, batch {batch}); lower"
            " training.learning_rate or check the scale of the images"
        )
