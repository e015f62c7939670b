"""EM over lists of candidates that are drawn anew, for networks whose configurations cannot all be evaluated.

The prior is a product over groups, pi(c) = prod_g pi_{g, c_g} with the digits c_g of the branches. A list of M
candidates is drawn from a proposal, and the posterior of a batch is estimated on the list by importance weights. The
cost of a step grows with the number of stages, not with that of configurations (PARSEC, Casale, Gordon & Fusi 2019,
searches cells this way).
"""

from math import log
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from lasem.configurations import FROZEN, OWN, SHARED, ConfigurationSpace, Digits
from lasem.errors import require
from lasem.options import Count, CountOrShare, Positive, Share, options
from lasem.search._decision import CommitAt, Decision, EvidenceWindow, Schedule, SearchProgress
from lasem.search._draw import DrawnList, draw_list
from lasem.search._em_options import require_length
from lasem.search._evidence import EVIDENCE, EvidenceSpread, log_likelihoods
from lasem.search._fixed import plain_step
from lasem.search._open_task import AbstractOpenTask
from lasem.search._options import Groups, HeldOut
from lasem.search._prior import require_double_precision
from lasem.search._strategy import AbstractSearch, AbstractStrategy, layer_groups
from lasem.search._task_network import TaskNetwork
from lasem.search._tree import indices, plan

SMALLEST = -1e4
"""Smallest logarithm of a group's probability, so that a branch that a list lacked can come back."""


@options
class DrawnEM(AbstractStrategy):
    """Search by expectation-maximization over candidates that are drawn anew, with a prior per group.

    Attributes:
        partition: Groups of layers that decide together; None = every layer for itself.
        draws: Largest number M of candidates in a list, at least one per branch. If it is at least 2^G, or 3^G with the
            frozen branch, the list is all configurations, and the search is exact for its prior.
        redraw: Number of steps after which a new list is drawn; None for every epoch.
        mixture: Share of a uniform distribution in the proposal, by which groups that seem decided are still tried.
        expect_every: Number of steps per E-step; in between, candidates are trained by their prior.
        commit_groups: A group is settled once the probability of one branch has passed 1 minus this number, and the
            lists do without the others; 0 settles none.
        evidence: "product" or "mean" of the likelihoods of a batch's instances.
        held_out: Images that the evidence is computed on; see `EM`.
        evidence_from: Number or share of a task's epochs, at its start, whose evidence does not count; see `EM`.
        commit_at: Train the leading configuration alone from this moment on.
        seed: Seed of the lists.
    """

    partition: Groups | None = None
    draws: Annotated[int, Field(ge=2, le=4096)] = 8
    redraw: Positive | None = None
    mixture: Share = 0.2
    expect_every: Positive = 1
    commit_groups: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    evidence: Literal["product", "mean"] = "product"
    held_out: HeldOut = "none"
    evidence_from: CountOrShare = 0
    commit_at: CommitAt | None = None
    seed: Count = 0

    def space(self, layers: int, *, branches: int = 2) -> ConfigurationSpace:
        """Return the configurations that take one branch everywhere: the search draws all others.

        Raises:
            SpecError: The partition has another number of layers, or a list has fewer candidates than branches.
        """
        require(
            self.draws >= branches,
            f"a list must have at least {branches} candidates, so that every group tries each of its branches",
            remedy=f"set draws to {branches} or more",
            draws=self.draws,
        )
        groups = layer_groups(layers, self.partition)
        return ConfigurationSpace(groups, tuple((digit,) * groups.num_groups for digit in range(branches)), branches)

    def num_configurations(self, layers: int, *, branches: int = 2) -> int:
        """Return the number of all configurations of the partition, which are drawn from."""
        return branches ** layer_groups(layers, self.partition).num_groups

    def check_epochs(self, epochs: int | None) -> None:
        """Check that evidence counts, and that what looks ahead knows how far.

        Raises:
            SpecError: One of them does not.
        """
        require_length(epochs, evidence_from=self.evidence_from, commit_at=self.commit_at)

    def search(self, space: ConfigurationSpace, *, network: TaskNetwork, schedule: Schedule) -> AbstractSearch:
        """Begin a search with a uniform prior.

        Raises:
            SpecError: The options do not fit the number of epochs, or the device has no double precision.
        """
        self.check_epochs(schedule.epochs)
        return DrawnEMSearch(self, space, network=network, schedule=schedule)


