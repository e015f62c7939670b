"""Optimizer steps that leave parameters alone once a number is not finite."""

import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from lasem.training._groups import relative_rates


class OptimizerSteps:
    """The optimizer steps of one open task.

    After a loss or a gradient that is not finite, parameters stay as they were. On a device it takes until the end of
    the epoch to learn of it: reading a number in every step would make the host wait for the device.

    Args:
        optimizer: An optimizer of all parameters that the task trains; see `make_optimizer`.
        clip_norm: Largest norm of the gradient of all parameters together; None for no limit.

    Attributes:
        optimizer: The optimizer.
        finite: () whether all losses and gradients have been finite, on the parameters' device.
        on_host: Whether parameters lie in main memory, where reading a number makes nobody wait.
    """

    def __init__(self, optimizer: Optimizer, *, clip_norm: float | None = None) -> None:
        self.optimizer = optimizer
        self._clip_norm = clip_norm
        self._parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        device = self._parameters[0].device
        self.finite = torch.ones((), dtype=torch.bool, device=device)
        self.on_host = device.type == "cpu"
        self._total: Tensor | None = None
        self._history: list[tuple[int, Tensor]] = []

    def begin_epoch(self) -> None:
        """Forget what was noted of the epoch before."""
        self._history.clear()

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss, a scalar, to those of the next step."""
        if self._total is None:
            self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._total = loss.detach() if self._total is None else self._total + loss.detach()

    def step(self, learning_rate: float, *, batch: int) -> Tensor:
        """Make a step on the sum of the losses since the last one, and return that sum, a detached scalar.

        Args:
            learning_rate: Learning rate of the step.
            batch: Number of the current batch in its epoch, from 1.
        """
        assert self._total is not None, "backward comes before step"
        total, self._total = self._total, None
        trained = [parameter for parameter in self._parameters if parameter.grad is not None]
        norm = get_total_norm([parameter.grad for parameter in trained if parameter.grad is not None])
        self.finite = self.finite & total.isfinite() & norm.isfinite()
        if self._clip_norm is not None:
            clip_grads_with_norm_(trained, self._clip_norm, norm)
        relative = relative_rates(self.optimizer.param_groups)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate * group["factor"] * relative[group["layer"]]
        if not self.on_host:
            self._step_if_finite(batch)
        elif self.finite:
            self.optimizer.step()
        return total

    @torch.no_grad()
    def _step_if_finite(self, batch: int) -> None:
        """Make a step, and take it back where something was not finite, without waiting for the device.

        To zero the gradients would not do: an optimizer with momentum, such as Adam, moves parameters nevertheless.
        """
        before = [parameter.clone() for parameter in self._parameters]
        self.optimizer.step()
        for parameter, value in zip(self._parameters, before, strict=True):
            parameter.copy_(torch.where(self.finite, parameter, value))
        self._history.append((batch, self.finite))

    def first_failed_batch(self) -> int | None:
        """Return the number of the epoch's first batch whose numbers were not finite; None if all were.

        On the host, where `step` tells at once, nothing is recorded.
        """
        if not self._history or bool(self.finite):
            return None
        flags = torch.stack([finite for _, finite in self._history]).tolist()
        return self._history[flags.index(False)][0]
