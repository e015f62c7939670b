"""Figures for print: PDF, SVG or PNG by Matplotlib, the same file from the same runs.

The files of `lasem.report` compute what is drawn; nothing is computed here.
"""

from lasem.report.figures._figures import (
    FIGURES,
    Drawing,
    FigureEntry,
    Selection,
    draw_figure,
    require_suffix,
    write_figure,
)

__all__ = ["FIGURES", "Drawing", "FigureEntry", "Selection", "draw_figure", "require_suffix", "write_figure"]
