"""Warnings about runs, printed on the error stream by the commands that read runs."""

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
        shown = same[0] if len(same) == 1 else f"{text} ({len(same)} runs)"
        console.print(f"[yellow]warning:[/] {escape_markup(shown)}", highlight=False, soft_wrap=True)
