"""The command `lasem show`, which prints runs in the terminal."""

from pathlib import Path
from typing import Annotated

import typer

from lasem.cli._console import OutputConsole
from lasem.cli._options import OptionalRuns
from lasem.extras import is_installed

MANY = 4
"""Number of runs from which each is printed on one line."""


def show(
    folders: OptionalRuns = None,
    tasks: Annotated[
        bool, typer.Option("--tasks", help="Print the tasks of every run, however many there are.")
    ] = False,
) -> None:
    """Print runs task by task, and compare several. Without RUN, print those in the folder runs.

    Unfinished runs are printed too. Of many runs, each is one line.

    Example: lasem show runs
    """
    from lasem.report import collect, comparison, legend, run_list
    from lasem.report import show as show_run

    console = OutputConsole()
    runs = collect(folders or [Path("runs")])
    if len(runs) < MANY or tasks:
        for item in runs:
            console.print(show_run(item))
        console.print(legend(branches=max(item.branches for item in runs)))
    else:
        console.print(run_list(runs))
        console.say("lasem show --tasks prints the tasks of every run, lasem show RUN those of one.")
    if len(runs) > 1 and is_installed("pandas"):
        console.print(comparison(runs))
