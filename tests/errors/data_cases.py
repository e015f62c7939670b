"""Data that is wrong: by id, a function of a folder that runs into it."""

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from lasem.benchmarks import Images, Split, Task, TaskStream
from lasem.learners import SelectiveTransfer, Training
from lasem.nn import Conv, Network
from lasem.runs import RunOptions, learn, resolve, run
from lasem.search import Fixed


def picture(number=0, *, mode="RGB", size=(4, 4), form="PNG"):
    """An encoded image of one color."""
    buffer = io.BytesIO()
    color = (number, 2, 3, 4)[: len(mode)] if mode in ("RGB", "RGBA", "CMYK") else number
    Image.new(mode, size, color).save(buffer, form)
    return buffer.getvalue()


PICTURES = tuple(picture(number) for number in range(12))


def save(folder: Path, *, images=PICTURES, labels=(0, 1) * 6, label="class", split="train", **columns):
    """Write a split as parquet; labels as class labels, or as a plain column of the given type."""
    import datasets

    kind = datasets.ClassLabel(names=["a", "b"]) if label == "class" else label
    folder.mkdir(exist_ok=True)
    whole = {"image": [image and {"bytes": image, "path": None} for image in images], "label": list(labels), **columns}
    features = {"image": datasets.Image(), "label": kind, **{name: datasets.Value("string") for name in columns}}
    datasets.Dataset.from_dict(whole, features=datasets.Features(features)).to_parquet(folder / f"{split}-0.parquet")


def read(folder: Path, **options):
    """Read the set of a folder as one task, with 3 training images and 1 for validation per class."""
    benchmark = Images(**{"source": folder.name, "train_per_class": 3, "valid_per_class": 1, **options})
    stream = benchmark.stream(stream_seed=0, data_seed=0, data=folder.parent)
    return stream, stream[0]


def spoiled(folder, *, last, **options):
    """Read a set whose last image is another one."""
    save(folder, images=(*PICTURES[:-1], last))
    return read(folder, **options)


def labeled(folder, labels, label="class"):
    save(folder, labels=labels, label=label)
    return read(folder)


def raw_file(folder, name, content):
    folder.mkdir()
    (folder / name).write_bytes(content)
    return read(folder)


def picture_files(folder, folders):
    for name in folders:
        (folder / name).mkdir(parents=True)
        for number in range(3):
            (folder / name / f"{number}.png").write_bytes(PICTURES[number])
    return read(folder)


def cut_parquet(folder):
    save(folder)
    file = folder / "train-0.parquet"
    file.write_bytes(file.read_bytes()[:-100])
    return read(folder)


def empty_test(folder):
    save(folder)
    save(folder, images=(), labels=(), split="test")
    return read(folder)


def other_size_in_test(folder):
    save(folder)
    save(folder, images=[picture(number, size=(5, 5)) for number in range(12)], split="test")
    return read(folder)


def unlabeled_test(folder):
    save(folder)
    save(folder, labels=[-1] * 12, split="test")
    return read(folder)


def domains(folder, *, last="sketch", **options):
    save(folder, style=["photo", "sketch"] * 5 + ["photo", last])
    return read(folder, domain_column="style", **options)


def split(number=6, *, shape=(1, 6, 6), dtype=torch.float32, classes=2):
    return Split(images=torch.rand(number, *shape).to(dtype), labels=torch.arange(number) % classes)


def task(**changes):
    return Task(**{"name": "t", "classes": 2, "train": split(), "valid": split(), "test": split(), **changes})


def learned(*tasks, batch=2, epochs=1):
    backbone = Network((Conv(3, 2),), hidden=()).build((1, 6, 6))
    learner = SelectiveTransfer(backbone, Fixed("all"), training=Training(batch_size=batch))
    return learn(learner, TaskStream.of(tasks), epochs=epochs)


def whole(**options):
    kind = split(**options)
    return task(train=kind, valid=kind, test=kind)


def with_pixel(value):
    images = torch.rand(6, 1, 6, 6)
    images[4, 0, 2, 2] = value
    return Split(images=images, labels=torch.arange(6) % 2)


def run_preset(folder, target, *settings):
    spec = resolve(target, ["network.name=synthetic-3", "training.epochs=1", *settings])
    return run(spec, RunOptions(out=folder / "runs", data=folder, device="cpu"))


