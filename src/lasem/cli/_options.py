"""Options that several commands have, each declared once, and what reads their values."""

import re
import shlex
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from lasem.cli._completion import complete_settings
from lasem.errors import ReportError, SpecError
from lasem.text import printable

SECONDS = {"s": 1, "m": 60, "h": 3600}
"""Number of seconds in each unit of time."""

_RUNS = typer.Argument(metavar="RUN...", help="Folders of runs, or folders that contain runs.")
Runs = Annotated[list[Path], _RUNS]
OptionalRuns = Annotated[list[Path] | None, _RUNS]

Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override an option, such as training.epochs=20; may be repeated.",
        autocompletion=complete_settings,
    ),
]

Plugins = Annotated[
    list[str] | None,
    typer.Option("--plugin", metavar="MODULE", help="Import a module that adds learners, networks or benchmarks."),
]

Out = Annotated[Path, typer.Option(help="Folder that contains the runs.")]

Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:N or auto.")]

Data = Annotated[
    Path | None,
    typer.Option(envvar="LASEM_DATA", help="Folder with one folder per data set; without it, the Hugging Face hub."),
]

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Check everything, print what would be run and how long it takes, and stop.")
]

CheckpointEvery = Annotated[
    str,
    typer.Option(
        metavar="EPOCHS|TIME", help="Interval of checkpoints: 10 (epochs), 30s, 5m or 1h; 0 = chosen by their cost."
    ),
]

Threads = Annotated[
    int,
    typer.Option(
        min=0, help="CPU threads; 0 = those of the unfinished run, else 1 for small networks and all for others."
    ),
]

Capture = Annotated[bool, typer.Option("--capture", help="Compile each task's steps; on a GPU as CUDA graphs.")]

Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")]


def require_absent(options: dict[str, object], wanted: str, *, got: str) -> None:
    """Refuse options that nothing reads without something else.

    Raises:
        SpecError: One of them is given.
    """
    given = [name for name, value in options.items() if value]
    if given:
        raise SpecError(f"{' and '.join(given)} must come with {wanted} (got {printable(got)}); leave it out")


def require_runs(runs: list[Path] | None, *, of: str) -> list[Path]:
    """Return the folders of runs that a table or figure is of.

    Raises:
        ReportError: None is named.
    """
    if not runs:
        raise ReportError(f"{of} must have runs (got none); name their folders, or a folder that contains them")
    return runs


def finite(value: float | None) -> float | None:
    """Return a number of the command line if it is one, as "inf" and "nan" are not.

    Raises:
        typer.BadParameter: It is not finite, or not below the largest integer that a float has exactly.
    """
    if value is not None and not value < 2**53:
        raise typer.BadParameter(f"{value} must be a finite number below 2**53.")
    return value


def interval(text: str) -> int | timedelta:
    """Read ``10`` as epochs and ``30s``, ``5m`` or ``1h`` as time."""
    match = re.fullmatch(r"(\d{1,9})([smh]?)", text.strip(), flags=re.ASCII)
    if match is None:
        raise SpecError(
            f"--checkpoint-every must be a number of epochs or a time (got {text!r}); write 10, 30s, 5m or 1h"
        )
    number, unit = int(match[1]), match[2]
    return timedelta(seconds=number * SECONDS[unit]) if unit else number


def resume_command() -> str:
    """Tell the command that resumes what this one has left unfinished: the same."""
    return f"resume with: {shlex.join(['lasem', *sys.argv[1:]])}"
