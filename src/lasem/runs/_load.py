"""Loading a finished run: its learner, ready to answer."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from lasem.benchmarks import ImageLike, PixelScaling, Preprocessing, Transform, as_list
from lasem.errors import LISTED, DataError, LasemError, RunError
from lasem.learners import AbstractLearner
from lasem.nn import LibraryNetwork
from lasem.records import Result
from lasem.runs._build import build_learner
from lasem.runs._checkpoint import read_checkpoint
from lasem.runs._environment import choose_device
from lasem.runs._folder import RunFolder
from lasem.runs._predictions import Predictions, require_image_batch, require_pixel_range, source_name
from lasem.runs._resume import restore_learner
from lasem.runs._spec import Spec
from lasem.runs._stream_file import StreamDescription, read_stream
from lasem.text import html_table

CPU = torch.device("cpu")
SHOWN = 40
"""Number of tasks that a notebook shows."""


class Learned:
    """The learner of a finished run, made by `load`.

    Attributes:
        spec: The spec of the run.
        result: The result of the run.
        learner: The learner as it was at the end.
        image_shape: Shape of an image, (channels, height, width).
        num_tasks: Number of tasks of the stream, revisits included.
        device: Device of the learner's tensors.
    """

    def __init__(
        self,
        *,
        spec: Spec,
        result: Result,
        learner: AbstractLearner,
        stream: StreamDescription,
        device: torch.device = CPU,
    ) -> None:
        self.spec = spec
        self.result = result
        self.learner = learner
        self.image_shape = stream.outline.shape
        self.num_tasks = stream.outline.num_tasks
        self._stream = stream
        self.device = device

    def __repr__(self) -> str:
        final, shape = self.result.final_accuracy, " x ".join(map(str, self.image_shape))
        accuracy = "" if final is None else f", final accuracy {final:.1%}"
        tasks = f"{self.num_tasks} task{'s' * (self.num_tasks != 1)} of {shape} images"
        return f"Learned({self.spec.name!r}, seed {self.spec.seeds.training}, {tasks}{accuracy})"

    def _repr_html_(self) -> str:
        """Return a table of the tasks, which a notebook shows; a long stream ends with an ellipsis."""
        heads = ("task", "name", "classes", "configuration", "accuracy at the end, %")
        rows = [
            (
                task,
                self.task_name(task),
                self._stream.outline.classes[task],
                "".join(map(str, (self.result.configurations or {task: ()})[task])),
                "" if (accuracy := self.result.accuracy[-1][task]) is None else f"{100 * accuracy:.1f}",
            )
            for task in range(min(self.num_tasks, SHOWN))
        ]
        return html_table(repr(self), heads, [*rows, *([("…",) * len(heads)] if self.num_tasks > SHOWN else [])])

    def predict(self, images: Tensor, task: int) -> Tensor:
        """Classify images of a task: (B, C, H, W) -> (B,), with classes numbered as in the task.

        Pixels are from 0 to 1, as `uint8` pixels divided by 255. The run's own scaling is applied to them, such as
        standardization by the task's mean and standard deviation. What else a benchmark changes in images, such as
        noise, a rotation or another order of channels, is not; `classify` does it, and takes files too.

        Args:
            images: Images with pixels from 0 to 1, on any device. For the run of a stream that did not tell its
                scaling, as streams of your own, the pixels are in the stream's scale.
            task: Position of the task in the stream, from 0.

        Raises:
            DataError: The images have another shape, type or range than the stream's.
            RunError: The images were standardized, and an old version of lasem did not keep the numbers.
            LasemError: There is no such task.
        """
        identity = self.identity(task)
        require_image_batch(images, shape=self.image_shape)
        self._require_scaling()
        if self._stream.scalings:
            require_pixel_range(images)
        scaled = self.scaling(task).apply(images.detach().to(self.device))
        return self.learner.logits(scaled, identity).argmax(1)

    def classify(
        self, images: ImageLike | Sequence[ImageLike], *, task: int | None = None, batch_size: int = 128
    ) -> Predictions:
        """Classify images as they come: files, images of Pillow, arrays or tensors, one or many.

        Everything that the run did to its images is done to these: decoding, resizing, the task's order of channels,
        rotation, inversion or permutation, and scaling. Noise is not added.

        Args:
            images: One image or many; see `lasem.benchmarks.Preprocessing.pixels`. A tensor (B, C, H, W) or an array
                (B, H, W, C) is a batch. `lasem.benchmarks.find_images` lists the images of folders.
            task: Position of the task in the stream, from 0; it may be left out if there is only one.
            batch_size: Number of images that are in memory at once.

        Raises:
            DataError: An image cannot be read, or is of another kind.
            RunError: The run does not tell how pixels become values.
            LasemError: There is no such task, or there are several and none is named.

        Example:
            >>> lasem.load("runs/RUN").classify("photo.jpg", task=0).labels  # doctest: +SKIP
            ['cat']
        """
        position = self._only_task() if task is None else task
        steps, identity, listed = self.preprocessing(position), self.identity(position), as_list(images)
        if not listed or batch_size < 1:
            raise DataError(
                f"images and batch_size must be at least one (got {len(listed)} and {batch_size}); give an image"
            )
        sources, found = [source_name(image, number) for number, image in enumerate(listed)], []
        for start in range(0, len(listed), batch_size):
            batch = zip(listed[start : start + batch_size], sources[start : start + batch_size], strict=True)
            pixels = torch.stack([steps.pixels(image, place=source) for image, source in batch])
            found.append(self.learner.logits(steps.apply(pixels.to(self.device)), identity).softmax(1).cpu())
        names = self.class_names(position) or [str(label) for label in range(found[0].shape[1])]
        return Predictions(sources=sources, class_names=names, probabilities=torch.cat(found))

    @property
    def tells_pixels(self) -> bool:
        """Whether the run tells how pixels become values, as runs on images do."""
        return bool(self._stream.scalings)

    def preprocessing(self, task: int) -> Preprocessing:
        """Return how images become what the network of a task gets.

        Args:
            task: Position of the task in the stream, from 0.

        Raises:
            RunError: The run does not tell how pixels become values.
        """
        self.identity(task)
        self._require_scaling()
        if not self._stream.scalings:
            raise RunError(
                f"the stream of a run must tell how pixels become values to classify images (got a run of"
                f" '{self.spec.name}', whose stream.json has no 'scaling'); call learner.logits with values of the"
                " stream's own scale"
            )
        transform = self._stream.transforms[task] if self._stream.transforms else Transform()
        return Preprocessing(shape=self.image_shape, scaling=self._stream.scalings[task], transform=transform)

    def scaling(self, task: int) -> PixelScaling:
        """Return how pixels from 0 to 1 become the values that the network of a task gets.

        Args:
            task: Position of the task in the stream, from 0.
        """
        self.identity(task)
        return self._stream.scalings[task] if self._stream.scalings else PixelScaling()

    def class_names(self, task: int) -> list[str]:
        """Return the names of the classes of a task, by the number that `predict` returns; empty if none are known.

        Args:
            task: Position of the task in the stream, from 0.
        """
        self.identity(task)
        return list(self._stream.class_names[task]) if self._stream.class_names else []

    def task_name(self, task: int) -> str:
        """Return the name of a task; its number if the stream did not tell it.

        Args:
            task: Position of the task in the stream, from 0.
        """
        self.identity(task)
        return self._stream.task_names[task] if self._stream.task_names else str(task)

    def network(self, task: int) -> nn.Module:
        """Return the network of a task as a plain module with its own values: (B, C, H, W) -> (B, classes).

        It gets scaled pixels, such as ``run.network(0)(run.scaling(0).apply(images))``.

        Args:
            task: Position of the task in the stream, from 0.
        """
        return self.learner.network(self.identity(task))

    def identity(self, task: int) -> int:
        """Return the identity of a task, by which the learner knows it.

        Args:
            task: Position of the task in the stream, from 0.

        Raises:
            LasemError: There is no such task.
        """
        if not 0 <= task < self.num_tasks:
            raise LasemError(f"a task must be from 0 to {self.num_tasks - 1} (got {task}); choose one of these")
        return self._stream.outline.identities[task]

    def _only_task(self) -> int:
        """Return the only task.

        Raises:
            LasemError: There are several.
        """
        if self.num_tasks > 1:
            names = "; ".join(f"{task} ({self.task_name(task)})" for task in range(min(self.num_tasks, LISTED)))
            raise LasemError(
                f"the task of the images must be named, because the run has {self.num_tasks} (got none);"
                f" choose --task {names}{' ...' if self.num_tasks > LISTED else ''}"
            )
        return 0

    def _require_scaling(self) -> None:
        """Refuse a standardized run that did not keep the numbers."""
        if not self._stream.scalings and _standardizes(self.spec):
            raise RunError(
                "the run of a standardized stream must have kept mean and standard deviation of each task to predict"
                " (got a run of an older version, whose stream.json lacks 'scaling'); make the run again, or call"
                " learner.logits with images that are standardized already"
            )


def _standardizes(spec: Spec) -> bool:
    """Return whether a spec's benchmark standardizes pixels: CIFAR-100 always does, others have a choice."""
    options = spec.benchmark.options
    return hasattr(options, "standardize") and getattr(options, "pixels", "standardize") == "standardize"


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
    if result is None:
        raise RunError(
            f"a run must be finished to be loaded (got {folder.path} without a result);"
            " run it to its end with the command in its environment.json"
        )
    if checkpoint is None:
        raise RunError(
            f"a run must have a checkpoint to be loaded (got {folder.path} without one); restore its folder checkpoint,"
            " or use the learner itself if the folder was written by Outcome.save"
        )
    if checkpoint.records != folder.records_size:
        raise RunError(
            "the last checkpoint of a finished run must be intact"
            f" (got {'; '.join(checkpoint.warnings) or checkpoint.path});"
            f" delete {folder.result_path} and run it again, which resumes from the checkpoint before"
        )
    spec, place = folder.read_spec(), choose_device(device)
    stream = read_stream(folder)
    if stream.outline.num_tasks != len(result.tasks):
        raise RunError(
            f"{folder.stream_path} must describe the {len(result.tasks)} tasks of the result"
            f" (got {stream.outline.num_tasks}); restore it"
        )
    learner = build_learner(_restored(spec), stream.outline, device=place)
    restore_learner(learner, folder, checkpoint, task=None)
    return Learned(spec=spec, result=result, learner=learner, stream=stream, device=place)


def _restored(spec: Spec) -> Spec:
    """Return a spec whose network needs no pretrained weights, because the checkpoint has all values."""
    network = spec.network.options
    if not isinstance(network, LibraryNetwork):
        return spec
    return replace(spec, network=replace(spec.network, options=network.without_weights()))
