"""The command `lasem export`, which writes tidy tables."""

from pathlib import Path
from typing import Annotated

import typer

from lasem.cli._warnings import print_warnings


def export(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Folders of runs, or folders that contain runs.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to write into.")] = Path("export"),
) -> None:
    """Write everything that runs recorded as tidy tables.

    Each table is written as Parquet and as CSV.

    Example: lasem export runs --out export
    """
    from lasem.report import collect
    from lasem.report import export as write

    found = collect(runs)
    print_warnings(found)
    files = write(found, out)
    typer.echo(f"export: {len(files)} files in {out}")
