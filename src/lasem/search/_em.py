"""Search by expectation-maximization (LASEM; Lee, Behpour & Eaton, ICML 2021, algorithm 1)."""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from lasem.configurations import ConfigurationSpace, Ties
from lasem.errors import LasemError, RunError, require
from lasem.options import Positive, Rate, options
from lasem.search._decision import CommitAt, Decision, Schedule, SearchProgress
from lasem.search._evidence import EVIDENCE, cross_entropies, log_likelihoods, log_posterior
from lasem.search._fixed import plain_step
from lasem.search._open_task import AbstractOpenTask
from lasem.search._options import Candidates, Groups
from lasem.search._parts import Budget, Part
from lasem.search._prior import AbstractPrior, Counts, RunningMean, preferred, require_double_precision
from lasem.search._skipping import Effort, Selection
from lasem.search._strategy import AbstractSearch, AbstractStrategy, candidate_space
from lasem.search._task_network import TaskNetwork
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
        memory: MiB of activations that autograd may store for one backward pass. A tree that would take more is
            evaluated in sub-trees; None for no limit.
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
        """Whether every step runs the same candidates in one tree: unless it leaves some out, or divides them."""
        return self.epsilon == 0 and self.memory is None

    def space(self, layers: int) -> ConfigurationSpace:
        """Return all configurations of the partition, or those listed."""
        return candidate_space(layers, partition=self.partition, candidates=self.candidates)

    def search(self, space: ConfigurationSpace, *, network: TaskNetwork, schedule: Schedule) -> AbstractSearch:
        """Begin a search with a uniform prior.

        Raises:
            SpecError: The number of epochs is not known, and an option looks ahead; or the device has no double
                precision.
        """
        ahead = self.stop_when_certain or (self.commit_at is not None and self.commit_at.share is not None)
        require(
            schedule.epochs is not None or not ahead,
            "training.epochs must be given for stop_when_certain and for a share in commit_at, which look ahead",
            remedy="set it to the number of epochs per task",
            epochs=schedule.epochs,
        )
        return EMSearch(self, space, network=network, schedule=schedule)


