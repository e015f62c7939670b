"""How parameters and units grow as tasks arrive."""

from collections.abc import Sequence

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from lasem.report._growth import GrowthCurves
from lasem.report.figures._style import DASHES, MARKERS, counted, draw_bands, grid, whole_numbers


def growth(learners: Sequence[GrowthCurves]) -> Figure:
    """Parameters of all learners in one panel; then a panel with the units per layer for each network that grows."""
    growing = [curves for curves in learners if curves.units]
    figure, (left, *places) = grid(1 + len(growing), columns=2, height=2.7)
    draw_bands(left, [curves.parameters for curves in learners])
    left.yaxis.set_major_formatter(FuncFormatter(counted))
    _finish(left, "parameters of all tasks", "parameters")
    for axes, curves in zip(places, growing, strict=True):
        means = [band._replace(half_width=[None] * len(band.x)) for band in curves.units]  # many bands hide each other
        draw_bands(axes, means, [_look(i, len(means)) for i in range(len(means))])
        _finish(axes, f"units per layer, {curves.label}", "units")
    return figure


def _finish(axes: Axes, title: str, words: str) -> None:
    axes.set_title(title, loc="left")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("tasks learned")
    axes.set_ylabel(words)
    whole_numbers(axes)
    axes.legend(loc="best")


def _look(layer: int, layers: int) -> dict[str, object]:
    """Return a color from dark, nearest the input, to light; dashes and markers differ too."""
    return {
        "color": colormaps["viridis"](0.85 * layer / max(1, layers - 1)),
        "linestyle": DASHES[layer % len(DASHES)],
        "marker": MARKERS[layer % len(MARKERS)],
    }
