"""Checks of what a backbone is asked to do, before anything of it is changed."""

from collections.abc import Sequence

from lasem.errors import LasemError, SpecError
from lasem.nn._stage import TransferModule


def count_branches(layers: Sequence[TransferModule]) -> int:
    """Return the number of branches that every stage has.

    Raises:
        SpecError: Some stages have a frozen branch and others have none.
    """
    frozen = [layer.frozen for layer in layers]
    if any(frozen) and not all(frozen):
        raise SpecError(
            "all stages of a network must offer the frozen branch, or none"
            f" (got frozen={frozen}); set it alike for all, and list candidates to leave it out where it is not wanted"
        )
    return 3 if any(frozen) else 2


def require_uses(uses: Sequence[tuple[bool, ...]], *, stages: int, branches: int) -> None:
    """Check which branches a task may take of every stage.

    Raises:
        LasemError: There is not one entry per stage, or one names a branch that the network does not have.
    """
    if len(uses) != stages:
        raise LasemError(f"`uses` must have one entry per stage, {stages} here (got {len(uses)}); give one for each")
    if branches == 2 and any(len(digits) > 2 and digits[2] for digits in uses):
        raise LasemError(
            "a network must offer the frozen branch for a task to take it (got `uses` with a third entry);"
            " make its stages with frozen=True"
        )


def require_none_open(learning: int | None, *, following: int) -> None:
    """Check that no task is open when the next one begins.

    Raises:
        LasemError: One is.
    """
    if learning is not None:
        raise LasemError(
            f"one task must end before the next begins (got task {following} while task {learning} is open);"
            " commit or abandon that first"
        )


def require_open(learning: int | None, *, end: str) -> int:
    """Return the identity of the open task, which is to be "committed" or "abandoned".

    Raises:
        LasemError: No task is open.
    """
    if learning is None:
        raise LasemError(f"a task must be open to be {end} (got none); call begin_task first")
    return learning


def require_digits(digits: Sequence[int], *, stages: int) -> None:
    """Check that a configuration has one digit per stage.

    Raises:
        LasemError: It has not.
    """
    if len(digits) != stages:
        raise LasemError(
            f"a configuration must have one digit per stage, {stages} here (got {len(digits)}); give one for each"
        )
