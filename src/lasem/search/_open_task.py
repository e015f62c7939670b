"""The task that is being learned, as a search sees it: where gradients go, and what besides a batch a step needs."""

from abc import ABC, abstractmethod

from torch import Tensor

from lasem.search._dropout import DropoutMasks

Batch = tuple[Tensor, Tensor]
"""Images (B, C, H, W) and labels (B,)."""


class AbstractOpenTask(ABC):
    """The training of the open task, which a search drives one optimizer step at a time.

    A search computes losses; the task collects their gradients and makes the step. `lasem.training` implements it, so
    a search depends neither on optimizers nor on how images are shuffled.
    """

    @property
    @abstractmethod
    def learning_rate(self) -> float:
        """Learning rate of the next optimizer step."""

    @property
    def label_smoothing(self) -> float:
        """Share of a label that the training loss spreads over all classes; evidence takes labels as they are."""
        return 0.0

    @abstractmethod
    def draw_masks(self, candidates: int, batch: int, features: int) -> DropoutMasks:
        """Draw the dropout masks of one optimizer step: for each candidate, one for (B, F) features."""

    @abstractmethod
    def draw_seed(self) -> int:
        """Return a seed for the random numbers that the modules of stages draw in the next optimizer step.

        Every call returns another seed. A task that was resumed returns the same ones as the task that was interrupted.
        """

    def dropout(self, features: Tensor) -> Tensor:
        """Drop features before a head: (B, F) -> (B, F)."""
        return self.draw_masks(1, *features.shape).apply(features.unsqueeze(0)).squeeze(0)

    @abstractmethod
    def held_out_batch(self) -> Batch | None:
        """Return the next batch of held-out images; None if the strategy holds nothing out."""

    @abstractmethod
    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss, a scalar, to those of the next optimizer step.

        Called once per sub-tree, so that the activations of one are freed before the next is evaluated.
        """

    @abstractmethod
    def step(self, *losses: Tensor) -> Tensor:
        """Make one optimizer step on the sum of these losses and of those given to `backward` since the last step.

        Returns:
            That sum, a detached scalar.

        Raises:
            RunError: The sum or a gradient is not finite, and parameters lie on the host. On another device the error
                waits for the end of the epoch, and parameters stay as they were.
        """