CASES = {
    "data-no-folder": lambda folder: read(folder / "absent"),
    "data-preset-without-folder": lambda folder: run_preset(folder, "cifar100-10/stl"),
    "data-not-on-hub": lambda folder: run(resolve("tiny-imagenet-10/stl"), RunOptions(out=folder, device="cpu")),
    "data-nothing-in-folder": lambda folder: (folder / "own").mkdir() or read(folder / "own"),
    "data-zero-bytes": lambda folder: raw_file(folder / "own", "train.parquet", b""),
    "data-cut-parquet": lambda folder: cut_parquet(folder / "own"),
    "data-flat-folder": lambda folder: picture_files(folder / "own", ["."]),
    "data-folders": lambda folder: picture_files(folder / "own", ["a/x", "a/y", "b/x", "b/y"]),
    "data-outside": lambda folder: raw_file(
        folder / "own", "README.md", b"---\nconfigs:\n- data_files: ../other/**\n---\n"
    ),
    "data-no-label-column": lambda folder: (save(folder / "own"), read(folder / "own", label_column="kind")),
    "data-no-image-column": lambda folder: raw_file(folder / "own", "train.csv", b"x,label\n1,0\n2,1\n"),
    "data-empty-split": lambda folder: empty_test(folder / "own"),
    "data-no-split": lambda folder: (save(folder / "own"), read(folder / "own", valid_split="dev")),
    "data-one-class": lambda folder: labeled(folder / "own", [7] * 12, _value("int64")),
    "data-class-without-images": lambda folder: labeled(folder / "own", [0] * 12),
    "data-too-few": lambda folder: (save(folder / "own"), read(folder / "own", train_per_class=50)),
    "data-unknown-class": lambda folder: (save(folder / "own"), read(folder / "own", class_groups=(("a", "c"),))),
    "data-unknown-domain": lambda folder: domains(folder / "own", domains=("cartoon",)),
    "data-domains-without": lambda folder: (save(folder / "own"), read(folder / "own", domains=("photo",))),
    "data-missing-domain": lambda folder: domains(folder / "own", last=None),
    "data-label-missing": lambda folder: labeled(folder / "own", [0, 1] * 5 + [None, 1]),
    "data-label-none": lambda folder: labeled(folder / "own", [None] * 12, _value("null")),
    "data-label-float": lambda folder: labeled(folder / "own", [0.5, 1.5] * 6, _value("float64")),
    "data-label-lists": lambda folder: labeled(folder / "own", [[0, 1], [1]] * 6, [_value("int64")]),
    "data-label-hidden": lambda folder: unlabeled_test(folder / "own"),
    "data-image-undecodable": lambda folder: spoiled(folder / "own", last=b"not an image"),
    "data-image-truncated": lambda folder: spoiled(folder / "own", last=picture(size=(64, 64), form="BMP")[:900]),
    "data-image-empty": lambda folder: spoiled(folder / "own", last=b"\0"),
    "data-image-missing": lambda folder: spoiled(folder / "own", last=None),
    "data-image-16-bit": lambda folder: spoiled(folder / "own", last=picture(40000, mode="I;16")),
    "data-image-sizes": lambda folder: spoiled(folder / "own", last=picture(size=(5, 4))),
    "data-split-sizes": lambda folder: other_size_in_test(folder / "own"),
    "data-batch": lambda folder: run_preset(folder, "digits/stl", "training.batch_size=91"),
    "data-darts-half": lambda folder: run_preset(
        folder, "digits/darts-hps", "training.batch_size=46", "darts.held_out=half"
    ),
    "array-numpy": lambda _: Split(images=np.zeros((2, 1, 4, 4)), labels=np.zeros(2)),  # pyright: ignore[reportArgumentType]
    "array-integers": lambda _: Split(images=torch.zeros(2, 1, 4, 4).byte(), labels=torch.zeros(2).long()),
    "array-shape": lambda _: Split(images=torch.rand(178, 13), labels=torch.zeros(178).long()),
    "array-labels": lambda _: Split(images=torch.zeros(2, 1, 4, 4), labels=torch.zeros(2)),
    "array-empty": lambda _: split(0),
    "array-no-pixels": lambda _: split(shape=(1, 0, 4)),
    "array-nan": lambda _: with_pixel(float("nan")),
    "array-infinite": lambda _: with_pixel(float("inf")),
    "array-label-range": lambda _: task(test=split(classes=3)),
    "array-one-class": lambda _: task(classes=1),
    "array-shapes": lambda _: task(valid=split(shape=(1, 5, 6))),
    "array-types": lambda _: task(valid=split(dtype=torch.float64)),
    "stream-empty": lambda _: TaskStream.of([]),
    "stream-no-list": lambda _: TaskStream.of(task()),  # pyright: ignore[reportArgumentType]
    "stream-datasets": lambda _: TaskStream.of([TensorDataset(torch.rand(2, 1, 4, 4))]),  # pyright: ignore[reportArgumentType]
    "stream-shapes": lambda _: TaskStream.of([task(), whole(shape=(1, 5, 6))]),
    "stream-identities": lambda _: TaskStream.of([task(identity=1), task()]),
    "stream-visits": lambda _: TaskStream.of([task(identity=1), task(identity=1, classes=3)]),
    "learn-other-shape": lambda _: learned(whole(shape=(3, 6, 6))),
    "learn-float64": lambda _: learned(whole(dtype=torch.float64)),
    "learn-batch": lambda _: learned(task(), batch=7),
    "learn-epochs": lambda _: learned(task(), epochs=0),
}


def _value(dtype):
    import datasets

    return datasets.Value(dtype)