class EMSearch(AbstractSearch):
    """The EM search of one task.

    On a CPU it decides in every step what to skip and when to stop. On another device that would make the host wait
    for numbers in every step, so it decides at the start of every epoch.
    """

    def __init__(self, options: EM, space: ConfigurationSpace, *, network: TaskNetwork, schedule: Schedule) -> None:
        device = network.device
        require_double_precision(device)
        self.space = space
        self._network = network
        self._options = options
        self._ranks = torch.tensor(space.preference(options.ties), device=device)
        self._prior: AbstractPrior = (
            Counts(self._ranks, device=device) if options.prior == "counts" else RunningMean(len(space), device=device)
        )
        self._log_posterior = self._prior.log_prior
        self._sharing = torch.tensor(space.layer_bits, dtype=torch.float64, device=device)
        self._progress = SearchProgress(schedule, restart=options.restart)
        self._selection = Selection(space, epsilon=options.epsilon, each_step=device.type == "cpu")
        self._budget = Budget(space, None if options.memory is None else int(options.memory * 2**20))

    def step(self, task: AbstractOpenTask, images: Tensor, labels: Tensor) -> Tensor:
        """Make an E-step, `m_steps` M-steps and an update of the prior; once settled, train the chosen candidate."""
        chosen = self.decision.candidate
        if chosen is not None:
            return plain_step(task, self._network, images, labels, space=self._budget.part((chosen,)).space)
        posterior, features = self._expect(images, labels)
        try:
            loss = self._maximize(task, images, labels, posterior.exp(), features)
            for _ in range(1, self._options.m_steps):
                loss = self._maximize(task, images, labels, posterior.exp())
        except RunError as error:
            raise RunError(f"{error}; the batch before it left the posterior {self._most_probable()}") from None
        self._log_posterior = posterior
        self._prior.update(posterior)
        self._progress.advance()
        if self._selection.each_step:
            self._decide()
        return loss

    def _expect(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor | None]:
        """E-step (equation 2): the posterior from the prior and the batch's evidence, without dropout.

        If dropout comes after the last stage only, the first M-step can continue from the same features. Where modules
        of stages drop something, the M-step computes its own.

        Returns:
            (K,) log-posterior; and (N, B, F) features, with their graph, of the candidates that the M-step trains, or
            None if the M-step has to compute them.
        """
        log_prior = self._prior.log_prior
        log_evidence = torch.full_like(log_prior, float("-inf"))
        first = self._selection.first(log_prior)
        parts = self._budget.divide(first, self._network, images)
        features = None
        shares = not self._network.backbone.stochastic and self._selection.should_share_forward_pass(first)
        if len(parts) == 1 and shares:
            features = self._network.leaves(images, parts[0].layout)
            self._enter(log_evidence, parts[0], features.detach(), labels)
        else:
            self._evaluate(log_evidence, parts, images, labels)
        rest = self._selection.second(log_prior, log_evidence, first)
        if rest:
            self._evaluate(log_evidence, self._budget.divide(rest, self._network, images), images, labels)
            features = None
        posterior = log_posterior(log_prior, log_evidence)
        self._selection.choose(posterior, learned=None if features is None else first)
        return posterior, features

    @torch.no_grad()
    def _evaluate(self, log_evidence: Tensor, parts: Sequence[Part], images: Tensor, labels: Tensor) -> None:
        """Compute the evidence of candidates, sub-tree by sub-tree, without a graph."""
        for part in parts:
            self._enter(log_evidence, part, self._network.leaves(images, part.layout), labels)

    @torch.no_grad()
    def _enter(self, log_evidence: Tensor, part: Part, features: Tensor, labels: Tensor) -> None:
        """Enter the log-evidence of some candidates into (K,), from their features (N, B, F)."""
        likelihoods = log_likelihoods(self._network.head(features), labels)
        candidates = indices(part.by_leaf, log_evidence.device)
        log_evidence.index_copy_(0, candidates, EVIDENCE[self._options.evidence](likelihoods))

    def _maximize(
        self, task: AbstractOpenTask, images: Tensor, labels: Tensor, q: Tensor, features: Tensor | None = None
    ) -> Tensor:
        """M-step: an optimizer step on the posterior-weighted cross-entropies and penalties.

        Args:
            task: The open task.
            images: (B, C, H, W).
            labels: (B,).
            q: (K,) posterior.
            features: (N, B, F) of the candidates to train, if they are known.

        Returns:
            The loss, a detached scalar.
        """
        masks = task.draw_masks(len(self.space), len(images), self._network.num_features)
        seed = self._network.draw_seed(task)
        penalty = self._penalty(q)  # added once, however many sub-trees there are
        for part in self._budget.divide(self._selection.learned, self._network, images, whole=features is not None):
            leaves = self._network.leaves(images, part.layout, seed=seed) if features is None else features
            candidates = indices(part.by_leaf, q.device)
            losses = cross_entropies(self._network.head(masks.apply(leaves, candidates)), labels)
            loss = (q[candidates].to(losses.dtype) * losses).sum()
            task.backward(loss if penalty is None else loss + penalty)  # before the next sub-tree, to free this one
            penalty = None
        return task.step()

    def _penalty(self, q: Tensor) -> Tensor | None:
        """Sum the penalties of shared branches, each times the posterior mass that shares its stage."""
        penalties = self._network.penalties()
        if not penalties:
            return None
        marginals = q @ self._sharing
        return torch.stack([marginals[stage].to(penalty.dtype) * penalty for stage, penalty in penalties]).sum()

    def _most_probable(self) -> str:
        """Name the most probable candidates of the last batch, for an error."""
        top, names = self._log_posterior.exp().topk(min(3, len(self.space))), self.space.names()
        shares = zip(top.indices.tolist(), top.values.tolist(), strict=True)
        return ", ".join(f"{names[index]} {share:.3g}" for index, share in shares)

    def start_epoch(self) -> None:
        """Restart a prior that lasts for one epoch; on a device, decide whether to stop."""
        if not self._selection.each_step:
            self._decide()
        self._selection.start_epoch()
        if self._options.restart == "epoch" and self.decision.candidate is None:
            self._prior.restart()

    def _decide(self) -> None:
        """Note whether the outcome is certain, and settle if the options say so."""
        options, progress = self._options, self._progress
        progress.note_margin(self._prior.margin())
        early = options.commit_at is not None and progress.reached(options.commit_at, self._prior.log_prior)
        if early or (options.stop_when_certain and progress.decision.certain is not None):
            progress.settle(self.leader())

    def leader(self) -> int:
        """Return the candidate of largest prior, or the one settled for."""
        chosen = self.decision.candidate
        return int(preferred(self._prior.log_prior, self._ranks)) if chosen is None else chosen

    def log_prior(self) -> Tensor:
        """Return the logarithm of the prior, (K,)."""
        return self._prior.log_prior

    def set_prior(self, prior: Tensor) -> None:
        """Replace the prior by (K,) positive numbers, whose sum is made 1; see `AbstractSearch.set_prior`."""
        given = torch.as_tensor(prior, dtype=torch.float64, device=self._network.device)
        if given.shape != (len(self.space),) or not bool((given.isfinite() & (given > 0)).all()):
            raise LasemError(
                f"a prior must have a positive finite number for each of the {len(self.space)} candidates (got shape"
                f" {tuple(given.shape)}, values {given.tolist()[:8]}); give every candidate a number above 0"
            )
        self._prior.replace(given.log().log_softmax(0))

    @property
    def log_posterior(self) -> Tensor:
        """Logarithm of the posterior of the last batch, (K,); uniform before the first one."""
        return self._log_posterior

    @property
    def decision(self) -> Decision:
        """When the outcome became certain, and when the search settled."""
        return self._progress.decision

    @property
    def effort(self) -> Effort:
        """Work of the current epoch's E-steps."""
        return self._selection.effort

    def state(self) -> dict[str, Tensor]:
        """Return the prior's accumulators and the progress so far."""
        return {**self._prior.state(), "course": self._progress.marks}
