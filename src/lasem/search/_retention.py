"""Retention: a penalty on moving shared knowledge away from the values that earlier tasks need, layer by layer.

For every layer that a task shares, a Laplace approximation describes how much the task depends on the layer's values:
a quadratic around them. The sum over earlier tasks is one quadratic R_l per layer, which is added to the loss, and
subtracted from the log-evidence of the candidates that share the layer. Elastic weight consolidation (Kirkpatrick et
al. 2017) is the case in which every layer is shared.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from lasem.nn import Backbone


def shared_knowledge(backbone: Backbone, *, head: int | None = None) -> dict[int, dict[str, nn.Parameter]]:
    """Return the parameters of shared knowledge by stage and name: of the trial copy while a task is open.

    Args:
        backbone: The network.
        head: Identity of a task whose head counts as knowledge too, where all tasks use one head. Its parameters stand
            with the last stage, under names that begin with "head.".
    """
    stages = {stage.index: stage.shared if stage.trial is None else stage.trial for stage in backbone.iter_stages()}
    found = {index: dict(module.named_parameters()) for index, module in stages.items()}
    if head is not None:
        found[max(found)] |= dict(backbone.heads[str(head)].named_parameters(prefix="head"))
    return found


@dataclass
class Quadratic:
    """A quadratic function: constant + sum_j precision_j (theta_j - center_j)^2, over parameters by name.

    A sum of such quadratics is one again, so any number of tasks takes the memory of one.

    Attributes:
        precision: Curvature by name, at least 0.
        center: Minimum by name.
        constant: Value at the center.
    """

    precision: dict[str, Tensor] = field(default_factory=dict)
    center: dict[str, Tensor] = field(default_factory=dict)
    constant: float = 0.0

    def __call__(self, values: Mapping[str, Tensor]) -> Tensor:
        """Return the value at theta, a scalar."""
        terms = [
            (precision * (values[name] - self.center[name]).square()).sum()
            for name, precision in self.precision.items()
        ]
        return torch.stack(terms).sum() + self.constant

    @torch.no_grad()
    def plus(self, precision: Mapping[str, Tensor], center: Mapping[str, Tensor]) -> "Quadratic":
        """Add another quadratic, whose constant is 0, by completing the square."""
        if not self.precision:
            return Quadratic(dict(precision), {name: value.clone() for name, value in center.items()})
        added = Quadratic(constant=self.constant)
        for name, more in precision.items():
            before = self.precision[name]
            total, shift = before + more, center[name] - self.center[name]
            share = torch.where(total > 0, more / total, 1.0)
            added.precision[name] = total
            added.center[name] = self.center[name] + share * shift
            added.constant += float((before * share * shift.square()).sum())
        return added

    @torch.no_grad()
    def times(self, factor: float) -> "Quadratic":
        """Return the quadratic times a factor."""
        precision = {name: factor * value for name, value in self.precision.items()}
        return Quadratic(precision, self.center, factor * self.constant)

    @torch.no_grad()
    def faded(self, decay: float, precision: Mapping[str, Tensor], center: Mapping[str, Tensor]) -> "Quadratic":
        """Let the precision decay and add a new one, around the new center alone (Schwarz et al. 2018)."""
        known = self.precision
        added = {name: decay * known[name] + more if known else more for name, more in precision.items()}
        return Quadratic(added, {name: value.clone() for name, value in center.items()})


@dataclass(frozen=True)
class RetentionPenalty:
    """Penalty on the open task's trial copy of shared knowledge.

    Attributes:
        quadratics: 2 R_l by stage; a stage that no earlier task shares has none.
        weight: Factor of R_l in the loss.
        head: Identity of the task whose head is retained too; see `shared_knowledge`.
    """

    quadratics: Mapping[int, Quadratic]
    weight: float
    head: int | None = None

    def terms(self, backbone: Backbone) -> list[tuple[int, Tensor]]:
        """Return weight R_l as (stage, scalar), for the stages that have a quadratic.

        A search weighs each term by the probability that the stage is shared.
        """
        knowledge = shared_knowledge(backbone, head=self.head)
        return [(stage, self.weight / 2 * quadratic(knowledge[stage])) for stage, quadratic in self.quadratics.items()]

    @torch.no_grad()
    def log_prior(self, backbone: Backbone, sharing: Tensor) -> Tensor:
        """Return what one image adds to the log-evidence of every candidate: -weight sum_l c_l R_l, (K,).

        The quadratics are the logarithm of the density that earlier tasks leave for shared knowledge. The evidence of B
        images takes the share of B among all images of the task, as the loss does; `weight` has the division.

        Args:
            backbone: The network, with the task open.
            sharing: (K, d) bits of the candidates, in double precision.
        """
        costs = torch.zeros(sharing.shape[1], dtype=torch.float64, device=sharing.device)
        for stage, term in self.terms(backbone):
            costs[stage] = term
        return -(sharing @ costs)
