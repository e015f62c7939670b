"""Retention across tasks: how much every task depends on the shared knowledge that it reads."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from lasem.benchmarks import Split
from lasem.configurations import SHARED
from lasem.learners._fisher import Outcomes, fisher_diagonal
from lasem.nn import Backbone
from lasem.options import NonNegative, Share, options
from lasem.search import Quadratic, RetentionPenalty, shared_knowledge
from lasem.training import add_prefix, strip_prefix


@options
class RetentionOptions:
    """Options of the penalty on moving shared knowledge away from what earlier tasks need.

    Attributes:
        kind: "laplace": a quadratic per layer around the values that earlier tasks left.
        weight: The weight lambda. 1 is the weight of Laplace's approximation; 0 switches retention off.
        count_images: Weigh every task by its number of training images: the penalty of a layer is lambda / N times
            1/2 sum_t N_t sum_j F^t_j (theta_j - theta^t_j)^2, where N belongs to the open task. Otherwise it is
            lambda / 2 sum_t sum_j F^t_j (theta_j - theta^t_j)^2.
        decay: The factor gamma by which the older information of a layer fades with every task that shares the layer;
            1 forgets nothing.
        online: Whether the running quadratic of a layer is centered on its latest values alone (Schwarz et al. 2018).
            Otherwise it is the sum of the faded quadratics of all tasks, each around its own values.
        fisher: Classes over which the information is averaged; see `fisher_diagonal`.
    """

    kind: Literal["laplace"] = "laplace"
    weight: NonNegative = 1.0
    decay: Share = 1.0
    online: bool = False
    count_images: bool = True
    fisher: Outcomes = "exact"


class Retention:
    """Collects the information of tasks that have ended, and makes the penalty of the open one.

    Args:
        options: Weight and form of the penalty.
        head: Identity of a task whose head is retained too, where all tasks use one head; None for none.

    Attributes:
        options: Weight and form of the penalty.
        quadratics: Sum over the tasks that have ended by stage, without lambda / 2.
    """

    def __init__(self, options: RetentionOptions, *, head: int | None = None) -> None:
        self.options = options
        self.head = head
        self.quadratics: dict[int, Quadratic] = {}

    def penalty(self, num_images: int) -> RetentionPenalty | None:
        """Return the penalty of a task with this many training images; None before any task has ended."""
        weight = self.options.weight
        if not self.quadratics or weight == 0:
            return None
        weight = weight / num_images if self.options.count_images else weight
        return RetentionPenalty(self.quadratics, weight, head=self.head)

    def consolidate(self, backbone: Backbone, task: int, split: Split, *, seed: int) -> None:
        """Add the information of a task that was just committed, on the layers that it shares.

        Args:
            backbone: The network, with no task open.
            task: Identity of the task.
            split: Training images of the task.
            seed: Seed of sampled classes.
        """
        digits = backbone.configuration(task)
        known = shared_knowledge(backbone, head=self.head)
        knowledge = {stage: values for stage, values in known.items() if digits[stage] == SHARED}
        if self.options.weight == 0 or not knowledge:
            return
        answers = Answers(backbone, task)
        # Squares of gradients need full precision, and batch norm cannot be mapped over images in bfloat16.
        with torch.autocast(split.images.device.type, enabled=False):
            precision = fisher_diagonal(
                lambda values, images: functional_call(answers, answers.named(values), (images,)),
                {f"{stage}.{name}": value for stage, values in knowledge.items() for name, value in values.items()},
                split,
                outcomes=self.options.fisher,
                source=torch.Generator().manual_seed(seed),
            )
        images = len(split) if self.options.count_images else 1
        for stage, values in knowledge.items():
            found = {name: images * value for name, value in strip_prefix(precision, f"{stage}.").items()}
            center = {name: value.detach() for name, value in values.items()}
            before = self.quadratics.get(stage, Quadratic())
            faded = before.faded(self.options.decay, found, center) if self.options.online else None
            self.quadratics[stage] = faded or before.times(self.options.decay).plus(found, center)

    def forget(self, stages: Iterable[int]) -> None:
        """Forget stages whose shared knowledge no earlier task reads any more, or was replaced."""
        for stage in stages:
            self.quadratics.pop(stage, None)  # in place, because the penalty of an open task reads the same table

    @torch.no_grad()
    def status(self, backbone: Backbone, num_images: int) -> "RetentionStatus | None":
        """Return how much the stages are held, for the open task; None before any task has ended.

        Args:
            backbone: The network, with the task open.
            num_images: Training images of the task.
        """
        penalty = self.penalty(num_images)
        if penalty is None:
            return None
        held, cost = ([0.0] * len(backbone.stages) for _ in "hc")
        for stage, term in penalty.terms(backbone):
            precisions = self.quadratics[stage].precision.values()
            held[stage] = penalty.weight * num_images * sum(float(value.sum()) for value in precisions)
            cost[stage] = num_images * float(term)
        return RetentionStatus(held=held, cost=cost)

    @property
    def num_values(self) -> int:
        """Numbers that are stored: a precision and a center for every parameter."""
        return 2 * sum(part.numel() for quadratic in self.quadratics.values() for part in quadratic.precision.values())

    @property
    def constants(self) -> dict[int, float]:
        """Constant of every stage's quadratic, for a checkpoint."""
        return {stage: quadratic.constant for stage, quadratic in self.quadratics.items()}

    def tensors(self) -> dict[str, Tensor]:
        """Return the precisions and centers for a checkpoint."""
        found: dict[str, Tensor] = {}
        for stage, quadratic in self.quadratics.items():
            found |= add_prefix(f"precision.{stage}.", quadratic.precision)
            found |= add_prefix(f"center.{stage}.", quadratic.center)
        return found

    def restore(self, tensors: Mapping[str, Tensor], constants: Mapping[int, float], *, device: torch.device) -> None:
        """Take over what `tensors` gave, and the constant of every stage's quadratic."""
        copies = {name: value.to(device, copy=True) for name, value in tensors.items() if name[:3] in ("pre", "cen")}
        self.quadratics = {
            stage: Quadratic(
                strip_prefix(copies, f"precision.{stage}."), strip_prefix(copies, f"center.{stage}."), constant
            )
            for stage, constant in constants.items()
        }


@dataclass(frozen=True)
class RetentionStatus:
    """How earlier tasks hold the shared knowledge of each stage while a task is open; 0 where none shares it yet.

    Attributes:
        held: (d,) sum of all precisions, times lambda.
        cost: (d,) what the distance of the trial copy from the earlier tasks' values costs, in nats over all training
            images of the open task. A candidate pays it for the stages that it shares.
    """

    held: list[float]
    cost: list[float]


class Answers(nn.Module):
    """Answers of a backbone for a committed task, as a function of its shared knowledge."""

    def __init__(self, backbone: Backbone, task: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.task = task

    def named(self, knowledge: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Rename shared knowledge from ``{stage}.{name}`` to the names of parameters of this module."""
        found: dict[str, Tensor] = {}
        for key, value in knowledge.items():
            stage, _, name = key.partition(".")
            of_head, head = name.removeprefix("head."), f"backbone.heads.{self.task}."
            found[f"backbone.stages.{stage}.shared.{name}" if of_head == name else head + of_head] = value
        return found

    def forward(self, images: Tensor) -> Tensor:
        """Return log-likelihoods: (B, C, H, W) -> (B, classes)."""
        return self.backbone.path_logits(images, self.task, running=True).log_softmax(1)
