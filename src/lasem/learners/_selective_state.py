"""JSON values of a selective learner, as a checkpoint stores them."""

from pydantic import BaseModel, Field

from lasem.learners._interface import LearnerState
from lasem.training import TrainingState


class Most(BaseModel):
    """Largest numbers so far: parameters trained at once, and values stored to undo a task."""

    search: int
    rollback: int


class SelectiveState(TrainingState):
    """JSON values of a selective learner.

    Attributes:
        configurations: Committed configuration by identity, one digit per stage.
        most: See `Most`.
        constants: Constant of the retention's quadratic, by stage.
    """

    configurations: dict[int, tuple[int, ...]]
    most: Most
    constants: dict[int, float] = Field(default_factory=dict)


def read_state(state: LearnerState, *, stages: int) -> SelectiveState:
    """Read a state, also one of the former learner for EWC, in which every task shares all stages."""
    values = state.values
    if "most" not in values and "constant" in values:
        shared = {name.split(".")[1] for name in state.tensors if name.startswith("precision.")}
        ended = values["visits"] if values["epoch"] is None else values["visits"][:-1]
        values = values | {
            "most": {"search": values["most_trained"], "rollback": values["most_kept"]},
            "configurations": dict.fromkeys(ended, (1,) * stages),
            # Only the sum of the constants is known. It is a part of the loss that has no gradient.
            "constants": {stage: 0.0 if stage != "0" else values["constant"] for stage in shared},
        }
    return LearnerState(state.tensors, values).read(SelectiveState)
