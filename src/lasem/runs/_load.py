"""Loading a finished run: its learner, ready to answer."""

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
from lasem.specs import Spec


class Learned:
    """The learner of a finished run, made by `load`.

    Attributes:
        spec: The spec of the run.
        result: The result of the run.
        learner: The learner as it was at the end.
    """

    def __init__(self, *, spec: Spec, result: Result, learner: AbstractLearner, outline: Outline) -> None:
        self.spec = spec
        self.result = result
        self.learner = learner
        self._outline = outline

    def predict(self, images: Tensor, task: int) -> Tensor:
        """Classify images of a task: (B, C, H, W) -> (B,), with classes numbered as in the task.

        Args:
            images: Images in the pixel scale of the stream.
            task: Position of the task in the stream, from 0.

        Raises:
            DataError: The images have another shape than the stream's.
            LasemError: There is no such task.
        """
        if tuple(images.shape[1:]) != self._outline.shape:
            raise DataError(
                f"images must have the shape (B, {', '.join(map(str, self._outline.shape))})"
                f" (got {tuple(images.shape)}); resize or transpose them"
            )
        return self.learner.logits(images, self._identity(task)).argmax(1)

    def network(self, task: int) -> nn.Module:
        """Return the network of a task as a plain module with its own values: (B, C, H, W) -> (B, classes).

        Args:
            task: Position of the task in the stream, from 0.
        """
        return self.learner.network(self._identity(task))

    def _identity(self, task: int) -> int:
        if not 0 <= task < self._outline.num_tasks:
            raise LasemError(
                f"a task must be from 0 to {self._outline.num_tasks - 1} (got {task}); choose one of these"
            )
        return self._outline.identities[task]


def load(run: str | Path, *, device: str = "cpu") -> Learned:
    """Load a finished run.

    Args:
        run: The run folder.
        device: Device of its tensors.

    Raises:
        RunError: The folder is not a run, or the run is not finished or damaged.
    """
    folder = RunFolder.existing(Path(run))
    result, checkpoint = folder.result(), read_checkpoint(folder)
    if result is None or checkpoint is None:
        raise RunError(
            f"a run must be finished to be loaded (got {folder.path} without a"
            f" {'result' if result is None else 'checkpoint'});"
            " run it to its end with the command in its environment.json"
        )
    if checkpoint.records != folder.records_size:
        raise RunError(
            "the last checkpoint of a finished run must be intact"
            f" (got {'; '.join(checkpoint.warnings) or checkpoint.path});"
            f" delete {folder.result_path} and run it again, which resumes from the checkpoint before"
        )
    spec = folder.read_spec()
    outline = _outline(folder)
    learner = build_learner(spec, outline, device=choose_device(device))
    learner.restore(checkpoint.state, task=None)
    return Learned(spec=spec, result=result, learner=learner, outline=outline)


def _outline(folder: RunFolder) -> Outline:
    """Read the stream's outline from ``stream.json``."""
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
        raise RunError(f"{folder.stream_path} must have the stream's outline (it lacks {error}); restore it") from None
