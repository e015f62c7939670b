"""The command line has one file per command; what the commands have in common is defined here."""

import logging
import os
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated

import typer

from lasem import __version__
from lasem.cli._console import OutputConsole
from lasem.cli._export import export
from lasem.cli._export_network import export_network
from lasem.cli._figure import figure
from lasem.cli._layers import layers
from lasem.cli._list import list_command
from lasem.cli._predict import predict
from lasem.cli._report import report
from lasem.cli._run import run
from lasem.cli._show import show
from lasem.cli._sweep import sweep
from lasem.cli._table import table
from lasem.cli._warnings import WarningHandler
from lasem.errors import LasemError, RunError
from lasem.text import escape_markup, write_all

BAD_INPUT = 2
"""Exit status for whatever the user can correct."""

TEMPORARY = 75
"""Exit status for what another attempt may not meet, such as a full disk or memory that other processes took."""

SPINS = "10000"
"""How often a thread looks whether it may go on before it sleeps, some ten microseconds."""

COMMANDS: Mapping[str, Callable[..., None]] = MappingProxyType(
    {
        "list": list_command,
        "run": run,
        "sweep": sweep,
        "show": show,
        "report": report,
        "table": table,
        "figure": figure,
        "export": export,
        "layers": layers,
        "predict": predict,
        "export-network": export_network,
    }
)
"""Commands by name, in the order in which the help lists them."""

HELP = """Lifelong learning with selective layer transfer.

\b
Begin with:
  lasem list                              what can be run
  lasem run digits/lasem-hps              a first run, about a minute
  lasem run digits/lasem-hps --dry-run    what it would take
  lasem show                              results in the terminal
  lasem report runs --out report.html     results as a web page

\b
Documentation: README.md and the folder docs of the repository.
Shell completion: lasem --install-completion
"""

app = typer.Typer(
    help=HELP,
    no_args_is_help=True,
    rich_markup_mode=None,  # boxes of Rich cut long words at 80 columns
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    """Print the version and stop, if it is asked for."""
    if wanted:
        typer.echo(f"lasem {__version__}")
        raise typer.Exit


@app.callback()
def _of_all_commands(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version  # its callback has printed it


for _name, _command in COMMANDS.items():
    app.command(_name)(_command)


def main() -> None:
    """Run the command line. An error that the user can correct is one message and exit status 2."""
    for stream in (sys.stdout, sys.stderr):
        write_all(stream)
    _share_processors()
    logging.getLogger("lasem").addHandler(handler := WarningHandler())
    try:
        _require_working_directory()
        app()
    except LasemError as error:
        OutputConsole(stderr=True).print(
            f"[bold red]error:[/] {escape_markup(error, multiline=True)}", highlight=False, soft_wrap=True
        )
        sys.exit(TEMPORARY if _of_the_machine(error) else BAD_INPUT)
    finally:
        logging.getLogger("lasem").removeHandler(handler)


def _share_processors() -> None:
    """Let a thread that waits for another one sleep soon, where nothing else was asked for.

    GNU OpenMP, which reads this when torch is imported, else spins for milliseconds at the end of every operation. On a
    machine that is busy, the other thread needs that very processor, and a step takes up to thirty times as long.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)


def _require_working_directory() -> None:
    """Refuse a working directory that was deleted, in which torch ends the process when it is imported.

    Raises:
        RunError: There is no working directory.
    """
    try:
        os.getcwd()
    except OSError:
        raise RunError(
            "the working directory must exist (got one that was deleted or cannot be reached); change to another one"
        ) from None


def _of_the_machine(error: LasemError) -> bool:
    """Return whether a run met an error of the machine, such as a full disk or too little memory."""
    return isinstance(error, RunError) and isinstance(error.__cause__, OSError | MemoryError | RuntimeError)
