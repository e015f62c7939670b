"""Drawing: from the data of a figure to a Plotly figure that reads well on a light and on a dark page.

The page colors text by its own style sheet, so figures are transparent and set colors of marks only.
"""

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from lasem.report._curves import AccuracyCurves, Line, Probabilities, ShareMap, Span

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#999999")
"""Colors that stay apart for color-blind readers (Okabe & Ito), without the two that vanish on white or on black."""

DASHES = ("solid", "dash", "dot")
"""When the colors are used up, they come again with the next dash."""

SHARED, UNDECIDED, OWN = "#0072B2", "#D9D9D9", "#E69F00"
FAINT = "rgba(128,128,128,0.25)"
HOVER = "epoch %{x}: %{y:.1%}"
MOST_NAMED = 14
"""Tasks in a legend; beyond, hovering names them."""


def draw_accuracy(curves: AccuracyCurves) -> go.Figure:
    """Each task while it is learned (line) and after every later task (dots)."""
    figure = go.Figure()
    for i, (own, later) in enumerate(zip(curves.own, curves.later, strict=True)):
        mark = {**_stroke(i), "width": 1.5}
        figure.add_scatter(
            x=own.x, y=_rounded(own.y), name=f"task {i}", legendgroup=str(i), mode="lines", line=mark,
            showlegend=len(curves.own) <= MOST_NAMED, hovertemplate=f"{HOVER}<extra>{i}: {own.label}</extra>",
        )  # fmt: skip
        figure.add_scatter(
            x=later.x, y=_rounded(later.y), legendgroup=str(i), showlegend=False, mode="lines+markers",
            hovertemplate=f"{HOVER}<extra>{i}: {own.label}, afterwards</extra>",
            line={**mark, "dash": "dot", "width": 1}, marker={"size": 7, "symbol": i % 5},
        )  # fmt: skip
    _layout(figure, height=360)
    _mark_tasks(figure, curves.spans)
    figure.update_xaxes(title_text="epoch of the stream")
    figure.update_yaxes(title_text=f"{curves.split} accuracy", tickformat=".0%", range=[0, 1.02])
    return figure


def draw_probabilities(data: Probabilities) -> go.Figure:
    """Above, a line per candidate; below, how much each group leans to sharing."""
    groups = len(data.marginals)
    figure = make_subplots(
        rows=2 if groups else 1, cols=1, shared_xaxes=True, vertical_spacing=0.06,
        row_heights=[0.65, 0.35] if groups else None,
    )  # fmt: skip
    for i, line in enumerate(data.candidates):
        figure.add_scatter(x=line.x, y=_rounded(line.y), name=line.label, mode="lines", line=_stroke(i), row=1, col=1)
    if data.others:
        figure.add_scatter(
            x=data.others.x, y=_rounded(data.others.y), name=data.others.label, mode="lines",
            line={"color": "#999999", "width": 1, "dash": "dot"}, row=1, col=1,
        )  # fmt: skip
    if groups:
        figure.add_heatmap(
            x=data.epochs, y=data.groups, z=[_rounded(row) for row in data.marginals],
            zmin=0, zmax=1, colorscale=[[0, OWN], [0.5, UNDECIDED], [1, SHARED]], showscale=False,
            hovertemplate="epoch %{x}, %{y}: shared with probability %{z:.2f}<extra></extra>", row=2, col=1,
        )  # fmt: skip
    _layout(figure, height=340 + (80 + 22 * groups if groups else 0))
    _mark_tasks(figure, data.spans)
    figure.update_yaxes(title_text="probability", range=[0, 1.02], row=1, col=1)
    figure.update_xaxes(title_text="epoch of the stream", row=2 if groups else 1, col=1)
    return figure


def draw_share_map(data: ShareMap) -> go.Figure:
    """Task by layer: shared or the task's own, the layer nearest the input at the bottom."""
    layers = [f"layer {layer + 1}" for layer in range(len(data.shared))]
    words = {1: "shared", 0: "its own", None: "not decided"}
    hover = [[(words[bit], name) for bit, name in zip(row, data.tasks, strict=True)] for row in data.shared]
    figure = go.Figure()
    figure.add_heatmap(
        x=[*range(len(data.tasks))], y=layers, z=data.shared, zmin=0, zmax=1, xgap=2, ygap=2, showscale=False,
        colorscale=[[0, OWN], [1, SHARED]], customdata=hover,
        hovertemplate="task %{x} (%{customdata[1]}), %{y}: %{customdata[0]}<extra></extra>",
    )  # fmt: skip
    for name, color in (("shared", SHARED), ("the task's own", OWN)):
        figure.add_scatter(
            x=[None], y=[None], name=name, mode="markers", marker={"symbol": "square", "size": 11, "color": color}
        )
    _layout(figure, height=120 + 26 * len(layers))
    figure.update_xaxes(title_text="task", dtick=max(1, len(data.tasks) // 20), showgrid=False)
    figure.update_yaxes(showgrid=False)
    return figure


def draw_forgetting(lines: Sequence[Line]) -> go.Figure:
    """Per spec, the forgetting ratio as tasks arrive."""
    figure = go.Figure()
    for i, line in enumerate(lines):
        figure.add_scatter(x=line.x, y=_rounded(line.y), name=line.label, mode="lines+markers", line=_stroke(i))
    _layout(figure, height=340)
    figure.add_hline(y=1, line={"color": "#999999", "width": 1, "dash": "dot"})
    figure.update_xaxes(title_text="after task", dtick=max(1, max(len(line.x) for line in lines) // 10))
    figure.update_yaxes(title_text="forgetting ratio")
    return figure


def _stroke(i: int) -> dict[str, object]:
    """Color and dash of the i-th line."""
    return {"color": PALETTE[i % len(PALETTE)], "dash": DASHES[i // len(PALETTE) % len(DASHES)], "width": 2}


def _layout(figure: go.Figure, *, height: int) -> None:
    figure.update_layout(
        template=go.layout.Template(), height=height, autosize=True, hovermode="closest",
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 60, "r": 34, "t": 24, "b": 48}, modebar={"orientation": "v"},
        font={"family": "system-ui, sans-serif", "size": 13},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom", "bgcolor": "rgba(0,0,0,0)"},
    )  # fmt: skip
    figure.update_xaxes(gridcolor=FAINT, zeroline=False, linecolor="#999999", title_font_size=13)
    figure.update_yaxes(gridcolor=FAINT, zeroline=False, linecolor="#999999", title_font_size=13)


def _mark_tasks(figure: go.Figure, spans: Sequence[Span]) -> None:
    """A vertical line where a task begins."""
    for span in spans[1:]:
        figure.add_vline(x=span.first - 0.5, line={"color": FAINT, "width": 1.5})


def _rounded(values: Sequence[float | None]) -> list[float | None]:
    """Four digits: what a screen can show, at a third of the bytes."""
    return [None if value is None else round(value, 4) for value in values]
