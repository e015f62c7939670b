"""Reports about runs: from run folders to tables, figures, a page and tidy data, without torch."""

from importlib import import_module
from typing import TYPE_CHECKING

from lasem.report._run import Run
from lasem.report._run_folders import collect

if TYPE_CHECKING:
    from lasem.report._export import export
    from lasem.report._table import FORMATS, SUFFIXES
    from lasem.report._tables import TABLES, table
    from lasem.report._terminal import TableView, comparison, run_table, show
    from lasem.report.figures import FIGURES, write_figure
    from lasem.report.page import watch_page, write_page

__all__ = [
    "FIGURES",
    "FORMATS",
    "SUFFIXES",
    "TABLES",
    "Run",
    "TableView",
    "collect",
    "comparison",
    "export",
    "run_table",
    "show",
    "table",
    "watch_page",
    "write_figure",
    "write_page",
]

_LAZY = {
    "FIGURES": "figures",
    "FORMATS": "_table",
    "SUFFIXES": "_table",
    "TableView": "_terminal",
    "TABLES": "_tables",
    "comparison": "_terminal",
    "export": "_export",
    "run_table": "_terminal",
    "show": "_terminal",
    "table": "_tables",
    "watch_page": "page",
    "write_figure": "figures",
    "write_page": "page",
}


def __getattr__(name: str) -> object:
    """Import what draws when it is first used: Plotly, Matplotlib and PyArrow take their time."""
    if name in _LAZY:
        return getattr(import_module(f"lasem.report.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'lasem.report' has no attribute {name!r}")
