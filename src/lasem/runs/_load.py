"""What a finished run learned, ready to answer."""

from pathlib import Path
from typing import cast

from torch import Tensor, nn

from lasem.benchmarks import Outline
from lasem.errors import DataError, LasemError, RunError
from lasem.learners import AbstractLearner
from lasem.records import Result
from lasem.runs._build import build_learner
from lasem.runs._checkpoint import read_checkpoint
from lasem.runs._environment import choose_device
from lasem.runs._folder import RunFolder
from lasem.runs._spec import Spec


class Learned:
    """A finished run's learner.

    Attributes:
        spec: Of the run.
        result: Of the run.
        learner: As it was at the end.
    """

    def __init__(self, *, spec: Spec, result: Result, learner: AbstractLearner, outline: Outline) -> None:
        self.spec = spec
        self.result = result
        self.learner = learner
        self._outline = outline

    def predict(self, images: Tensor, task: int) -> Tensor:
        """Classes of images for a task: (B, C, H, W) -> (B,), numbered as in the task.

        Args:
            images: In the pixel scale of the stream.
            task: Position in the stream, from 0.

        Raises:
            DataError: The images have another shape than the stream's.
            LasemError: There is no such task.
        """
        if tuple(images.shape[1:]) != self._outline.shape:
            raise DataError(
                f"images are (B, {', '.join(map(str, self._outline.shape))}) - got {tuple(images.shape)}"
                " - resize or transpose them"
            )
        return self.learner.logits(images, self._identity(task)).argmax(1)

    def network(self, task: int) -> nn.Module:
        """The network of a task, a plain module with its own copy of the values: (B, C, H, W) -> (B, classes).

        Args:
            task: Position in the stream, from 0.
        """
        return self.learner.network(self._identity(task))

    def _identity(self, task: int) -> int:
        if not 0 <= task < self._outline.num_tasks:
            raise LasemError(
                f"tasks are numbered from 0 to {self._outline.num_tasks - 1} - got {task} - choose one of these"
            )
        return self._outline.identities[task]


def load(run: str | Path, *, device: str = "cpu") -> Learned:
    """Load a finished run.

    Args:
        run: Its folder.
        device: Where its tensors go.

    Raises:
        RunError: It is no run, not finished, or damaged.
    """
    folder = RunFolder.existing(Path(run))
    result, checkpoint = folder.result(), read_checkpoint(folder)
    if result is None or checkpoint is None:
        raise RunError(
            f"only a finished run can be loaded - {folder.path} has no {'result' if result is None else 'checkpoint'}"
            " - run it to its end; its environment.json has the command"
        )
    if checkpoint.records != folder.records_size:
        raise RunError(
            f"a finished run is loaded from its last checkpoint - {'; '.join(checkpoint.warnings) or checkpoint.path}"
            f" - delete {folder.result_path} and run it again: it then goes on from the checkpoint before"
        )
    spec = folder.read_spec()
    outline = _outline(folder)
    learner = build_learner(spec, outline, device=choose_device(device))
    learner.restore(checkpoint.state, task=None)
    return Learned(spec=spec, result=result, learner=learner, outline=outline)


def _outline(folder: RunFolder) -> Outline:
    """The stream's outline, as the run kept it."""
    values = cast(dict[str, list[int]], folder.read_json(folder.stream_path).get("outline", {}))
    try:
        channels, height, width = values["shape"]
        return Outline(
            shape=(channels, height, width),
            classes=tuple(values["classes"]),
            images=cast(dict[str, int], values["images"]),
            identities=tuple(values["identities"]),
        )
    except (KeyError, ValueError) as error:
        raise RunError(f"{folder.stream_path} holds the stream's outline - it lacks {error} - restore it") from None
