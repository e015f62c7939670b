"""Generated data sets in the layouts that benchmarks read.

Every image has one color that spells its class (red), its number in the class (green) and its split or domain (blue),
so that a test reads from the pixels which image it got.
"""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

IMAGE_TYPE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


@pytest.fixture(scope="session", autouse=True)
def data_sets_are_cached_apart(dataset_cache):
    """Every test of this folder reads data sets."""


def encoded(color, *, size=(4, 4), mode="RGB"):
    buffer = io.BytesIO()
    Image.new(mode, size, color).save(buffer, "PNG")
    return buffer.getvalue()


def write_parquet(path: Path, columns: dict[str, list], *, names: dict[str, list[str]], image: str = "image") -> None:
    """Write encoded images (bytes or None) and other columns; `names` makes columns class labels."""
    arrays, features = {}, {}
    for name, values in columns.items():
        if name == image:
            arrays[name] = pa.array([{"bytes": cell, "path": None} for cell in values], type=IMAGE_TYPE)
            features[name] = {"_type": "Image"}
        elif name in names:
            arrays[name] = pa.array(values, type=pa.int64())
            features[name] = {"_type": "ClassLabel", "names": names[name]}
        else:
            arrays[name] = pa.array(values)
            features[name] = {"_type": "Value", "dtype": "string" if isinstance(values[0], str) else "int64"}
    info = json.dumps({"info": {"features": features}})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(arrays).replace_schema_metadata({"huggingface": info}), path)


def class_images(num_classes, per_class, *, blue, size=(4, 4)):
    """Encoded images and labels, class by class."""
    pairs = [(encoded((c, i, blue), size=size), c) for c in range(num_classes) for i in range(per_class)]
    return [image for image, _ in pairs], [label for _, label in pairs]


def spelled(images, *, low=0.0):
    """(class, number, split) that each image's color spells: (N, 3, H, W) -> list of N triples."""
    colors = ((images - low) * 255).round().long()
    assert (colors == colors[:, :, :1, :1]).all()
    return [tuple(color) for color in colors[:, :, 0, 0].tolist()]


@pytest.fixture(scope="session")
def read_colors():
    return spelled


@pytest.fixture(scope="session")
def save_parquet():
    return write_parquet


@pytest.fixture(scope="session")
def encode():
    return encoded


@pytest.fixture(scope="session")
def data_root(tmp_path_factory):
    """A data root with small sets of every layout."""
    from lasem.benchmarks._cifar100 import SUPERCLASSES

    root = tmp_path_factory.mktemp("data")
    fine = sorted(name.replace(" ", "_") for group in SUPERCLASSES for names in group.values() for name in names)
    for blue, (split, number) in enumerate({"train": 25, "test": 4}.items()):
        images, labels = class_images(100, number, blue=blue, size=(32, 32))
        write_parquet(
            root / f"cifar100/{split}-00000-of-00001.parquet",
            {"img": images, "fine_label": labels, "coarse_label": [0] * len(labels)},
            names={"fine_label": fine, "coarse_label": ["any"]},
            image="img",
        )
        for folder, tests in (("stl10", 8), ("tiny-imagenet-10", 5)):
            images, labels = class_images(10, 12 if split == "train" else tests, blue=blue, size=(96, 96))
            write_parquet(
                root / f"{folder}/{split}-00000-of-00001.parquet",
                {"image": images, "label": labels},
                names={"label": [f"kind {k}" for k in range(10)]},
            )
    incremental = ["Couch", "Table", "Paper_Clip", "Clipboards", "Bucket", "Notebook", "Bed", "Trash_Can"]
    write_domains(
        root,
        "office-home",
        sorted([f"Thing_{k:02d}" for k in range(57)] + incremental),
        ["Art", "Product", "Real World"],
        size=(9, 7),
    )
    write_domains(root, "pacs", [f"animal {k}" for k in range(7)], ["art_painting", "cartoon", "photo", "sketch"])
    return root


def write_domains(root, folder, names, domains, *, size=(8, 8)):
    """Ten images of each class in each domain, all in one split."""
    parts = [class_images(len(names), 10, blue=blue, size=size) for blue in range(len(domains))]
    write_parquet(
        root / folder / "train-00000-of-00001.parquet",
        {
            "image": [image for images, _ in parts for image in images],
            "domain": [domain for domain, (images, _) in zip(domains, parts, strict=True) for _ in images],
            "label": [label for _, labels in parts for label in labels],
        },
        names={"label": names},
    )


def all_equal(one, other):
    """Whether two streams have equal tensors."""
    import torch

    pairs = [(a.splits[s], b.splits[s]) for a, b in zip(one, other, strict=True) for s in a.splits]
    return all(torch.equal(a.images, b.images) and torch.equal(a.labels, b.labels) for a, b in pairs)


@pytest.fixture(scope="session")
def same_tensors():
    return all_equal


@pytest.fixture
def rng():
    return np.random.default_rng(0)
