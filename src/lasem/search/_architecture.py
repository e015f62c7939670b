"""How the architecture's logits of a differentiable search take a step.

State is live from the start, so that a checkpoint can copy values into it.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor


class AbstractArchitectureOptimizer(ABC):
    """An optimizer of one small tensor.

    Args:
        alpha: The tensor to train, changed in place.
        learning_rate: Of Adam.
        betas: Decays of Adam's moments.
        weight_decay: Of Adam: added to the gradient, times alpha.
    """

    def __init__(self, alpha: Tensor, *, learning_rate: float, betas: tuple[float, float], weight_decay: float) -> None:
        self.alpha = alpha
        self.learning_rate = learning_rate
        self.betas = betas
        self.weight_decay = weight_decay

    @abstractmethod
    def step(self, gradient: Tensor, *, model_rate: float) -> None:
        """Make one step.

        Args:
            gradient: Of the shape of alpha.
            model_rate: Learning rate of the weights at this moment.
        """

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Accumulators, live."""


class Adam(AbstractArchitectureOptimizer):
    """Adam with L2 weight decay and a rate of its own [Liu2019]; as `torch.optim.Adam`."""

    EPSILON = 1e-8

    def __init__(self, alpha: Tensor, *, learning_rate: float, betas: tuple[float, float], weight_decay: float) -> None:
        super().__init__(alpha, learning_rate=learning_rate, betas=betas, weight_decay=weight_decay)
        self._mean = torch.zeros_like(alpha)
        self._square = torch.zeros_like(alpha)
        self._steps = torch.zeros((), dtype=torch.float64, device=alpha.device)

    def step(self, gradient: Tensor, *, model_rate: float) -> None:
        """With bias correction; the model's rate is of no account."""
        del model_rate
        first, second = self.betas
        gradient = gradient + self.weight_decay * self.alpha
        self._steps += 1
        self._mean.mul_(first).add_(gradient, alpha=1 - first)
        self._square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        mean = self._mean / (1 - first**self._steps)
        root = (self._square / (1 - second**self._steps)).sqrt()
        self.alpha -= self.learning_rate * mean / (root + self.EPSILON)

    def state(self) -> dict[str, Tensor]:
        """Moments and the number of steps."""
        return {"mean": self._mean, "square": self._square, "steps": self._steps}


class ModelRMSprop(AbstractArchitectureOptimizer):
    """RMSProp in TensorFlow 1's form with the model's learning rate, as the authors' release of LASEM does."""

    RHO, EPSILON = 0.9, 1e-10

    def __init__(self, alpha: Tensor, *, learning_rate: float, betas: tuple[float, float], weight_decay: float) -> None:
        super().__init__(alpha, learning_rate=learning_rate, betas=betas, weight_decay=weight_decay)
        self._square = torch.ones_like(alpha)

    def step(self, gradient: Tensor, *, model_rate: float) -> None:
        """Epsilon inside the root; no weight decay."""
        self._square.mul_(self.RHO).addcmul_(gradient, gradient, value=1 - self.RHO)
        self.alpha -= model_rate * gradient / (self._square + self.EPSILON).sqrt()

    def state(self) -> dict[str, Tensor]:
        """The mean square."""
        return {"square": self._square}


ARCHITECTURE_OPTIMIZERS: Mapping[str, type[AbstractArchitectureOptimizer]] = MappingProxyType(
    {"adam": Adam, "rmsprop-tf": ModelRMSprop}
)
"""Optimizers of the architecture by name."""
