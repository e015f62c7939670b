"""Warnings, printed on the error stream by all commands alike."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lasem.cli._console import OutputConsole
from lasem.text import escape_markup

if TYPE_CHECKING:
    from lasem.report import Run


def print_warnings(runs: "Sequence[Run]") -> None:
    """Print the warnings of all runs; equal warnings of several runs are one line."""
    found: dict[str, list[str]] = {}
    for run in runs:
        for warning in dict.fromkeys(run.warnings):
            found.setdefault(warning.replace(run.folder, "").lstrip(":/\\ "), []).append(warning)
    console = OutputConsole(stderr=True)
    for text, same in found.items():
        _print(same[0] if len(same) == 1 else f"{text} ({len(same)} runs)", console)


class WarningHandler(logging.Handler):
    """Prints what the library logs as a warning, in the form of all warnings of the command line."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Print the message of a record."""
        _print(record.getMessage(), OutputConsole(stderr=True))


def _print(warning: str, console: OutputConsole) -> None:
    console.print(f"[yellow]warning:[/] {escape_markup(warning)}", highlight=False, soft_wrap=True)
