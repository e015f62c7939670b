"""The look of the page's figures, which are dictionaries in Plotly's format.

Plotly's classes check every attribute of every trace, which takes 20 seconds for 200 runs; a test checks them instead.
Colors of text come from the style sheet of the page, so that figures are legible on light and dark ground.
"""

from collections.abc import Sequence
from typing import Any

from lasem.report._groups import distinct

Figure = dict[str, Any]
"""Keys "data" and "layout", as of `plotly.graph_objects.Figure`.

`layout.meta` is for the page: "height", and "x" where traces without an x of their own share one."""

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#c0659a", "#c28800", "#3d9bd9", "#858585")
"""Colors that stay apart for color-blind readers (after Okabe & Ito), at contrast 3:1 on light and on dark ground."""

DASHES = ("solid", "dash", "dot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star", "cross")
OWN, SHARED, FROZEN = "#e69f00", "#0072b2", "#009e73"
UNDECIDED, GRAY, FAINT = "#d9d9d9", "#858585", "rgba(128,128,128,0.25)"
LEANING = [[0, OWN], [0.5, UNDECIDED], [1, SHARED]]
"""Color scale from the task's own branch, over undecided, to the shared one."""

THREE_LEANING: Figure = {
    "zmin": 0, "zmax": 3,
    "colorscale": [[(digit + end) / 3, color]
                   for digit, branch in enumerate((OWN, SHARED, FROZEN))
                   for end, color in enumerate((UNDECIDED, branch))],
}  # fmt: skip
"""Look of a heat map with the values of `leaning`: a color scale from undecided to each branch."""

MOST_LEGEND = 20
"""Most names in a legend; beyond that, hovering tells."""

_AXIS = {
    "gridcolor": FAINT, "zeroline": False, "linecolor": GRAY, "automargin": True,
    "title": {"font": {"size": 13}, "standoff": 8},
}  # fmt: skip

TEMPLATE: Figure = {
    "layout": {
        "autosize": True,
        "hovermode": "closest",
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 13},
        "hoverlabel": {"namelength": -1},
        "modebar": {"orientation": "v"},
        "legend": {
            "orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom", "bgcolor": "rgba(0,0,0,0)",
        },
        "xaxis": _AXIS,
        "yaxis": _AXIS,
    },
    "data": {
        "scatter": [{"mode": "lines", "hovertemplate": "<b>%{fullData.name}</b> %{y}<br>epoch %{x}<extra></extra>"}],
        "heatmap": [
            {"showlegend": False, "hoverongaps": False, "colorbar": {"tickformat": ".0%", "thickness": 10, "len": 0.9}}
        ],
    },
}  # fmt: skip
"""Defaults of all figures, which stand once on the page."""


def leaning(fractions: Sequence[float]) -> float:
    """Return the branch with the largest fraction of (own, shared, frozen), and how much it leads, as one number.

    The whole part is the digit of the branch, the rest the lead, in hundredths from 0.01 to 0.99.
    """
    ranked = sorted(fractions)
    return [*fractions].index(ranked[-1]) + min(0.99, max(0.01, round(ranked[-1] - ranked[-2], 2)))


def branch_keys(branches: int) -> list[dict[str, Any]]:
    """Return traces without points that explain the colors of the branches in a legend."""
    names = [("shared", SHARED), ("the task's own", OWN), ("frozen", FROZEN)][:branches]
    return [
        {"mode": "markers", "x": [None], "y": [None], "name": name,
         "marker": {"symbol": "square", "size": 11, "color": color}}
        for name, color in names
    ]  # fmt: skip


def stroke(i: int, width: float = 2) -> dict[str, Any]:
    """Return color and dash of the i-th line; any two of the first 21 differ."""
    dash = DASHES[i // len(PALETTE) % len(DASHES)]
    return {"color": PALETTE[i % len(PALETTE)], "width": width} | ({"dash": dash} if dash != "solid" else {})


def marker(i: int, size: int = 5) -> dict[str, Any]:
    """Return the marker of the i-th line."""
    return {"size": size, "symbol": SYMBOLS[i % len(SYMBOLS)]}


def escaped(text: object) -> str:
    """Escape a text for Plotly, which reads some HTML."""
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def distinct_labels(names: Sequence[str], most: int = 30) -> list[str]:
    """Shorten and escape names for an axis or legend, but only where they stay distinct."""
    return [escaped(name) for name in distinct(names, most)]


def rounded(values: Sequence[float | None], digits: int = 4) -> list[float | None]:
    """Round numbers for the page; NaN becomes None."""
    return [None if value is None or value != value else round(value, digits) for value in values]


def spaced(count: int, most: int = 20) -> int:
    """Return the distance of ticks on an axis of so many tasks or layers."""
    return max(1, -(-count // most))
