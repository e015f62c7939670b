"""The command `lasem report`, which writes the page about runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from lasem.cli._console import OutputConsole
from lasem.cli._options import Runs


def report(
    runs: Runs,
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("report.html"),
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow unfinished runs until all are finished or you press Ctrl-C.")
    ] = False,
    every: Annotated[
        float, typer.Option(min=0.2, max=86_400, help="Seconds between two checks for changes, with --watch.")
    ] = 5.0,
) -> None:
    """Write a web page about runs.

    The page is a single file that opens without a network.

    Example: lasem report runs --out report.html
    """
    from lasem.report import collect, watch_page, write_page

    console = OutputConsole()
    if watch:
        console.say(f"report: {out}, updated until all runs are finished; press Ctrl-C to stop")

        def told(counts: Mapping[str, int]) -> None:
            console.say(f"report: {counts['finished']} of {counts['runs']} runs finished")

        watch_page(runs, out, seconds=every, told=told)
    else:
        write_page(collect(runs), out)
    console.say(f"report: {out}")
