"""The command `lasem table`, which prints or writes a table."""

from pathlib import Path
from typing import Annotated

import typer

from lasem.cli._completion import complete_tables
from lasem.cli._console import OutputConsole
from lasem.cli._options import OptionalRuns, require_runs
from lasem.cli._warnings import print_warnings
from lasem.errors import ReportError, nearest
from lasem.files import write_output


def table(
    name: Annotated[
        str | None, typer.Argument(help="Name of the table, such as comparison.", autocompletion=complete_tables)
    ] = None,
    runs: OptionalRuns = None,
    form: Annotated[
        str | None,
        typer.Option("--format", help="terminal, markdown, latex, csv or html. Default: by the suffix of --out."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="File to write, such as table.tex. Default: print the table.")
    ] = None,
    deviation: Annotated[
        bool, typer.Option("--sd", help="Print standard deviations instead of 95% intervals.")
    ] = False,
    list_tables: Annotated[bool, typer.Option("--list", help="List the tables and stop.")] = False,
) -> None:
    """Print a table about runs, or write it to a file.

    Example: lasem table comparison runs --out table.tex
    """
    from lasem.report import FORMATS, SUFFIXES, TABLES, TableView, collect
    from lasem.report import table as make

    if list_tables or name is None:
        for key, entry in TABLES.items():
            typer.echo(f"  {key:11} {entry.summary}")
        return
    if out is not None and form is None and out.suffix not in (*SUFFIXES, ".txt", ""):
        raise ReportError(
            f"a table's file must end in one of {', '.join(SUFFIXES)} or .txt (got --out {out}); choose one of these"
        )
    wanted = form or (SUFFIXES.get(out.suffix, "terminal") if out else "terminal")
    if wanted not in ("terminal", *FORMATS):
        known = ["terminal", *FORMATS]
        raise ReportError(
            f"a table's format must be one of {', '.join(known)} (got {wanted!r}); {nearest(wanted, known)}"
        )
    found = collect(require_runs(runs, of=f"the table {name}"))
    print_warnings(found)
    made = make(name, found, deviation=deviation)
    if out is None and wanted == "terminal":
        OutputConsole().print(TableView(made))
    elif out is None:
        typer.echo(FORMATS[wanted](made), nl=False)
    else:
        written = FORMATS[wanted](made) if wanted != "terminal" else TableView(made).text()
        write_output(out, written.encode())
        OutputConsole().say(f"table: {out}")
