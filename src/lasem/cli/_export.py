"""The command `lasem export`, which writes tidy tables."""

from pathlib import Path
from typing import Annotated

import typer

from lasem.cli._console import OutputConsole
from lasem.cli._options import Runs
from lasem.cli._warnings import print_warnings


def export(
    runs: Runs,
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
    OutputConsole().say(f"export: {len(files)} files in {out}")
