"""Folders of images as they lie on disks."""

import random
from pathlib import Path

import numpy as np
from PIL import Image
from words import odd_text

from lasem.benchmarks import Images

SUFFIXES = (".png", ".jpg", ".gif", ".webp", ".txt", "", ".PNG")
MODES = ("RGB", "L", "RGBA", "P", "1", "CMYK", "I;16")


def read_images(draw: random.Random, here: Path) -> None:
    """Write a folder with odd names, files and options, and construct a stream of it."""
    root = here / "images"
    layout = draw.choice(("class", "split", "domain", "flat"))
    for number in range(draw.randrange(1, 5)):
        folder = root / _front(draw, layout) / _name(draw, f"class{number}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for image in range(draw.choice((0, 1, 6))):
                _write(draw, folder / f"{image}{draw.choice(SUFFIXES)}")
        except (OSError, ValueError):
            continue  # the disk refused the name
    options = {
        "classes_per_task": draw.choice((1, 2, 3)),
        "train_per_class": draw.choice((1, 2, 50)),
        "valid_per_class": draw.choice((0, 1)),
        "size": draw.choice((4, 8)),
    }
    benchmark = Images(name="odd", source=str(root), **options)
    benchmark.stream(stream_seed=0, data_seed=draw.randrange(9), data=None)


def _front(draw: random.Random, layout: str) -> str:
    match layout:
        case "split":
            return draw.choice(("train", "test", "val"))
        case "domain":
            return draw.choice(("art", "photo"))
        case _:
            return "."


def _name(draw: random.Random, usual: str) -> str:
    return odd_text(draw).replace("/", "_")[:60] or usual if draw.random() < 0.15 else usual


def _write(draw: random.Random, path: Path) -> None:
    """Write an image, or something that only has its name."""
    if draw.random() < 0.08:
        path.write_bytes(draw.randbytes(draw.randrange(200)))
        return
    height, width = draw.choice(((8, 8), (8, 8), (8, 8), (1, 1), (3, 9)))
    pixels = np.random.default_rng(draw.randrange(99)).integers(0, 255, (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).convert("L" if draw.random() < 0.2 else "RGB")
    kind = {".png": "PNG", ".jpg": "JPEG", ".gif": "GIF", ".webp": "WEBP", ".PNG": "PNG"}.get(path.suffix, "PNG")
    if draw.random() < 0.1:
        image = image.convert(draw.choice(("L", "1", "RGBA", "P") if kind == "PNG" else ("L",)))
    image.save(path, kind)
    if draw.random() < 0.05:
        content = path.read_bytes()
        path.write_bytes(content[: draw.randrange(len(content))])
