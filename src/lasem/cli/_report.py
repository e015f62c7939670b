"""The command `lasem report`, which writes the page about runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Folders of runs, or folders that contain runs.")
    ],
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("report.html"),
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow unfinished runs until all are finished or you press Ctrl-C.")
    ] = False,
    every: Annotated[float, typer.Option(min=0.2, help="Seconds between two checks for changes, with --watch.")] = 5.0,
) -> None:
    """Write a web page about runs.

    The page is a single file that opens without a network.

    Example: lasem report runs --out report.html
    """
    from lasem.report import collect, watch_page, write_page

    console = Console(highlight=False)
    if watch:
        console.print(f"report: {out}, updated until all runs are finished; press Ctrl-C to stop", soft_wrap=True)

        def told(counts: Mapping[str, int]) -> None:
            console.print(f"report: {counts['finished']} of {counts['runs']} runs finished", soft_wrap=True)

        watch_page(runs, out, seconds=every, told=told)
    else:
        write_page(collect(runs), out)
    console.print(f"report: {out}", soft_wrap=True, markup=False)
