"""The file ``stream.json``: what a run's stream is made of, and what is needed to use its networks on other images."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError, model_validator

from lasem.benchmarks import Outline, PixelScaling, TaskStream
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
    """What the seeds chose for one task; of this only the names of the classes are read."""

    class_names: list[str] = []


class StreamFile(BaseModel):
    """The content of ``stream.json``, as far as it is needed to answer."""

    outline: OutlineFile
    choices: list[ChoiceFile] = []
    scaling: list[ScalingFile] = []

    @model_validator(mode="after")
    def _lengths_agree(self) -> "StreamFile":
        tasks, channels = len(self.outline.identities), self.outline.shape[0]
        lengths = {len(items) for items in (self.outline.classes, self.choices, self.scaling)} - {0}
        if tasks == 0 or lengths - {tasks}:
            raise ValueError(f"all lists must cover the {tasks} tasks (got lengths {sorted(lengths)})")
        if any(len(values) not in (0, channels) for item in self.scaling for values in (item.mean, item.deviation)):
            raise ValueError(f"mean and deviation must have one number for each of the {channels} channels")
        return self


def write_stream(folder: RunFolder, stream: TaskStream) -> None:
    """Write what a stream is made of.

    Raises:
        RunError: The file cannot be written.
    """
    scaling = [asdict(scaling()) for scaling in stream.scalings]
    folder.write_json(folder.stream_path, describe_stream(stream) | {"scaling": scaling})


def describe_stream(stream: TaskStream) -> dict[str, object]:
    """Return what a stream is made of, in JSON types, as far as no image needs to be looked at."""
    described: dict[str, object] = {
        "fingerprint": stream.fingerprint,
        "outline": asdict(stream.outline),
        "choices": list(stream.choices),
        "planted": [list(bits) for bits in stream.planted],
    }
    return described | ({"about": stream.about} if stream.about else {})


def read_stream(folder: RunFolder) -> tuple[Outline, Sequence[PixelScaling], list[list[str]]]:
    """Return the outline of a run's stream, and for each position its scaling and the names of its classes.

    Scalings are missing in runs of old versions, and both are where the stream did not tell them.

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
    scalings = [PixelScaling(**scaling.model_dump()) for scaling in found.scaling]
    return outline, scalings, [choice.class_names for choice in found.choices]
