"""The command `lasem show`, which prints runs in the terminal."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def show(
    folders: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Folders of runs, or folders that contain runs.")
    ],
) -> None:
    """Print runs task by task, and compare them if there are several.

    Unfinished runs are printed too.

    Example: lasem show runs
    """
    from lasem.report import collect, comparison
    from lasem.report import show as show_run

    console = Console()
    runs = collect(folders)
    for item in runs:
        console.print(show_run(item))
    if len(runs) > 1:
        console.print(comparison(runs))