class DrawnEMSearch(AbstractSearch):
    """The search of one task over lists drawn anew; its `space` has the current list and the leading configuration."""

    redraws = True

    def __init__(
        self, options: DrawnEM, space: ConfigurationSpace, *, network: TaskNetwork, schedule: Schedule
    ) -> None:
        require_double_precision(network.device)
        self._options, self._all, self._network = options, space, network
        groups, branches, device = space.partition.num_groups, space.branches, network.device
        self._log_totals = torch.full((groups, branches), -log(branches), dtype=torch.float64, device=device)
        self._count = torch.zeros((), dtype=torch.float64, device=device)
        # what the current list was drawn from, in main memory
        self._proposal = torch.full((groups, branches), 1 / branches, dtype=torch.float64)
        self._fixed = torch.full((groups,), -1)
        self._number = torch.zeros((), dtype=torch.int64)
        window = EvidenceWindow(schedule, warm_up=options.evidence_from)
        self._progress = SearchProgress(schedule, restart="task", window=window)
        self._spread = EvidenceSpread()
        self._list: DrawnList | None = None

    def step(self, task: AbstractOpenTask, images: Tensor, labels: Tensor) -> Tensor:
        """Make an M-step on the list, after an E-step where one is due; once settled, train the chosen candidate."""
        if self.decision.candidate is not None:
            return plain_step(task, self._network, images, labels, space=self.space)
        steps = self._progress.steps
        if self._number.tolist() == 0 or (self._options.redraw and steps % self._options.redraw == 0):
            self._redraw()
        listed, features, held_out = self._listed(), None, task.held_out_batch()
        log_q = (self._log_prior_of(listed.taken) + listed.log_weights).log_softmax(0)
        if steps % self._options.expect_every == 0:
            if held_out is None and not self._network.backbone.stochastic:
                features = self._network.leaves(images, plan(listed.space))
                log_evidence = self._evidence(listed, features.detach(), labels)
            else:
                scored, answers = held_out or (images, labels)
                with torch.no_grad():
                    leaves = self._network.leaves(scored, plan(listed.space))
                log_evidence = self._evidence(listed, leaves, answers)
            self._spread.add(log_evidence)
            log_q = log_q if self._progress.warming_up else (log_q + log_evidence).log_softmax(0)
            if self._progress.counts:
                self._update(listed, log_q)
        loss = self._maximize(task, images, labels, listed=listed, q=log_q.exp(), features=features)
        self._progress.advance()
        if self._network.device.type == "cpu":
            self._decide()
        return loss

    @torch.no_grad()
    def _evidence(self, listed: DrawnList, features: Tensor, labels: Tensor) -> Tensor:
        """Compute the log-evidence of the list, (M,), from features (N, B, F) in the order of the leaves."""
        likelihoods = log_likelihoods(self._network.head(features), labels)
        order = indices(plan(listed.space).candidates, likelihoods.device)
        evidence = torch.zeros(len(listed.space), dtype=torch.float64, device=likelihoods.device)
        evidence.index_copy_(0, order, EVIDENCE[self._options.evidence](likelihoods))
        kind = self._options.evidence
        retained = self._network.retained_evidence(listed.sharing, images=len(labels), evidence=kind)
        return evidence if retained is None else evidence + retained

    def _maximize(
        self, task: AbstractOpenTask, images: Tensor, labels: Tensor, *, listed: DrawnList, q: Tensor,
        features: Tensor | None,
    ) -> Tensor:  # fmt: skip
        """Make an optimizer step on the cross-entropies and penalties of the list, weighted by q, (M,)."""
        layout = plan(listed.space)
        seed = self._network.draw_seed(task)
        leaves = self._network.leaves(images, layout, seed=seed) if features is None else features
        order = indices(layout.candidates, q.device)
        masks = task.draw_masks(len(listed.space), len(images), self._network.num_features)
        logits = self._network.head(masks.apply(leaves, order))
        loss = self._network.expected_loss(task, logits, labels, q=q[order])
        penalty = self._network.expected_penalty(q, listed.sharing)
        return task.step(loss if penalty is None else loss + penalty)

    def _update(self, listed: DrawnList, log_q: Tensor) -> None:
        """Add the marginals of a posterior over the list to the running mean of every group."""
        marginals = (log_q[:, None, None] + listed.taken.log()).logsumexp(0).clamp_min(SMALLEST)  # + 0 or -inf
        total = torch.logaddexp(self._log_totals, marginals)
        self._log_totals.copy_(torch.where(self._count > 0, total, marginals))
        self._count += 1

    @property
    def _log_groups(self) -> Tensor:
        """Logarithm of the probability of every group's branches, (G, branches)."""
        return self._log_totals.log_softmax(1)

    def _log_prior_of(self, taken: Tensor) -> Tensor:
        """Return the logarithm of the factorized prior, (K,), from the branches taken, (K, G, branches) of 0 and 1."""
        by_branch = [taken[..., digit] @ self._log_groups[:, digit] for digit in range(self._all.branches)]
        return torch.stack(by_branch).sum(0)

    def _redraw(self) -> None:
        """Settle groups whose probability has passed the bound, and draw the next list from the present prior."""
        probabilities = self._log_groups.exp().cpu()
        bound = self._options.commit_groups
        if bound and float(self._count) > 0:
            highest, digits = probabilities.max(1)
            self._fixed.copy_(torch.where((self._fixed < 0) & (highest > 1 - bound), digits, self._fixed))
        proposal = (1 - self._options.mixture) * probabilities + self._options.mixture / self._all.branches
        proposal[:, OWN] = (1 - proposal[:, SHARED:].sum(1)).clamp_min(0)  # so that the sum is 1 in spite of rounding
        self._proposal.copy_(proposal)
        self._number += 1
        if bool((self._fixed >= 0).all()):
            self._settle()

    def _listed(self) -> DrawnList:
        """Return the current list, which follows from the number of the draw, the proposal and the settled groups."""
        drawn_from = (int(self._number), tuple(map(tuple, self._proposal.tolist())), tuple(self._fixed.tolist()))
        if self._list is None or self._list.drawn_from != drawn_from:
            place = (self._options.seed, self._network.identity)
            size, device = self._options.draws, self._network.device
            self._list = draw_list(self._all, drawn_from, size=size, place=place, device=device)
        return self._list

    def start_epoch(self) -> None:
        """Draw the list of the epoch, unless lists are drawn after a number of steps; on a device, decide."""
        self._spread = EvidenceSpread()
        if self._network.device.type != "cpu":
            self._decide()
        if self._options.redraw is None and self.decision.candidate is None:
            self._redraw()

    def _decide(self) -> None:
        """Settle for the leading configuration where the options say so."""
        commit_at = self._options.commit_at
        if commit_at is not None and self._progress.reached(commit_at, self._log_groups.max(1).values.sum(0, True)):
            self._settle()

    def _settle(self) -> None:
        """Stop for the leading configuration, which is then the only one in `space`."""
        self._fixed.copy_(torch.tensor(self._leading()))
        self._progress.settle(0)

    def _leading(self) -> Digits:
        """Return the most probable configuration, the settled groups as they were settled.

        Of equally probable branches a group takes the shared one, then the frozen one.
        """
        preferred = [SHARED, FROZEN, OWN] if self._all.branches > FROZEN else [SHARED, OWN]
        probable = torch.tensor(preferred)[self._log_groups[:, preferred].argmax(1).cpu()]
        return tuple(torch.where(self._fixed < 0, probable, self._fixed).tolist())

    @property
    def space(self) -> ConfigurationSpace:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The current list and the leading configuration, in the order of their numbers."""
        listed = () if self.decision.candidate is not None else self._listed().space.candidates
        candidates = tuple(sorted({*listed, self._leading()}))
        return ConfigurationSpace(self._all.partition, candidates, self._all.branches)

    def leader(self) -> int:
        """Return the index of the most probable configuration in `space`."""
        return self.space.candidates.index(self._leading())

    def log_prior(self) -> Tensor:
        """Return the logarithm of the prior of the candidates in `space`, normalized over them, (K,)."""
        digits = torch.tensor(self.space.candidates, device=self._network.device)
        branches = torch.arange(self._all.branches, device=digits.device)
        return self._log_prior_of(digits.unsqueeze(2).eq(branches).double()).log_softmax(0)

    def marginals(self) -> Tensor:
        """Return the probability of every group's branches, (G, branches)."""
        return self._log_groups.exp()

    @property
    def decision(self) -> Decision:
        """When the search settled; no outcome is certain before."""
        return self._progress.decision

    @property
    def spread(self) -> float | None:
        """Mean spread of the log-evidence of the lists of the current epoch, in nats."""
        return self._spread.mean

    def state(self) -> dict[str, Tensor]:
        """Return the sums of marginals, what the current list was drawn from, and the progress so far."""
        return {
            "log_totals": self._log_totals,
            "count": self._count,
            "proposal": self._proposal,
            "fixed": self._fixed,
            "number": self._number,
            "course": self._progress.marks,
        }
