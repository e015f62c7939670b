"""Search by expectation-maximization (LASEM; Lee, Behpour & Eaton, ICML 2021, algorithm 1)."""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from lasem.configurations import SHARED, ConfigurationSpace, Ties
from lasem.errors import LasemError, RunError
from lasem.options import CountOrShare, Positive, Rate, options
from lasem.search._decision import CommitAt, Decision, EvidenceWindow, Schedule, SearchProgress
from lasem.search._em_options import most_shared, new_prior, require_combination, require_epochs
from lasem.search._evidence import EVIDENCE, EvidenceSpread, log_likelihoods, log_posterior
from lasem.search._fixed import plain_step
from lasem.search._open_task import AbstractOpenTask, Batch
from lasem.search._options import Candidates, Groups, HeldOut
from lasem.search._parts import Budget, Part
from lasem.search._prior import preferred, require_double_precision
from lasem.search._skipping import Effort, Selection
from lasem.search._strategy import AbstractSearch, AbstractStrategy, candidate_space
from lasem.search._task_network import TaskNetwork
from lasem.search._tree import indices


@options
class EM(AbstractStrategy):
    """Search by expectation-maximization.

    Attributes:
        partition: Groups of layers that decide together; None = every layer for itself.
        candidates: Configurations to choose from, as digits per group; "ordered" = those in which frozen groups come
            before shared ones and these before own ones, from the input on; None = all of them.
        evidence: "product" or "mean" of the likelihoods of a batch's instances.
        held_out: Images that the evidence is computed on: the batch that the weights learn from ("none"), the task's
            validation split ("valid"), or half of its training split ("half"). The weights do without that half until
            the search has settled; see `commit_at`.
        prior: "running-mean" of the posteriors, Laplace "counts" of the most probable candidate, or the "sum" of the
            log-evidence.
        temper: Factor of the log-evidence in the prior "sum"; None for 1 / epochs, so that every image counts once
            with the evidence "product". With "mean", a batch counts as one image.
        evidence_from: Number of epochs at the start of a task whose evidence does not count, or their share of the
            task. All candidates are trained by their prior, which is uniform, so that what learns fastest is not
            preferred for that.
        evidence_epochs: Number of epochs whose evidence informs the prior; None for all.
        restart: Whether the prior restarts at every "task" or at every "epoch".
        m_steps: Optimizer steps per posterior.
        first_task: The first task is "searched", or shares all layers without a search ("shared"), or is searched and
            takes the candidate that shares most among those at least half as probable as the best ("near-ties").
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
    held_out: HeldOut = "none"
    prior: Literal["running-mean", "counts", "sum"] = "running-mean"
    temper: Rate | None = None
    evidence_from: CountOrShare = 0
    evidence_epochs: Positive | None = None
    restart: Literal["task", "epoch"] = "task"
    m_steps: Positive = 1
    first_task: Literal["searched", "shared", "near-ties"] = "searched"
    ties: Ties = "most-shared"
    epsilon: Annotated[float, Field(ge=0, lt=1)] = 0.0
    stop_when_certain: bool = False
    commit_at: CommitAt | None = None
    memory: Rate | None = None

    def __post_init__(self) -> None:
        require_combination(self)

    @property
    def one_tree(self) -> bool:
        """Whether every step runs the same candidates in one tree: unless it leaves some out, or divides them."""
        return self.epsilon == 0 and self.memory is None

    @property
    def starts_shared(self) -> bool:
        """Whether the first task shares all layers, without a search."""
        return self.first_task == "shared"

    def space(self, layers: int, *, branches: int = 2) -> ConfigurationSpace:
        """Return all configurations of the partition, or those listed."""
        return candidate_space(layers, partition=self.partition, candidates=self.candidates, branches=branches)

    def check_epochs(self, epochs: int | None) -> None:
        """Check that evidence counts, and that what looks ahead knows how far.

        Raises:
            SpecError: One of them does not.
        """
        require_epochs(self, epochs)

    def search(self, space: ConfigurationSpace, *, network: TaskNetwork, schedule: Schedule) -> AbstractSearch:
        """Begin a search with a uniform prior.

        Raises:
            SpecError: The options do not fit the number of epochs, or the device has no double precision.
        """
        self.check_epochs(schedule.epochs)
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
        self._prior = new_prior(options, schedule, ranks=self._ranks)
        self._log_posterior = self._prior.log_prior
        self._sharing = torch.tensor(space.layer_digits, device=device).eq(SHARED).double()
        window = EvidenceWindow(schedule, warm_up=options.evidence_from, epochs=options.evidence_epochs)
        self._progress = SearchProgress(schedule, restart=options.restart, window=window)
        self._spread = EvidenceSpread()
        self._near_ties = options.first_task == "near-ties" and not network.backbone.configurations
        self._retained: Tensor | None = None
        self._selection = Selection(space, epsilon=options.epsilon, each_step=device.type == "cpu")
        self._budget = Budget(space, None if options.memory is None else int(options.memory * 2**20))

    def step(self, task: AbstractOpenTask, images: Tensor, labels: Tensor) -> Tensor:
        """Make an E-step, `m_steps` M-steps and an update of the prior; once settled, train the chosen candidate."""
        chosen = self.decision.candidate
        if chosen is not None:
            return plain_step(task, self._network, images, labels, space=self._budget.part((chosen,)).space)
        evidence, posterior, features = self._expect(images, labels, task.held_out_batch())
        try:
            loss = self._maximize(task, images, labels, posterior.exp(), features)
            for _ in range(1, self._options.m_steps):
                loss = self._maximize(task, images, labels, posterior.exp())
        except RunError as error:
            raise RunError(f"{error}; the batch before it left the posterior {self._most_probable()}") from None
        self._log_posterior = posterior
        if self._progress.counts:
            self._prior.update(evidence if self._prior.learns_from == "evidence" else posterior)
        self._spread.add(evidence)
        self._progress.advance()
        if self._selection.each_step:
            self._decide()
        return loss

    def _expect(self, images: Tensor, labels: Tensor, held_out: Batch | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """E-step (equation 2): the posterior from the prior and the batch's evidence, without dropout.

        If dropout comes after the last stage only, the first M-step can continue from the same features. Where modules
        of stages drop something, the M-step computes its own.

        `held_out` is the batch that the evidence is computed on; None for that of the M-step, images and labels.

        Returns:
            (K,) log-evidence; (K,) log-posterior; and (N, B, F) features, with their graph, of the candidates that the
            M-step trains, or None if the M-step has to compute them.
        """
        trained, (images, labels) = held_out is None, held_out or (images, labels)
        log_prior = self._prior.log_prior
        log_evidence = torch.full_like(log_prior, float("-inf"))
        kind = self._options.evidence
        self._retained = self._network.retained_evidence(self._sharing, images=len(labels), evidence=kind)
        first = self._selection.first(log_prior)
        parts = self._budget.divide(first, self._network, images)
        features = None
        shares = not self._network.backbone.stochastic and self._selection.should_share_forward_pass(first)
        if trained and len(parts) == 1 and shares:
            features = self._network.leaves(images, parts[0].layout)
            self._enter(log_evidence, parts[0], features.detach(), labels)
        else:
            self._evaluate(log_evidence, parts, images, labels)
        rest = self._selection.second(log_prior, log_evidence, first)
        if rest:
            self._evaluate(log_evidence, self._budget.divide(rest, self._network, images), images, labels)
            features = None
        posterior = log_prior if self._progress.warming_up else log_posterior(log_prior, log_evidence)
        self._selection.choose(posterior, learned=None if features is None else first)
        return log_evidence, posterior, features

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
        evidence = EVIDENCE[self._options.evidence](likelihoods)
        if self._retained is not None:
            evidence = evidence + self._retained[candidates]
        log_evidence.index_copy_(0, candidates, evidence)

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
        penalty = self._network.expected_penalty(q, self._sharing)  # added once, however many sub-trees there are
        for part in self._budget.divide(self._selection.learned, self._network, images, whole=features is not None):
            leaves = self._network.leaves(images, part.layout, seed=seed) if features is None else features
            candidates = indices(part.by_leaf, q.device)
            logits = self._network.head(masks.apply(leaves, candidates))
            loss = self._network.expected_loss(task, logits, labels, q=q[candidates])
            task.backward(loss if penalty is None else loss + penalty)  # before the next sub-tree, to free this one
            penalty = None
        return task.step()

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
        self._spread = EvidenceSpread()
        if self._options.restart == "epoch" and self.decision.candidate is None:
            self._prior.restart()

    def _decide(self) -> None:
        """Note whether the outcome is certain, and settle if the options say so."""
        options, progress = self._options, self._progress
        if not self._near_ties:  # which may still change among candidates that cannot become the best any more
            progress.note_margin(self._prior.margin())
        early = options.commit_at is not None and progress.reached(options.commit_at, self._prior.log_prior)
        if early or (options.stop_when_certain and progress.decision.certain is not None):
            progress.settle(self.leader())

    def leader(self) -> int:
        """Return the candidate of largest prior, or the one settled for."""
        chosen, log_prior = self.decision.candidate, self._prior.log_prior
        if chosen is None and self._near_ties:
            return int(most_shared(log_prior, self.space))
        return int(preferred(log_prior, self._ranks)) if chosen is None else chosen

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
    def spread(self) -> float | None:
        """Mean spread of the log-evidence of a batch over the current epoch, in nats."""
        return self._spread.mean

    @property
    def effort(self) -> Effort:
        """Work of the current epoch's E-steps."""
        return self._selection.effort

    def state(self) -> dict[str, Tensor]:
        """Return the prior's accumulators and the progress so far."""
        return {**self._prior.state(), "course": self._progress.marks}
