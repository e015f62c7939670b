"""A strategy: candidates are trained in turn, a batch each, and the one of lowest mean loss is committed."""

import torch
import torch.nn.functional as F
from torch import Tensor

from lasem.configurations import ConfigurationSpace, Partition
from lasem.options import Fraction, options
from lasem.search import AbstractOpenTask, AbstractSearch, AbstractStrategy, Schedule, TaskNetwork


@options
class LowestLoss(AbstractStrategy):
    """Choose by the training loss; options of the section `[search]`.

    Attributes:
        memory: Share of a candidate's mean loss that is kept at each of its batches.
    """

    memory: Fraction = 0.9

    def space(self, layers: int, *, branches: int = 2) -> ConfigurationSpace:
        """Return all configurations."""
        return ConfigurationSpace.full(Partition.single(layers), branches=branches)

    def search(self, space: ConfigurationSpace, *, network: TaskNetwork, schedule: Schedule) -> AbstractSearch:
        """Begin the search of one task."""
        return LowestLossSearch(self, space, network)


class LowestLossSearch(AbstractSearch):
    """The search of one task; `state` is what a checkpoint stores."""

    def __init__(self, options: LowestLoss, space: ConfigurationSpace, network: TaskNetwork) -> None:
        self.space, self.options, self.network = space, options, network
        self.losses = torch.full((len(space),), torch.inf, dtype=torch.float64, device=network.device)
        self.steps = torch.zeros((), dtype=torch.int64)

    def step(self, task: AbstractOpenTask, images: Tensor, labels: Tensor) -> Tensor:
        """Train one candidate on one batch; the task makes the optimizer step."""
        digits = self.space.layer_digits[turn := int(self.steps) % len(self.space)]
        logits = self.network.backbone.path_logits(images, self.network.identity, digits=digits)
        penalty = sum(term for stage, term in self.network.penalties() if digits[stage] == 1)
        loss = task.step(F.cross_entropy(logits, labels) + penalty)
        mean = self.losses[turn] if self.steps >= len(self.space) else loss
        self.losses[turn] = loss + self.options.memory * (mean - loss)
        self.steps += 1
        return loss

    def start_epoch(self) -> None: ...

    def leader(self) -> int:
        return int(self.losses.argmin())

    def log_prior(self) -> None:
        return None  # this search has no probabilities to show

    def state(self) -> dict[str, Tensor]:
        return {"losses": self.losses, "steps": self.steps}
