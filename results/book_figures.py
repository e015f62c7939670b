"""Figures of the results book, from the records alone."""

import re
import tempfile
from collections.abc import Callable, Sequence
from math import isnan
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, PercentFormatter

from book_records import Label, Records, Trial
from book_tables import grouped, ordered_streams, seconds
from lasem.metrics import spread
from lasem.report import collect, draw_figure

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colors that stay apart for color-blind readers (Okabe & Ito)."""

MARKERS = "os^DvPX"

LEAST_INTERVAL = 3
"""Least number of seeds for an interval in a figure."""

STYLE = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "lasem",
    "text.parse_math": False,
}


def share_map(trials: Sequence[Trial], sources: Sequence[Records]) -> Figure:
    """Draw which branch each task takes in each layer, as the share of seeds, for the rows that search."""
    return _of_runs("share-map", [trial for trial in trials if trial["probability"] is not None], sources)


def forgetting(trials: Sequence[Trial], sources: Sequence[Records]) -> Figure:
    """Draw the forgetting ratio of every row as tasks arrive."""
    return _of_runs("forgetting", trials, sources)


def _of_runs(name: str, trials: Sequence[Trial], sources: Sequence[Records]) -> Figure:
    """Draw one of lasem's figures of the runs that were recorded."""
    names = {trial["run"] for trial in trials}
    with tempfile.TemporaryDirectory() as folder:
        for source in sources:
            source.restore(Path(folder))
        runs = [run for run in collect([folder]) if run.folder_name in names]
        return draw_figure(name, runs).figure


def cost(trials: Sequence[Trial], sources: Sequence[Records]) -> Figure:
    """Draw every row's accuracy at the end of the stream with its 95% interval, training time and values stored.

    Rows that search are blue. A hollow marker is a time that is not known better than by the wall clock. Two seeds have
    no interval here, because it would be wider than all others together.
    """
    del sources
    groups = grouped(trials)
    figure = Figure(figsize=(8.0, 0.7 + 0.21 * len(groups)), layout="constrained")
    accuracy, time, size = figure.subplots(1, 3, sharey=True, width_ratios=(2, 1, 1))
    for place, (_, group) in enumerate(groups):
        searches = group[0]["probability"] is not None
        look: dict[str, Any] = {"color": COLORS[0] if searches else "#555555", "marker": "o", "markersize": 4}
        found, (taken, known) = spread([trial.mean("end") for trial in group]), seconds(group)
        half = 0 if found.runs < LEAST_INTERVAL else found.half_width
        accuracy.errorbar(found.mean, place, xerr=half, capsize=2, elinewidth=0.9, **look)
        time.plot(taken, place, fillstyle="full" if known else "none", **look)
        size.plot(spread([trial.stored for trial in group]).mean, place, **look)
    accuracy.set_yticks(range(len(groups)), [label.row for label, _ in groups])
    accuracy.invert_yaxis()
    accuracy.set_xlabel("accuracy at the end, mean over tasks")
    accuracy.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    accuracy.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    _axis(time, "CPU time", lambda value, _: f"{value:g} s")
    _axis(size, "values stored", lambda value, _: f"{value / 1e6:g} M" if value >= 1e6 else f"{value / 1e3:g} k")
    for axes in (accuracy, time, size):
        axes.grid(visible=True, color="#E5E5E5", linewidth=0.5)
        axes.set_axisbelow(True)
    return figure


def streams(trials: Sequence[Trial], sources: Sequence[Records]) -> Figure:
    """Draw accuracy at the end against the number that the sweep varies in the stream, such as images per class."""
    del sources
    groups = dict(grouped(trials))
    numbers = ordered_streams(groups)
    rows = list(dict.fromkeys(label.row for label in groups))
    figure = Figure(figsize=(4.6, 3.6), layout="constrained")
    axes = figure.subplots()
    for i, row in enumerate(rows):
        known = [place for place, stream in enumerate(numbers) if Label(row, stream) in groups]
        parts = [groups[Label(row, numbers[place])] for place in known]
        _errorbar(axes, i, [place + 0.06 * (i - len(rows) / 2) for place in known], parts, label=row, linewidth=1)
    axes.set_xticks(range(len(numbers)), [stream.partition("=")[2] for stream in numbers])
    axes.set_xlabel(numbers[0].partition("=")[0].replace("_", " "))
    axes.set_ylabel("accuracy at the end, mean over tasks")
    _percents(axes)
    figure.legend(loc="outside lower center", ncols=3, fontsize=7)
    return figure


FIGURES: dict[str, Callable[[Sequence[Trial], Sequence[Records]], Figure]] = {
    "share-map": share_map,
    "forgetting": forgetting,
    "cost": cost,
    "streams-figure": streams,
}
"""Functions that draw a figure of records, by name of the block."""


def write(kind: str, trials: Sequence[Trial], sources: Sequence[Records], out: Path) -> None:
    """Draw a figure into an SVG file without a date, so that equal records give an equal file."""
    settings: dict = STYLE
    with mpl.rc_context(settings):
        figure = FIGURES[kind](trials, sources)
        out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": "lasem"}, bbox_inches="tight")
    # Matplotlib names a clip path after a hash of its coordinates, whose last digits differ between processors.
    text = out.read_text(encoding="utf-8")
    for number, name in enumerate(re.findall(r'<clipPath id="(\w+)"', text), start=1):
        text = text.replace(name, f"clip-{number}")
    out.write_text(text, encoding="utf-8")


def _errorbar(axes: Axes, i: int, x: Sequence[float], groups: Sequence[Sequence[Trial]], **look: Any) -> None:  # noqa: ANN401
    """Draw the mean accuracy at the end of some groups with its 95% interval over seeds."""
    found = [spread([trial.mean("end") for trial in group]) for group in groups]
    axes.errorbar(
        x, [part.mean for part in found], yerr=[0 if isnan(part.half_width) else part.half_width for part in found],
        color=COLORS[i % len(COLORS)], marker=MARKERS[(i + i // len(COLORS)) % len(MARKERS)], markersize=4.5,
        capsize=2, elinewidth=0.8, **look,
    )  # fmt: skip


def _axis(axes: Axes, words: str, text: Callable[[float, object], str]) -> None:
    """Give an axis of amounts a logarithmic scale with a few labels."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.set_xlim(low / 1.2, high * 1.2)
    labeled = (1.0,) if high / low > 30 else (1.0, 3.0) if high / low > 10 else (1.0, 2.0, 5.0)
    axes.xaxis.set_major_locator(LogLocator(subs=labeled))
    axes.xaxis.set_major_formatter(FuncFormatter(text))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(words)


def _percents(axes: Axes) -> None:
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.grid(visible=True, color="#E5E5E5", linewidth=0.5)
    axes.set_axisbelow(True)
