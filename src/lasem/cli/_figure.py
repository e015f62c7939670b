"""The command `lasem figure`, which draws figures for print."""

from pathlib import Path
from typing import Annotated

import typer

from lasem.cli._completion import complete_figures
from lasem.cli._console import OutputConsole
from lasem.cli._options import OptionalRuns, require_runs
from lasem.cli._warnings import print_warnings


def figure(
    name: Annotated[
        str | None, typer.Argument(help="Name of the figure, such as forgetting.", autocompletion=complete_figures)
    ] = None,
    runs: OptionalRuns = None,
    out: Annotated[Path | None, typer.Option(help="File to write: .pdf, .svg or .png. Default: NAME.pdf.")] = None,
    task: Annotated[
        list[int] | None,
        typer.Option(min=0, help="Position of a task to draw (for the figures search and branches); may be repeated."),
    ] = None,
    list_figures: Annotated[bool, typer.Option("--list", help="List the figures and stop.")] = False,
) -> None:
    """Draw a figure about runs for print.

    Example: lasem figure forgetting runs --out forgetting.pdf
    """
    from lasem.report import FIGURES, collect, write_figure

    if list_figures or name is None:
        for key, entry in FIGURES.items():
            typer.echo(f"  {key:16} {entry.summary}")
        return
    found = collect(require_runs(runs, of=f"the figure {name}"))
    print_warnings(found)
    file = out or Path(f"{name}.pdf")
    write_figure(name, found, file, tasks=task or ())
    OutputConsole().say(f"figure: {file}")
