"""The file ``stream.json``: what a run's stream is made of, and what is needed to use its networks on other images."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from lasem.benchmarks import RESIZE, Outline, PixelScaling, TaskStream, Transform
from lasem.errors import RunError
from lasem.runs._folder import RunFolder

Size = Annotated[int, Field(ge=1, le=2**16)]
"""Number of channels, rows or columns of an image, or of classes."""


class OutlineFile(BaseModel):
    """Shapes and sizes of the stream, as `Outline` has them."""

    shape: tuple[Size, Size, Size]
    classes: list[Size]
    images: dict[str, Annotated[int, Field(ge=0)]]
    identities: list[Annotated[int, Field(ge=0, lt=2**63)]]


class ScalingFile(BaseModel, allow_inf_nan=False):
    """Conversion of the pixels of one task, as `PixelScaling` has it."""

    low: float
    mean: tuple[float, ...] = ()
    deviation: tuple[Annotated[float, Field(gt=0)], ...] = ()


class ChoiceFile(BaseModel):
    """What the seeds chose for one task, as far as it is needed to answer."""

    name: str = ""
    class_names: list[str] = []
    rotation: int = 0
    permutation_seed: int | None = None
    channel_order: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    inverted: bool = False

    def transform(self) -> Transform:
        """Return what the benchmark changes in all images of the task, without noise."""
        return Transform(
            rotation=self.rotation,
            permutation_seed=self.permutation_seed,
            channel_order=self.channel_order,
            inverted=self.inverted,
        )


class DecodingFile(BaseModel):
    """How images were decoded; the rule by which they are resized is the only one that there is."""

    resize: Literal["bilinear"] = RESIZE


class StreamFile(BaseModel):
    """The content of ``stream.json``, as far as it is needed to answer."""

    outline: OutlineFile
    choices: list[ChoiceFile] = []
    scaling: list[ScalingFile] = []
    decoding: DecodingFile = DecodingFile()

    @model_validator(mode="after")
    def _lengths_agree(self) -> "StreamFile":
        tasks, channels = len(self.outline.identities), self.outline.shape[0]
        lengths = {len(items) for items in (self.outline.classes, self.choices, self.scaling)} - {0}
        if tasks == 0 or lengths - {tasks}:
            raise ValueError(f"all lists must cover the {tasks} tasks (got lengths {sorted(lengths)})")
        if any(len(values) not in (0, channels) for item in self.scaling for values in (item.mean, item.deviation)):
            raise ValueError(f"mean and deviation must have one number for each of the {channels} channels")
        if any(sorted(item.channel_order or range(channels)) != [*range(channels)] for item in self.choices):
            raise ValueError(f"channel_order must have each of the {channels} channels once")
        return self


@dataclass(frozen=True, kw_only=True)
class StreamDescription:
    """What is needed to use the networks of a run on other images.

    Attributes:
        outline: Shapes and sizes of the stream.
        scalings: Scaling of each task; empty in runs of old versions, and where the stream did not tell it.
        transforms: What the benchmark changes in all images of each task; empty where the stream did not tell it.
        task_names: Name of each task; empty where the stream did not tell it.
        class_names: Names of the classes of each task; empty where the stream did not tell them.
    """

    outline: Outline
    scalings: Sequence[PixelScaling] = ()
    transforms: Sequence[Transform] = ()
    task_names: Sequence[str] = ()
    class_names: Sequence[Sequence[str]] = ()


def write_stream(folder: RunFolder, stream: TaskStream) -> None:
    """Write what a stream is made of.

    Raises:
        RunError: The file cannot be written.
    """
    scaling = [asdict(scaling()) for scaling in stream.scalings]
    decoding = {"resize": RESIZE} if scaling else {}
    folder.write_json(folder.stream_path, describe_stream(stream) | {"scaling": scaling, "decoding": decoding})


def describe_stream(stream: TaskStream) -> dict[str, object]:
    """Return what a stream is made of, in JSON types, as far as no image needs to be looked at."""
    described: dict[str, object] = {
        "fingerprint": stream.fingerprint,
        "outline": asdict(stream.outline),
        "choices": list(stream.choices),
        "planted": [list(bits) for bits in stream.planted],
    }
    return described | ({"about": stream.about} if stream.about else {})


def read_stream(folder: RunFolder) -> StreamDescription:
    """Return what a run's stream is made of, as far as it is needed to answer.

    Raises:
        RunError: The file is missing or damaged.
    """
    try:
        found = StreamFile.model_validate(folder.read_json(folder.stream_path))
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, fault["loc"])) or "all of it"
        raise RunError(
            f"{folder.stream_path} must describe the run's stream (got {place}: {fault['msg']}); restore it"
        ) from None
    outline = Outline(
        shape=found.outline.shape,
        classes=tuple(found.outline.classes),
        images=found.outline.images,
        identities=tuple(found.outline.identities),
    )
    return StreamDescription(
        outline=outline,
        scalings=[PixelScaling(**scaling.model_dump()) for scaling in found.scaling],
        transforms=[choice.transform() for choice in found.choices],
        task_names=[choice.name for choice in found.choices],
        class_names=[choice.class_names for choice in found.choices],
    )
