"""The command `lasem export-network`, which writes networks for other programs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from lasem.cli._console import OutputConsole
from lasem.cli._options import Data, require_absent
from lasem.errors import SpecError


def export_network(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    task: Annotated[str, typer.Option(metavar="N|all", help="Task, from 0, or all tasks in one file.")],
    out: Annotated[Path, typer.Option(help="File to write, such as network.onnx.")],
    form: Annotated[
        Literal["onnx", "torch-export", "safetensors"], typer.Option("--format", help="Form of the file.")
    ] = "onnx",
    check_images: Annotated[
        list[Path] | None,
        typer.Option(help="Images or folders on which answers are compared. Default: the run's test images."),
    ] = None,
    data: Data = None,
    push_to_hub: Annotated[
        str | None, typer.Option(metavar="USER/NAME", help="Repository of the Hugging Face hub to upload to.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
) -> None:
    """Write networks of a run for other programs.

    Preprocessing and names of classes are inside. Answers are compared with the run's before a file is kept.

    Example: lasem export-network runs/RUN --task all --out network.onnx
    """
    if not (task == "all" or (task.isascii() and task.isdigit() and len(task) < 10)):
        raise SpecError(f"--task must be a number from 0, or all (got {task!r}); write for example --task 0")
    require_absent({"--private": private and push_to_hub is None}, "--push-to-hub", got="--private alone")
    from lasem.benchmarks import find_images
    from lasem.export import export_network as write
    from lasem.export import push_to_hub as push
    from lasem.runs import load

    made = write(
        load(run),
        out,
        task=None if task == "all" else int(task),
        form=form,
        images=find_images(check_images or []),
        data=data,
    )
    console = OutputConsole()
    console.say(f"network: {out}; on {made.images} images its logits differ by at most {made.difference:.1e}")
    console.say(f"description: {made.files[1]}; model card: {made.files[2]}")
    if push_to_hub is not None:
        console.say(f"uploaded: {push(made.files, push_to_hub, private=private)}")
