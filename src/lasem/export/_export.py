"""Writing networks to files, each checked against the run's own answers before it is kept."""

import copy
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias

import safetensors.torch
import torch
from torch import Tensor

import lasem
from lasem.benchmarks import ImageLike
from lasem.errors import DataError, RunError, SpecError
from lasem.export._card import model_card
from lasem.export._network import PixelNetwork, pixel_network
from lasem.export._onnx import all_tasks_model, exported_program, onnx_model, read_onnx
from lasem.extras import require_packages
from lasem.files import write_output
from lasem.runs import Learned

Format: TypeAlias = Literal["safetensors", "torch-export", "onnx"]
Answer: TypeAlias = Callable[[Tensor, int], Tensor]
"""Answers with what was exported, from pixels (B, C, H, W) and the position of a task."""

TOLERANCE = 1e-4
"""Largest difference between logits, relative to the largest logit if that is above 1."""

ENDINGS: Mapping[str, str] = MappingProxyType({"onnx": ".onnx", "torch-export": ".pt2", "safetensors": ".safetensors"})
"""How the name of a file of each format usually ends."""

OTHER_ENDINGS = (".pt", ".pth", ".bin", ".h5", ".tflite")
"""Endings of formats that are not offered."""

CHECKED = 32
"""Number of images per task on which the answers are compared."""


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What `export_network` has written.

    Attributes:
        files: The network, its description in JSON, and its model card.
        difference: Largest difference between its logits and those of the run.
        images: Number of images on which they were compared.
    """

    files: tuple[Path, Path, Path]
    difference: float
    images: int


def export_network(
    run: Learned,
    out: str | Path,
    *,
    task: int | None,
    form: Format = "onnx",
    images: Sequence[ImageLike] = (),
    data: Path | None = None,
) -> Exported:
    """Write the network of a task, or of all tasks, with its preprocessing and the names of its classes.

    The exported network takes pixels from 0 to 1 of decoded images of the run's size, (B, C, H, W), and returns logits.
    The order of channels, the scaling and what else the run did to pixels are inside, except for "safetensors". It is
    read back and compared with the answers of the run on real images before the file is kept.

    Args:
        run: A finished run.
        out: The file to write. Beside it are written ``<out>.json``, a description, and ``<out>.md``, a model card.
        task: Position of the task in the stream, from 0; None for all tasks.
        form: "onnx", "torch-export" (one task only) or "safetensors", which has the parameters alone.
        images: Images on which answers are compared; by default test images of the run.
        data: Data root from which the run's images are read; see `lasem.benchmarks`.

    Raises:
        RunError: The network cannot be exported, a package is missing, or answers differ.
        DataError: The images cannot be read.
        SpecError: There is no such format, all tasks are asked for where the format has one, or the name of the file
            ends like that of another format.
    """
    if form not in FORMATS or (task is None and form == "torch-export"):
        raise SpecError(
            f"a format must be one of {', '.join(FORMATS)}, and torch-export takes one task"
            f" (got {form!r} and task {'all' if task is None else task}); choose onnx for all tasks in one file"
        )
    _require_ending(Path(out), form)
    tasks = range(run.num_tasks) if task is None else [task]
    networks = {position: pixel_network(run, position) for position in tasks}
    pixels = _check_images(run, tasks, images, data)
    about = describe(run, tasks, form=form)
    content, answer = FORMATS[form](run, networks, json.dumps(about), task is None)
    difference = max(_difference(run, answer, position, pixels[position]) for position in tasks)
    compared = sum(map(len, pixels.values()))
    about["check"] = {"images": compared, "largest_difference": difference}
    path = Path(out)
    files = (path, path.with_name(f"{path.name}.json"), path.with_name(f"{path.name}.md"))
    write_output(files[0], content)
    write_output(files[1], (json.dumps(about, indent=1, ensure_ascii=False) + "\n").encode())
    write_output(files[2], model_card(run, about, file=path.name).encode())
    return Exported(files=files, difference=difference, images=compared)


def describe(run: Learned, tasks: Sequence[int], *, form: str) -> dict[str, object]:
    """Return in JSON types what a program needs to use exported networks of a run."""
    configurations = run.result.configurations
    return {
        "format": form,
        "lasem": lasem.__version__,
        "run": run.spec.name,
        "hash": run.spec.digest,
        "seed": run.spec.seeds.training,
        "input": {"name": "images", "shape": ["batch", *run.image_shape], "pixels": "float32 from 0 to 1"}
        if run.tells_pixels
        else {"name": "images", "shape": ["batch", *run.image_shape], "pixels": "values of the stream"},
        "layers": run.spec.network.options.layers_table(),
        "tasks": [
            {
                "task": task,
                "name": run.task_name(task),
                "classes": run.class_names(task),
                "configuration": None if configurations is None else configurations[task],
                "preprocessing": run.preprocessing(task).describe() if run.tells_pixels else None,
            }
            for task in tasks
        ],
    }


def _require_ending(out: Path, form: str) -> None:
    """Refuse a file whose name ends like that of another format, which no program would read."""
    ending = out.suffix.casefold()
    if ending in OTHER_ENDINGS or (ending in ENDINGS.values() and ending != ENDINGS[form]):
        fitting = next((f"--format {name}" for name, usual in ENDINGS.items() if usual == ending), "")
        raise SpecError(
            f"a file of the format {form} must end in {ENDINGS[form]} (got {out.name!r});"
            f" {f'set {fitting}, or ' if fitting else ''}name it {out.stem}{ENDINGS[form]}"
        )


def _check_images(
    run: Learned, tasks: Sequence[int], images: Sequence[ImageLike], data: Path | None
) -> dict[int, Tensor]:
    """Return for each task pixels (B, C, H, W) of real images."""
    if images:
        steps = run.preprocessing(tasks[0])
        pixels = torch.stack([steps.pixels(image, place=f"image {n}") for n, image in enumerate(images[:CHECKED])])
        return dict.fromkeys(tasks, pixels)
    seeds = run.spec.seeds
    try:
        stream = run.spec.benchmark.options.stream(stream_seed=seeds.stream, data_seed=seeds.data, data=data)
        tests = {task: stream[task].test.images[:CHECKED] for task in tasks}
    except DataError as error:
        raise DataError(
            f"the run's images must be readable, to compare answers (got: {error}); name their folder by --data, or"
            " other images by --check-images"
        ) from error
    return {task: run.preprocessing(task).undo(test) if run.tells_pixels else test for task, test in tests.items()}


def _difference(run: Learned, answer: Answer, task: int, pixels: Tensor) -> float:
    """Return the largest difference between the answers of an exported network and those of the run.

    Raises:
        RunError: They differ by more than rounding does.
    """
    values = run.preprocessing(task).apply(pixels) if run.tells_pixels else pixels
    with torch.no_grad():
        expected = run.learner.logits(values.to(run.device), run.identity(task)).cpu()
        found = [answer(pixels, task), torch.cat([answer(image[None], task) for image in pixels[:2]])]
    limit = TOLERANCE * max(1.0, float(expected.abs().max()))
    pairs = zip(found, (expected, expected[:2]), strict=True)
    difference = max(float((one - other).abs().max()) for one, other in pairs)
    if not difference <= limit:
        raise RunError(
            f"the exported network of task {task} must answer like the run (got logits that differ by {difference:.2g},"
            f" more than {limit:.2g}); nothing was written: choose another --format, and report this"
        )
    return difference


def _safetensors(
    run: Learned, networks: Mapping[int, PixelNetwork], about: str, everything: bool
) -> tuple[bytes, Answer]:
    """Write the parameters of the plain networks, named ``task.N.`` and their names."""
    del run, everything
    tensors = {
        f"task.{task}.{name}": value.detach().clone(memory_format=torch.contiguous_format)
        for task, network in networks.items()
        for name, value in network.state_dict().items()
    }
    content = safetensors.torch.save(tensors, metadata={"lasem": about})
    found = safetensors.torch.load(content)
    copies = {task: copy.deepcopy(network) for task, network in networks.items()}
    for task, network in copies.items():
        for value in network.state_dict().values():
            value.zero_()
        network.load_state_dict({name: found[f"task.{task}.{name}"] for name in network.state_dict()})
    return content, lambda pixels, task: copies[task](pixels)


def _torch_export(
    run: Learned, networks: Mapping[int, PixelNetwork], about: str, everything: bool
) -> tuple[bytes, Answer]:
    """Write the program of one network, which `torch.export.load` reads."""
    del everything
    ((_, network),) = networks.items()
    file = io.BytesIO()
    torch.export.save(exported_program(network, run.image_shape), file, extra_files={"description.json": about})
    module = torch.export.load(io.BytesIO(file.getvalue())).module()
    return file.getvalue(), lambda pixels, task: module(pixels)


def _onnx(run: Learned, networks: Mapping[int, PixelNetwork], about: str, everything: bool) -> tuple[bytes, Answer]:
    """Write one network, or those of all tasks with the task as an input."""
    require_packages("onnx", "onnxscript", "onnxruntime", what="--format onnx")
    model = onnx_model(list(networks.values()), run.image_shape)
    model = all_tasks_model(model) if everything and len(networks) > 1 else model
    model.producer_name, model.producer_version = "lasem", lasem.__version__
    entry = model.metadata_props.add()
    entry.key, entry.value = "lasem", about
    content = model.SerializeToString()
    return content, read_onnx(content, with_task=len(networks) > 1)


FORMATS: Mapping[str, Callable[..., tuple[bytes, Answer]]] = MappingProxyType(
    {"onnx": _onnx, "torch-export": _torch_export, "safetensors": _safetensors}
)
"""Function for each format that makes the content of a file, and answers with what it has read back from it."""
