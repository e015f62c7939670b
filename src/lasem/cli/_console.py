"""Consoles of the commands, which don't wrap lines where there is no terminal."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import typer
from rich.console import Console

from lasem.files import write_output
from lasem.text import printable

WIDTH_OF_LOGS = 10_000
"""Columns of what is no terminal: a file has no margin, so that no line is wrapped and no table divided."""


class OutputConsole(Console):
    """Console of a command.

    Args:
        quiet: Whether to print nothing.
        stderr: Whether to print on the error stream.
        closed: Called when the reader of the output is gone, as in `lasem run ... | head`; by default the command ends.
    """

    def __init__(self, *, quiet: bool = False, stderr: bool = False, closed: Callable[[], None] | None = None) -> None:
        stream = sys.stderr if stderr else sys.stdout
        width = None if stream.isatty() or os.environ.get("COLUMNS") else WIDTH_OF_LOGS
        super().__init__(quiet=quiet, stderr=stderr, width=width)
        self._closed = closed

    def on_broken_pipe(self) -> None:
        """Print nothing more, and end the command or tell it that nobody reads its output."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or else Python fails when it flushes the output at exit
        if self._closed is None:
            raise SystemExit(128 + signal.SIGPIPE)
        self._closed()

    def say(self, text: str) -> None:
        """Print text as it is, without markup, highlights or wrapped lines."""
        self.print(printable(text, multiline=True), highlight=False, markup=False, soft_wrap=True)


def print_or_write(text: str, out: Path | None, *, what: str) -> None:
    """Print the output of a command as it is, or write it to a file and say so.

    Args:
        text: The output.
        out: The file; None to print.
        what: What is in the file, such as "predictions: 3 images".
    """
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_output(out, text.encode())
        OutputConsole().say(f"{what} in {out}")
