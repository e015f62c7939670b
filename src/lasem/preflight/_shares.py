"""How many of a task's steps evaluate all candidates of a search that may leave work out."""

from dataclasses import dataclass

from lasem.options import count_of


@dataclass(frozen=True)
class Shares:
    """Share of a task's steps that evaluate all candidates, as far as it is known before the run.

    Attributes:
        least: Smallest possible share.
        most: Largest possible share.
        reasons: Why the two differ.
    """

    least: float = 1.0
    most: float = 1.0
    reasons: tuple[str, ...] = ()


def searched_shares(strategy: object, *, epochs: int) -> Shares:
    """Return how many steps of a task evaluate all candidates; after the others only one candidate is trained.

    Args:
        strategy: A strategy with the options `commit_at`, `stop_when_certain`, `epsilon`, `evidence_from` and
            `evidence_epochs` of `EM`, or `commit_groups` of `DrawnEM`, or some of them.
        epochs: Number of epochs of a task.
    """
    least, most, reasons = 1.0, 1.0, []
    warm_up = min(1.0, count_of(getattr(strategy, "evidence_from", 0), epochs) / epochs)
    window = min(1 - warm_up, (getattr(strategy, "evidence_epochs", None) or epochs) / epochs)
    commit_at = getattr(strategy, "commit_at", None)
    if commit_at is not None:
        least = max(warm_up, commit_at.share or 0.0)
        if commit_at.prior is None:
            most = least
        else:
            reasons.append("commit_at.prior may be reached early or never")
    if getattr(strategy, "stop_when_certain", False):
        # A step adds at most 1 to the leading candidate's margin, which must exceed the number of steps that are left:
        # that takes half of the steps that the prior remembers.
        by_task = getattr(strategy, "restart", "task") == "task"
        earliest = warm_up + 0.5 * window if by_task else 1 - 0.5 / epochs
        if earliest < most:
            least = min(least, earliest)
            reasons.append("stop_when_certain may end the search early or never")
    if getattr(strategy, "epsilon", 0.0) > 0:
        least = 0.0
        reasons.append("epsilon may leave out all candidates but one, or none")
    if getattr(strategy, "commit_groups", 0.0) > 0:
        least = min(least, warm_up)
        reasons.append("commit_groups may settle all groups early or never")
    return Shares(least, most, tuple(reasons))
