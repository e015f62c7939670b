"""A live display in the output of a notebook's cell."""

import time
from collections.abc import Callable
from importlib import import_module
from io import StringIO
from typing import Any

from rich.console import Console, RenderableType

WIDTH = 100
"""Number of columns of the display."""

EVERY = 0.5
"""Number of seconds between two frames."""

PAGE = '<pre style="line-height: normal; font-family: Menlo, Consolas, monospace">{code}</pre>'


class NotebookDisplay:
    """Shows the latest frame in a notebook, in place of the one before; the last frame stays.

    Widgets would need further packages, and are empty where a saved notebook is read.

    Args:
        get_renderable: Returns what to show now.
        clock: Returns seconds; for tests.
    """

    def __init__(
        self, get_renderable: Callable[[], RenderableType], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._get_renderable, self._clock = get_renderable, clock
        self._display: Any = import_module("IPython.display")
        self._handle: Any = None
        self._shown = 0.0

    def start(self) -> None:
        """Show the first frame below the cell."""
        self._handle = self._display.display(self._frame(), display_id=True)
        self._shown = self._clock()

    def refresh(self) -> None:
        """Show another frame, unless the last one has only just been shown."""
        if self._clock() - self._shown >= EVERY:
            self._handle.update(self._frame())
            self._shown = self._clock()

    def stop(self) -> None:
        """Show the last frame, which stays."""
        if self._handle is not None:
            self._handle.update(self._frame())

    def _frame(self) -> object:
        console = Console(file=StringIO(), record=True, width=WIDTH, force_jupyter=False)
        console.print(self._get_renderable())
        return self._display.HTML(console.export_html(inline_styles=True, code_format=PAGE))
