"""The command `lasem predict`, which classifies images with a finished run."""

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lasem.cli._console import print_or_write
from lasem.cli._options import Device
from lasem.text import escape_csv, printable

if TYPE_CHECKING:
    from lasem.runs import Predictions

BEST = 3
"""Number of classes that the table shows for each image."""


def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGES...", help="Image files, or folders of them.")],
    task: Annotated[int | None, typer.Option(help="Task of the images, from 0; needed if the run has several.")] = None,
    form: Annotated[
        Literal["table", "csv", "json"] | None,
        typer.Option("--format", help="Form of the output. Default: by the suffix of --out, else a table."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File to write, such as classes.csv. Default: print.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Number of images in memory at once.")] = 128,
    device: Device = "cpu",
) -> None:
    """Classify images with a finished run. Images are decoded, resized and scaled as the run's own were.

    Example: lasem predict runs/RUN photos --task 0 --format csv
    """
    from lasem.benchmarks import find_images
    from lasem.runs import choose_device, load

    files = find_images(images)
    learned = load(run, device=str(choose_device(device)))
    found = learned.classify(files, task=task, batch_size=batch_size)
    wanted = form or {".csv": "csv", ".json": "json"}.get(out.suffix if out else "", "table")
    text = {"table": _table, "csv": _csv, "json": _json}[wanted](found)
    print_or_write(text, out, what=f"predictions: {len(found)} images")


def _table(found: "Predictions") -> str:
    """Return one line for each image with its most probable classes."""
    names = [printable(source) for source in found.sources]
    width = max(map(len, names))
    ranked = ["  ".join(f"{printable(name)} {share:.1%}" for name, share in row) for row in found.ranked(BEST)]
    return "".join(f"{name:{width}}  {row}\n" for name, row in zip(names, ranked, strict=True))


def _csv(found: "Predictions") -> str:
    """Return a row for each image: path, class, and the probability of every class."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "class", *map(escape_csv, found.class_names)])
    writer.writerows(
        [escape_csv(source), escape_csv(label), *row]
        for source, label, row in zip(found.sources, found.labels, found.probabilities.tolist(), strict=True)
    )
    return text.getvalue()


def _json(found: "Predictions") -> str:
    """Return a list with a table for each image."""
    return json.dumps(found.records(), indent=1, ensure_ascii=False) + "\n"
