"""Warnings about runs, printed on the error stream by the commands that read runs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from lasem.text import escape_markup

if TYPE_CHECKING:
    from lasem.report import Run


def print_warnings(runs: "Sequence[Run]") -> None:
    """Print the warnings of all runs, each once."""
    console = Console(stderr=True)
    for warning in dict.fromkeys(warning for run in runs for warning in run.warnings):
        console.print(f"[yellow]warning:[/] {escape_markup(warning)}", highlight=False, soft_wrap=True)
