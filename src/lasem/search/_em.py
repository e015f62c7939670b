"""Expectation-maximization over transfer configurations (LASEM; Lee, Behpour & Eaton, ICML 2021, algorithm 1)."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from lasem.configurations import ConfigurationSpace, Ties
from lasem.errors import require
from lasem.options import Positive, Rate, options
from lasem.search._decision import CommitAt, Course, Decision, Schedule
from lasem.search._evidence import EVIDENCE, cross_entropies, log_likelihoods
from lasem.search._fixed import plain_step
from lasem.search._options import Candidates, Groups
from lasem.search._parts import Budget, Part
from lasem.search._prior import AbstractPrior, Counts, RunningMean, preferred
from lasem.search._skipping import Effort, Selection
from lasem.search._strategy import AbstractSearch, AbstractStrategy, OpenTask, space_of
from lasem.search._tree import indices


@options
class EM(AbstractStrategy):
    """Search by expectation-maximization.

    Attributes:
        partition: Groups of layers that decide together; None = every layer for itself.
        candidates: Configurations to choose from, as bits per group; None = all of them.
        evidence: "product" or "mean" of the likelihoods of a batch's instances.
        prior: "running-mean" of the posteriors, or Laplace "counts" of the most probable candidate.
        restart: Whether the prior restarts at every "task" or at every "epoch".
        m_steps: Optimizer steps per posterior.
        ties: Which candidate wins where probabilities are equal; see `ConfigurationSpace.preference`.
        epsilon: Posterior mass that a step may leave out, to save work; 0 computes everything.
        stop_when_certain: Train the leading candidate alone once no other one can win any more.
        commit_at: Train the leading candidate alone from an earlier moment on.
        memory: MiB that one backward pass may keep of activations; beyond, the tree is evaluated in sub-trees.
    """

    partition: Groups | None = None
    candidates: Candidates | None = None
    evidence: Literal["product", "mean"] = "product"
    prior: Literal["running-mean", "counts"] = "running-mean"
    restart: Literal["task", "epoch"] = "task"
    m_steps: Positive = 1
    ties: Ties = "most-shared"
    epsilon: Annotated[float, Field(ge=0, lt=1)] = 0.0
    stop_when_certain: bool = False
    commit_at: CommitAt | None = None
    memory: Rate | None = None

    @property
    def one_tree(self) -> bool:
        """Unless steps leave candidates out, or divide them."""
        return self.epsilon == 0 and self.memory is None

    def space(self, layers: int) -> ConfigurationSpace:
        """All configurations of the partition, or those listed."""
        return space_of(layers, partition=self.partition, candidates=self.candidates)

    def search(self, space: ConfigurationSpace, *, device: torch.device, schedule: Schedule) -> AbstractSearch:
        """Begin with a uniform prior.

        Raises:
            SpecError: The number of epochs is not known, and an option looks ahead.
        """
        ahead = self.stop_when_certain or (self.commit_at is not None and self.commit_at.share is not None)
        require(
            schedule.epochs is not None or not ahead,
            "stop_when_certain and a share in commit_at need to know how long a task is trained",
            remedy="give Training its epochs",
            epochs=schedule.epochs,
        )
        return EMSearch(self, space, device=device, schedule=schedule)


class EMSearch(AbstractSearch):
    """The EM search of one task.

    On a CPU it decides in every step what to skip and when to stop. Elsewhere that would make the host wait for the
    device, so it decides at the start of every epoch.
    """

    def __init__(self, options: EM, space: ConfigurationSpace, *, device: torch.device, schedule: Schedule) -> None:
        self.space = space
        self._options = options
        self._ranks = torch.tensor(space.preference(options.ties), device=device)
        self._prior: AbstractPrior = (
            Counts(self._ranks, device=device) if options.prior == "counts" else RunningMean(len(space), device=device)
        )
        self._log_posterior = self._prior.log_prior
        self._sharing = torch.tensor(space.layer_bits, dtype=torch.float64, device=device)
        self._course = Course(schedule, restart=options.restart)
        self._selection = Selection(space, epsilon=options.epsilon, each_step=device.type == "cpu")
        self._budget = Budget(space, None if options.memory is None else int(options.memory * 2**20))

    def step(self, network: OpenTask, images: Tensor, labels: Tensor) -> Tensor:
        """E-step, `m_steps` M-steps, prior update; once settled, a step of the chosen candidate alone."""
        chosen = self.decision.candidate
        if chosen is not None:
            return plain_step(network, images, labels, self._budget.part((chosen,)).space)
        features = self._expect(network, images, labels)
        loss = network.update(self._losses(network, images, labels, features))
        for _ in range(1, self._options.m_steps):
            loss = network.update(self._losses(network, images, labels))
        self._prior.update(self._log_posterior)
        self._course.advance()
        if self._selection.each_step:
            self._decide()
        return loss

    def _expect(self, network: OpenTask, images: Tensor, labels: Tensor) -> Tensor | None:
        """E-step (equation 2), without dropout: posterior from the prior and the batch's evidence.

        Dropout sits behind the last stage only, so the first M-step can go on from the same features.

        Returns:
            (N, B, F) of the candidates that the M-step learns from, with their graph; None where it computes them anew.
        """
        log_prior = self._prior.log_prior
        first = self._selection.first(log_prior)
        parts = self._budget.divide(first, network, images)
        joint = torch.full_like(log_prior, float("-inf"))
        features = None
        if len(parts) == 1 and self._selection.learns_most_of(first):
            features = network.leaves(images, parts[0].layout)
            self._enter(joint, log_prior, network, parts[0], features.detach(), labels)
        else:
            self._evaluate(joint, log_prior, network, images, labels, parts)
        rest = self._selection.second(log_prior, joint, first)
        if rest:
            self._evaluate(joint, log_prior, network, images, labels, self._budget.divide(rest, network, images))
            features = None
        self._log_posterior = joint.log_softmax(0)
        self._selection.choose(self._log_posterior, learned=None if features is None else first)
        return features

    @torch.no_grad()
    def _evaluate(
        self,
        joint: Tensor,
        log_prior: Tensor,
        network: OpenTask,
        images: Tensor,
        labels: Tensor,
        parts: Sequence[Part],
    ) -> None:
        """Enter the joint probabilities of candidates, without a graph."""
        for part in parts:
            features = network.leaves(images, part.layout)
            self._enter(joint, log_prior, network, part, features, labels)

    @torch.no_grad()
    def _enter(
        self, joint: Tensor, log_prior: Tensor, network: OpenTask, part: Part, features: Tensor, labels: Tensor
    ) -> None:
        """Put log prior + log evidence of some candidates into (K,), from their features."""
        rows = indices(part.by_leaf, joint.device)
        log_evidence = EVIDENCE[self._options.evidence](log_likelihoods(network.head(features), labels))
        joint.index_copy_(0, rows, log_prior[rows] + log_evidence)

    def _losses(
        self, network: OpenTask, images: Tensor, labels: Tensor, features: Tensor | None = None
    ) -> Iterator[Tensor]:
        """Posterior-weighted cross-entropy, plus each penalty weighted by the posterior mass that uses it; in parts.

        Args:
            network: The open task.
            images: (B, C, H, W).
            labels: (B,).
            features: (N, B, F) of the candidates to learn from, where they are known.
        """
        q = self._log_posterior.exp()
        masks = network.draw_masks(len(self.space), len(images))
        penalty = self._penalty(network, q)
        for part in self._budget.divide(self._selection.learned, network, images, whole=features is not None):
            known = features
            if known is None:
                known = network.leaves(images, part.layout)
            rows = indices(part.by_leaf, q.device)
            logits = network.head(masks.apply(known, rows))
            losses = cross_entropies(logits, labels)
            loss = (q[rows].to(losses.dtype) * losses).sum()
            yield loss if penalty is None else loss + penalty
            penalty = None

    def _penalty(self, network: OpenTask, q: Tensor) -> Tensor | None:
        """Sum of the mappings' penalties, each times the posterior mass that shares its stage; None without any."""
        penalties = network.backbone.penalties(network.task)
        if not penalties:
            return None
        marginals = q @ self._sharing
        return torch.stack([marginals[stage].to(penalty.dtype) * penalty for stage, penalty in penalties]).sum()

    def start_epoch(self) -> None:
        """Restart the prior where it lives for an epoch only; decide, where steps don't."""
        if not self._selection.each_step:
            self._decide()
        self._selection.start_epoch()
        if self._options.restart == "epoch" and self.decision.candidate is None:
            self._prior.restart()

    def _decide(self) -> None:
        """Note whether the outcome is certain, and settle where the options say so."""
        options, course = self._options, self._course
        course.note_lead(self._prior.lead())
        early = options.commit_at is not None and course.reached(options.commit_at, self._prior.log_prior)
        if early or (options.stop_when_certain and course.decision.certain is not None):
            course.settle(self.leader())

    def leader(self) -> int:
        """The candidate of largest prior, or the one settled for."""
        chosen = self.decision.candidate
        return int(preferred(self._prior.log_prior, self._ranks)) if chosen is None else chosen

    def log_prior(self) -> Tensor:
        """(K,)."""
        return self._prior.log_prior

    @property
    def log_posterior(self) -> Tensor:
        """(K,): uniform before the first batch."""
        return self._log_posterior

    @property
    def decision(self) -> Decision:
        """When the outcome became certain, and when the search settled."""
        return self._course.decision

    @property
    def effort(self) -> Effort:
        """Work of the current epoch's E-steps."""
        return self._selection.effort

    def state(self) -> dict[str, Tensor]:
        """The prior's accumulators, and the course so far."""
        return {**self._prior.state(), "course": self._course.marks}
