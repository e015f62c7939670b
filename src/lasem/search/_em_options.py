"""What follows from the options of EM: the prior of a task, and which options exclude each other."""

from math import log
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lasem.configurations import ConfigurationSpace
from lasem.errors import require
from lasem.options import count_of
from lasem.search._decision import CommitAt, Schedule
from lasem.search._prior import AbstractPrior, Counts, EvidenceSum, RunningMean, preferred

if TYPE_CHECKING:
    from lasem.search._em import EM


def new_prior(options: "EM", schedule: Schedule, *, ranks: Tensor) -> AbstractPrior:
    """Make the prior of a task, uniform at first.

    Args:
        options: Options of the search.
        schedule: How long the task will be trained.
        ranks: (K,) preference among candidates of equal probability; the lowest wins.
    """
    if options.prior == "counts":
        return Counts(ranks, device=ranks.device)
    if options.prior == "running-mean":
        return RunningMean(len(ranks), device=ranks.device)
    temper = options.temper or 1 / (schedule.epochs or 1)
    return EvidenceSum(len(ranks), temper=temper, device=ranks.device)


def most_shared(log_prior: Tensor, space: ConfigurationSpace) -> Tensor:
    """Return the candidate that shares most among those at least half as probable as the best one: (K,) -> ()."""
    close = log_prior >= log_prior.max() - log(2)
    ranks = torch.tensor(space.preference("most-shared"), device=log_prior.device)
    return preferred(close.double(), ranks)


def require_combination(options: "EM") -> None:
    """Check that the options of a search do not contradict each other.

    Raises:
        SpecError: They do.
    """
    summed = options.prior == "sum"
    require(
        summed or options.temper is None,
        "temper must be left out unless the prior is the sum of evidence",
        remedy="leave it out, or set prior to sum",
        temper=options.temper,
        prior=options.prior,
    )
    require(
        not summed or options.epsilon == 0,
        "epsilon must be 0 for the prior sum, which needs the evidence of every candidate",
        remedy="leave epsilon out, or choose another prior",
        epsilon=options.epsilon,
    )
    require(
        not summed or not options.stop_when_certain,
        "stop_when_certain must be false for the prior sum: the evidence of one batch has no largest value, so no"
        " outcome is certain before the last batch",
        remedy="use commit_at to end the search early, or choose another prior",
        prior=options.prior,
    )
    require(
        options.first_task != "near-ties" or not options.stop_when_certain,
        "stop_when_certain must be false where near-ties of the first task may win, which no margin excludes",
        remedy="leave out one of the two",
        first_task=options.first_task,
    )
    require(
        options.evidence_epochs is None or options.restart == "task",
        "restart must be task where only some epochs inform the prior, which would forget them",
        remedy="leave out restart or evidence_epochs",
        restart=options.restart,
        evidence_epochs=options.evidence_epochs,
    )


def require_epochs(options: "EM", epochs: int | None) -> None:
    """Check that the length of a task is known where an option needs it, and that evidence counts at all.

    Raises:
        SpecError: It is not known, or the warm-up takes the whole task.
    """
    require(
        epochs is not None or not options.stop_when_certain,
        "training.epochs must be given for stop_when_certain, which looks ahead",
        remedy="set it to the number of epochs per task",
        epochs=epochs,
    )
    require(
        epochs is not None or options.prior != "sum" or options.temper is not None,
        "training.epochs must be given for the prior sum, which counts every image once",
        remedy="set it to the number of epochs per task, or give temper",
        epochs=epochs,
    )
    require_length(epochs, evidence_from=options.evidence_from, commit_at=options.commit_at)


def require_length(epochs: int | None, *, evidence_from: float, commit_at: CommitAt | None) -> None:
    """Check that the length of a task is known where a share of it is asked for, and that some of its evidence counts.

    Raises:
        SpecError: It is not known, or the warm-up takes the whole task.
    """
    shares = isinstance(evidence_from, float) or (commit_at is not None and commit_at.share is not None)
    require(
        epochs is not None or not shares,
        "training.epochs must be given for a share in evidence_from or commit_at, which look ahead",
        remedy="set it to the number of epochs per task",
        epochs=epochs,
    )
    require(
        epochs is None or count_of(evidence_from, epochs) < epochs,
        "evidence_from must be less than the number of epochs of a task, so that evidence counts in some",
        remedy="lower it, or raise training.epochs",
        evidence_from=evidence_from,
        epochs=epochs,
    )
