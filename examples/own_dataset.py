"""Data of your own, in two ways: tensors in memory, and a folder of images on disk.

The images are generated, so that the example needs no download: colored stripes whose angle is the class.

    python examples/own_dataset.py
"""

import math
import tempfile
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from lasem import learn
from lasem.benchmarks import Images, Split, Task, TaskStream
from lasem.learners import SelectiveTransfer, Training
from lasem.nn import Conv, Network
from lasem.search import EM

SIZE, CLASSES, PER_CLASS, EPOCHS = 16, 6, 40, 20


def stripes(label: int, number: int, source: torch.Generator) -> Tensor:
    """Stripes at the angle of a class, with random shifts, colors and noise: (number, 3, SIZE, SIZE), 0 to 1."""
    angle = math.pi * label / CLASSES
    rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    wave = (math.cos(angle) * rows + math.sin(angle) * columns) * 1.2
    shift = 6.3 * torch.rand(number, 1, 1, 1, generator=source)
    color = 0.3 + 0.7 * torch.rand(number, 3, 1, 1, generator=source)
    noise = 0.1 * torch.randn(number, 3, SIZE, SIZE, generator=source)
    return (color * (0.5 + 0.5 * torch.sin(wave + shift)) + noise).clamp(0, 1)


def from_tensors(source: torch.Generator) -> TaskStream:
    """Three tasks of two classes each, made of tensors."""

    def split(classes: tuple[int, ...], number: int) -> Split:
        images = torch.cat([stripes(label, number, source) for label in classes])
        return Split(images=images, labels=torch.arange(len(classes)).repeat_interleave(number))

    tasks = [
        Task(
            name=f"angles {classes}",
            classes=2,
            train=split(classes, 20),
            valid=split(classes, 5),
            test=split(classes, 15),
        )
        for classes in ((0, 1), (2, 3), (4, 5))
    ]
    return TaskStream.of(tasks)


def write_folder(root: Path, source: torch.Generator) -> None:
    """One folder per class, as `datasets` reads it: root/stripes/angle-0/0.png ..."""
    for label in range(CLASSES):
        folder = root / "stripes" / f"angle-{label}"
        folder.mkdir(parents=True)
        for number, image in enumerate(stripes(label, PER_CLASS, source)):
            pixels = (255 * image).round().to(torch.uint8).permute(1, 2, 0).numpy()
            Image.fromarray(pixels).save(folder / f"{number}.png")


def report(title: str, stream: TaskStream) -> None:
    """Learn a stream with LASEM and print what came out."""
    network = Network((Conv(3, 8, pool=2), Conv(3, 16, pool=2)), hidden=(16,))
    learner = SelectiveTransfer(
        network.build(stream.outline.shape), EM(), training=Training(optimizer="adam", learning_rate=3e-3)
    )
    outcome = learn(learner, stream, epochs=EPOCHS)
    print(title)
    for task, bits, accuracy in zip(stream, outcome.configurations, outcome.measures.accuracy[-1], strict=True):
        sizes = ", ".join(f"{len(split)} {name}" for name, split in task.splits.items())
        print(f"  {task.name}: {sizes}; shares {bits}, test accuracy {accuracy:.1%}")


def main():
    """Learn both streams."""
    torch.set_num_threads(1)
    source = torch.Generator().manual_seed(0)
    report("from tensors", from_tensors(source))
    with tempfile.TemporaryDirectory() as name:
        write_folder(Path(name), source)
        benchmark = Images(source="stripes", classes_per_task=2, train_per_class=20, valid_per_class=5)
        report("from a folder", benchmark.stream(stream_seed=0, data_seed=0, data=Path(name)))


if __name__ == "__main__":
    main()
