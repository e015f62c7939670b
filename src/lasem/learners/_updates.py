"""Optimizer steps that stop where numbers stop being finite, and epochs of them."""

from collections.abc import Callable, Iterable
from math import isfinite

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from lasem.errors import RunError
from lasem.learners._batches import Batch


class Updates:
    """The optimizer steps of one open task.

    After a loss or a gradient that is not finite, parameters stay as they were: a device need not be waited for.

    Args:
        optimizer: Over all that the task trains.

    Attributes:
        optimizer: As given.
        finite: () whether all losses and gradients have been finite; on the device.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self._parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        self.finite = torch.ones((), dtype=torch.bool, device=self._parameters[0].device)

    @property
    def on_host(self) -> bool:
        """Whether parameters lie where the program runs, so that reading a number makes nobody wait."""
        return self.finite.device.type == "cpu"

    def epoch(
        self,
        batches: Iterable[Batch],
        step: Callable[[Tensor, Tensor], Tensor],
        *,
        place: str,
        before: Callable[[], str] = str,
    ) -> float:
        """Learn from every batch; their mean loss.

        Args:
            batches: Of one epoch.
            step: Learns from images (B, C, H, W) and labels (B,) by `step`; its loss, detached.
            place: Task and epoch, for an error.
            before: What else an error tells of the state before the bad batch; asked on the host only.

        Raises:
            RunError: A loss or a gradient is not finite. The parameters are those from before that batch.
        """
        losses: list[Tensor] = []
        finite: list[Tensor] = []
        for images, labels in batches:
            losses.append(step(images, labels))
            finite.append(self.finite)
            if self.on_host and not self.finite:
                break
        if not bool(torch.stack(finite).all()):
            batch = int((~torch.stack(finite)).nonzero()[0])
            loss = float(losses[batch])
            came = f"{loss:.4g} with a gradient that is not finite" if isfinite(loss) else f"{loss}"
            raise RunError(
                f"losses and gradients must be finite (got {came} in {place}, batch {batch + 1});"
                f"{before() if self.on_host else ''} lower training.learning_rate or check the scale of the images"
            )
        return float(torch.stack(losses).mean())

    def step(self, losses: Iterable[Tensor], *, rate: float) -> Tensor:
        """One step on the sum of losses, each with its backward pass before the next one is taken.

        Args:
            losses: Scalars.
            rate: Learning rate.

        Returns:
            Their sum, detached.
        """
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.finite.device)
        for loss in losses:
            loss.backward()
            total = total + loss.detach()
        self._check(total)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if not self.on_host or bool(self.finite):
            self.optimizer.step()
        return total

    def _check(self, loss: Tensor) -> None:
        """Note what is not finite; away from the host, take such gradients out, which leaves parameters as they are."""
        gradients = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        self.finite = self.finite & loss.isfinite() & get_total_norm(gradients).isfinite()
        if not self.on_host:
            for gradient in gradients:
                gradient.copy_(torch.where(self.finite, gradient, 0.0))
