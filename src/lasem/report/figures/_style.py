"""How print figures look, and how they are written: for a page, for color-blind readers, and reproducibly."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from io import BytesIO
from math import ceil
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgba_array
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from lasem.files import write_output
from lasem.metrics import FloatArray
from lasem.report._curves import Band

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colors that stay apart for color-blind readers (Okabe & Ito), without the yellow that vanishes on white."""

DASHES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (4, 1.2, 1, 1.2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
SHARED, OWN, FROZEN, FAINT, GRAY = "#0072B2", "#E69F00", "#009E73", "#D9D9D9", "#767676"
OWN_HATCH, FROZEN_HATCH = "////", "...."
UNDECIDED = "#F2F2F2"
LEANING = LinearSegmentedColormap.from_list("leaning", [OWN, UNDECIDED, SHARED])
"""Colors from the task's own branch, over undecided, to the shared one."""

WIDTH = 7.0
"""Inches: the text of a page."""

STYLE: Mapping[str, Any] = {
    "font.family": "sans-serif",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "grid.color": "#E5E5E5",
    "grid.linewidth": 0.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "hatch.linewidth": 0.5,
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "lasem",
    "text.parse_math": False,  # a name may have dollar signs
}
"""Fonts stay text in PDF and SVG, so that a paper's editor and a search find it; the salt makes SVG reproducible."""

UNDATED: Mapping[str, Mapping[str, Any]] = {
    ".pdf": {"CreationDate": None, "Creator": "lasem", "Producer": None},
    ".svg": {"Date": None, "Creator": "lasem"},
    ".png": {"Software": "lasem"},
}
"""Metadata of a file by its suffix: without a date, so that equal figures are equal files."""


def styled() -> AbstractContextManager[None]:
    """Matplotlib in this style, until the end of a `with` block."""
    settings: Any = dict(STYLE)
    return mpl.rc_context(settings)


def save(figure: Figure, out: Path) -> None:
    """Write a figure in the format that the suffix of its file asks for.

    Raises:
        RunError: The system refuses to write it.
    """
    write_output(out, content(figure, out.suffix))


def content(figure: Figure, suffix: str) -> bytes:
    """Return the content of a file with a figure, in the format that a suffix asks for."""
    drawn = BytesIO()
    with styled():
        metadata = dict(UNDATED[suffix])
        figure.savefig(drawn, format=suffix[1:], metadata=metadata, bbox_inches="tight", pad_inches=0.04)
    return drawn.getvalue()


def canvas(height: float, width: float = WIDTH) -> Figure:
    """Make an empty figure of a size in inches, whose panels are arranged automatically."""
    return Figure(figsize=(width, height), layout="constrained")


def grid(count: int, *, columns: int, height: float, **options: Any) -> tuple[Figure, list[Axes]]:  # noqa: ANN401
    """Make a figure of equal panels, row by row.

    Args:
        count: Number of panels.
        columns: Largest number of panels in one line.
        height: Height of a panel in inches.
        options: Further arguments of Matplotlib's `subplots`.
    """
    across = min(count, columns)
    rows = ceil(count / across)
    width = WIDTH if across > 1 else 4.2
    figure = canvas(height * rows, width)
    axes = figure.subplots(rows, across, squeeze=False, **options).ravel().tolist()
    for unused in axes[count:]:
        unused.set_visible(False)
    return figure, axes[:count]


def stroke(i: int) -> dict[str, Any]:
    """Color, dash and marker of the i-th line: any two of the first 28 differ, in black and white too."""
    return {
        "color": COLORS[(i + i // len(COLORS)) % len(COLORS)],
        "linestyle": DASHES[i % len(DASHES)],
        "marker": MARKERS[i % len(MARKERS)],
    }


def draw_bands(axes: Axes, bands: Sequence[Band], strokes: Sequence[Mapping[str, Any]] | None = None) -> None:
    """Means with their intervals shaded, a marker at about eight points of each."""
    for i, band in enumerate(bands):
        look = dict(strokes[i] if strokes else stroke(i))
        axes.plot(band.x, band.mean, label=band.label, markersize=3.5, markevery=max(1, len(band.x) // 8), **look)
        known = [width is not None for width in band.half_width]
        if any(known):
            width = np.array([np.nan if value is None else value for value in band.half_width])
            low, high = np.array(band.mean) - width, np.array(band.mean) + width
            axes.fill_between(band.x, low, high, color=look["color"], alpha=0.12, linewidth=0)
    axes.grid(visible=True)
    whole_numbers(axes)


def leaning(fractions: FloatArray) -> FloatArray:
    """Return colors (..., 4) of the fractions or probabilities of branches (own, shared, frozen), (..., 3).

    The branch with the largest fraction gives the color, which is the paler the less it leads; with two branches these
    are the colors of `LEANING`. Unknown fractions, NaN, are transparent.
    """
    known = ~np.isnan(fractions).any(-1, keepdims=True)
    ranked = np.sort(np.where(known, fractions, 0.0), axis=-1)
    lead = (ranked[..., 2] - ranked[..., 1])[..., None]
    full = to_rgba_array([OWN, SHARED, FROZEN])[np.where(known, fractions, 0.0).argmax(-1)]
    undecided = to_rgba_array(UNDECIDED)[0]
    return np.where(known, undecided + lead * (full - undecided), 0.0)


def whole_numbers(axes: Axes) -> None:
    """Count epochs and tasks in whole numbers."""
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))


def percents(axes: Axes, axis: str = "y") -> None:
    """Show the fractions of an axis in percent."""
    getattr(axes, f"{axis}axis").set_major_formatter(PercentFormatter(1, decimals=0))


def legend_below(figure: Figure, axes: Axes, columns: int = 4) -> None:
    """One legend for all panels, under them."""
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        widest = max(map(len, labels))
        fitting = max(1, min(columns, int(figure.get_figwidth() * 17 // (widest + 6)), len(labels)))
        figure.legend(handles, labels, loc="outside lower center", ncols=fitting)


def shortened(text: str, most: int = 28) -> str:
    """A name that fits, with its end cut.

    >>> shortened("a name that goes on and on", 12)
    'a name that…'
    """
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def counted(value: float, _: object) -> str:
    """Parameters as an axis writes them: "50 k", "2 M"."""
    return f"{value / 1e6:g} M" if value >= 1e6 else f"{value / 1e3:g} k" if value >= 1e3 else f"{value:g}"
