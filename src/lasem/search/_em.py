"""Expectation-maximization over transfer configurations (LASEM; Lee, Behpour & Eaton, ICML 2021, algorithm 1)."""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from lasem.configurations import ConfigurationSpace, Partition, Ties
from lasem.errors import require
from lasem.search._evidence import EVIDENCE, cross_entropies, log_likelihoods, log_posterior
from lasem.search._prior import AbstractPrior, Counts, RunningMean, preferred
from lasem.search._strategy import AbstractSearch, AbstractStrategy, OpenTask, space_of
from lasem.search._tree import in_space_order, leaf_features, plan


@dataclass(frozen=True)
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
    """

    partition: Partition | None = None
    candidates: tuple[tuple[int, ...], ...] | None = None
    evidence: Literal["product", "mean"] = "product"
    prior: Literal["running-mean", "counts"] = "running-mean"
    restart: Literal["task", "epoch"] = "task"
    m_steps: int = 1
    ties: Ties = "most-shared"

    def __post_init__(self) -> None:
        require(self.evidence in EVIDENCE, f"evidence is one of {', '.join(EVIDENCE)}", evidence=self.evidence)
        require(self.prior in ("running-mean", "counts"), "a prior is running-mean or counts", prior=self.prior)
        require(self.restart in ("task", "epoch"), "a prior restarts at every task or epoch", restart=self.restart)
        require(self.m_steps >= 1, "an EM step has at least one M-step", m_steps=self.m_steps)
        require(self.ties in get_args(Ties), f"ties are broken by {' or '.join(get_args(Ties))}", ties=self.ties)

    def space(self, layers: int) -> ConfigurationSpace:
        """All configurations of the partition, or those listed."""
        return space_of(layers, partition=self.partition, candidates=self.candidates)

    def search(self, space: ConfigurationSpace, *, device: torch.device) -> AbstractSearch:
        """Begin with a uniform prior."""
        return EMSearch(self, space, device=device)


class EMSearch(AbstractSearch):
    """The EM search of one task."""

    def __init__(self, options: EM, space: ConfigurationSpace, *, device: torch.device) -> None:
        self.space = space
        self._options = options
        self._ranks = torch.tensor(space.preference(options.ties), device=device)
        self._prior: AbstractPrior = (
            Counts(self._ranks, device=device) if options.prior == "counts" else RunningMean(len(space), device=device)
        )
        self._log_posterior = self._prior.log_prior

    def step(self, network: OpenTask, images: Tensor, labels: Tensor) -> Tensor:
        """E-step, `m_steps` M-steps, prior update.

        The E-step has no dropout; since dropout sits behind the last stage only, the first M-step uses the same
        convolutional features.
        """
        layout = plan(self.space)
        loss = torch.zeros(())
        for number in range(self._options.m_steps):
            features = leaf_features(network.backbone, images, network.task, layout=layout)
            if number == 0:
                with torch.no_grad():
                    self._expect(in_space_order(network.head(features), layout), labels)
            logits = in_space_order(network.head(network.dropout(features)), layout)
            loss = self._loss(network, logits, labels)
            network.update(loss)
        self._prior.update(self.log_posterior)
        return loss.detach()

    def _expect(self, logits: Tensor, labels: Tensor) -> None:
        """E-step (equation 2): posterior from the prior and the batch's evidence."""
        log_evidence = EVIDENCE[self._options.evidence](log_likelihoods(logits, labels))
        self._log_posterior = log_posterior(self._prior.log_prior, log_evidence)

    def _loss(self, network: OpenTask, logits: Tensor, labels: Tensor) -> Tensor:
        """Posterior-weighted cross-entropy plus each penalty weighted by the posterior mass that uses it."""
        q = self.log_posterior.exp()
        loss = q.to(logits.dtype) @ cross_entropies(logits, labels)
        for stage, penalty in network.backbone.penalties(network.task):
            shares = torch.tensor([bits[stage] for bits in self.space.layer_bits], dtype=q.dtype, device=q.device)
            loss = loss + (q @ shares).to(penalty.dtype) * penalty
        return loss

    def start_epoch(self) -> None:
        """Restart the prior where it lives for an epoch only."""
        if self._options.restart == "epoch":
            self._prior.restart()

    def leader(self) -> int:
        """The candidate of largest prior."""
        return int(preferred(self._prior.log_prior, self._ranks))

    def log_prior(self) -> Tensor:
        """(K,)."""
        return self._prior.log_prior

    @property
    def log_posterior(self) -> Tensor:
        """(K,): uniform before the first batch."""
        return self._log_posterior

    def state(self) -> dict[str, Tensor]:
        """The prior's accumulators."""
        return self._prior.state()
