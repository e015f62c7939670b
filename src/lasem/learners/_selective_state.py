"""JSON values of a selective learner, as a checkpoint stores them."""

from pydantic import Field

from lasem.learners._interface import LearnerState
from lasem.training import TrainingState


class SelectiveState(TrainingState):
    """JSON values of a selective learner.

    Attributes:
        configurations: Committed configuration by identity, one bit per stage.
        most: Most parameters trained at once ("search"), and most values stored to undo a task ("rollback").
        constants: Constant of the retention's quadratic, by stage.
    """

    configurations: dict[int, tuple[int, ...]]
    most: dict[str, int]
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
