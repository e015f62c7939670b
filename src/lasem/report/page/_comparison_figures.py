"""The figures of the page that compare learners.

Traces carry `meta.learner`, by which the page filters them; of a map, one learner per row.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from lasem.configurations import BRANCHES
from lasem.report._choices import Choices, choices
from lasem.report._comparison import MEASURES, ComparisonRow
from lasem.report._curves import Band
from lasem.report._over_tasks import forgetting_bands, growth
from lasem.report._run import Run
from lasem.report.page._plotly_style import (
    GRAY,
    LEANING,
    MOST_LEGEND,
    SHARED,
    THREE_LEANING,
    Figure,
    distinct_labels,
    escaped,
    leaning,
    marker,
    rounded,
    spaced,
    stroke,
)


def comparison_figures(rows: Sequence[ComparisonRow], ids: Mapping[str, int]) -> dict[str, Figure]:
    """Make every figure that compares some rows, without those that would be empty.

    Args:
        rows: Rows of one benchmark, or of several.
        ids: Number of every run on the page, by its path.
    """
    runs = [run for row in rows for run in row.runs]
    growths = growth(runs)
    units = [(curves.label, band) for curves in growths for band in curves.units]
    figures = {f"scores-{key}": _scores(rows, key, ids) for key in MEASURES}
    figures["forgetting"] = _bands([(band.label, band) for band in forgetting_bands(runs)], "after task", "ratio")
    figures["forgetting"]["layout"]["yaxis"]["title"]["text"] = "forgetting ratio"
    figures["forgetting"]["layout"]["shapes"] = [
        {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 1, "y1": 1,
         "line": {"color": GRAY, "width": 1, "dash": "dot"}}
    ]  # fmt: skip
    figures["sharing"] = _sharing(runs)
    stored = [(curves.label, curves.parameters) for curves in growths]
    figures["growth"] = _bands(stored, "tasks learned", "values stored", from_zero=True)
    named = [(label, band._replace(label=f"{label}, {band.label}")) for label, band in units]
    figures["units"] = _bands(named, "tasks learned", "units", from_zero=True)
    return {name: figure for name, figure in figures.items() if figure["data"]}


def _scores(rows: Sequence[ComparisonRow], key: str, ids: Mapping[str, int]) -> Figure:
    """Learner by learner, one measure: the mean over seeds with its interval, and every seed."""
    measure = MEASURES[key]
    known = sorted((row for row in rows if row.spreads[key].runs), key=lambda row: row.spreads[key].mean)
    several = len({row.benchmark for row in rows}) > 1
    names = [row.learner + (f" on {row.benchmark}" if several else "") + ("" if row.finished else "*") for row in known]
    labels = distinct_labels(names)
    traces, points, ends = [], [], []
    for row, name, label in zip(known, names, labels, strict=True):
        mean, half = row.spreads[key].mean, row.spreads[key].half_width
        seeds = [(run, value) for run in row.runs if (value := measure.value(run)) is not None]
        points += [value for _, value in seeds]
        ends += [mean, *([] if half != half else [mean - half, mean + half])]
        hover = [f"{escaped(name)}: {measure.text(row.spreads[key])}"]
        hover += [f"{escaped(name)}, seed {'-' if run.seed is None else run.seed}" for run, _ in seeds]
        traces.append(
            {
                "mode": "markers", "meta": {"learner": row.learner}, "showlegend": False,
                "x": rounded([mean, *(value for _, value in seeds)], 6), "y": [label] * (1 + len(seeds)),
                "error_x": {"type": "data", "array": rounded([half], 6), "color": SHARED,
                            "thickness": 1.5, "width": 4},
                "marker": {"size": 9, "symbol": ["circle"] + ["circle-open"] * len(seeds),
                           "color": [SHARED] + [GRAY] * len(seeds), "line": {"width": 1.5}},
                "customdata": [[ids[run.folder], text]
                               for run, text in zip([row.runs[0], *(run for run, _ in seeds)], hover, strict=True)],
                "hovertemplate": "%{customdata[1]}<extra></extra>" if not seeds else
                                 f"%{{customdata[1]}} (%{{x:{_number_format(key)}}})<extra></extra>",
            }
        )  # fmt: skip
    axis = {"title": {"text": escaped(measure.title)}, "range": _range(points, ends)} | (
        {"tickformat": ".0%"} if _is_fraction(key) else {}
    )
    return {
        "data": traces,
        "layout": {"xaxis": axis, "yaxis": {"type": "category"}, "meta": {"height": 84, "height_per_line": 26}},
    }


def _is_fraction(key: str) -> bool:
    return "%" in MEASURES[key].title or "points" in MEASURES[key].title


def _number_format(key: str) -> str:
    return ".1%" if _is_fraction(key) else ",.4~g"


def _range(points: Sequence[float], ends: Sequence[float]) -> list[float] | None:
    """Ends of an axis with all points; intervals count up to the width of these, so that wide ones hide nothing."""
    if not points:
        return None
    low, high = min(points), max(points)
    width = max(high - low, 0.04 * max(abs(low), abs(high)), 1e-6)
    return [max(min(ends), low - width) - 0.1 * width, min(max(ends), high + width) + 0.1 * width]


def _bands(named: Sequence[tuple[str, Band]], words: str, title: str, *, from_zero: bool = False) -> Figure:
    """One line per learner over the tasks, means over seeds."""
    labels = distinct_labels([band.label for _, band in named])
    traces = [
        {
            "mode": "lines+markers", "meta": {"learner": learner}, "name": label, "x": list(band.x),
            "y": rounded(band.mean), "line": stroke(i), "marker": marker(i), "showlegend": len(named) <= MOST_LEGEND,
            "customdata": [f" ± {half:.3g}" if half else "" for half in band.half_width],
            "hovertemplate": f"<b>{label}</b><br>{words} %{{x}}: %{{y:,.4~g}}%{{customdata}}<extra></extra>",
        }
        for i, ((learner, band), label) in enumerate(zip(named, labels, strict=True))
    ]  # fmt: skip
    last = max((x for _, band in named for x in band.x), default=1)
    layout: dict[str, Any] = {
        "xaxis": {"title": {"text": words}, "dtick": spaced(last, 10)},
        "yaxis": {"title": {"text": title}} | ({"rangemode": "tozero"} if from_zero else {}),
        "meta": {"height": 320},
    }
    return {"data": traces, "layout": layout}


def _sharing(runs: Sequence[Run]) -> Figure:
    """Learner by learner, how often each layer is shared, and how often frozen."""
    found = choices(runs, searched=False)[::-1]
    depth = max((len(item.layers) for item in found), default=0)
    blank = [[None] * (depth - len(item.layers)) for item in found]
    trace: dict[str, Any] = {
        "type": "heatmap", "meta": {"learner": [item.label for item in found]}, "x": [*range(1, 1 + depth)],
        "y": distinct_labels([item.label for item in found]),
        "z": [[*rounded(item.layers), *rest] for item, rest in zip(found, blank, strict=True)],
        "customdata": [[item.tasks] * depth for item in found], "zmin": 0, "zmax": 1, "xgap": 2, "ygap": 2,
        "showscale": False, "colorscale": LEANING, "texttemplate": "%{z:.0%}" if depth <= 12 else "",
        "hovertemplate": "%{y}, layer %{x}: shared by %{z:.1%} of %{customdata} tasks<extra></extra>",
    }  # fmt: skip
    three = any(item.frozen for item in found)
    if three:
        parts = [_parts(item) for item in found]
        words = [
            [", ".join(f"{word} {part:.0%}" for word, part in zip(BRANCHES, p, strict=True)) + f" of {item.tasks} tasks"
             for p in of]
            for item, of in zip(found, parts, strict=True)
        ]  # fmt: skip
        trace |= THREE_LEANING | {
            "z": [[*map(leaning, of), *rest] for of, rest in zip(parts, blank, strict=True)],
            "customdata": [[*of, *rest] for of, rest in zip(words, blank, strict=True)], "texttemplate": "",
            "hovertemplate": "%{y}, layer %{x}: %{customdata}<extra></extra>",
        }  # fmt: skip
    layout = {
        "xaxis": {"title": {"text": "layer"}, "dtick": spaced(depth), "showgrid": False},
        "yaxis": {"type": "category", "showgrid": False},
        "meta": {"height": 74, "height_per_line": 24},
    }
    return {"data": [trace] if found else [], "layout": layout}


def _parts(item: Choices) -> list[tuple[float, float, float]]:
    """Return the fractions of tasks that take each layer (own, shared, frozen)."""
    frozen = item.frozen or [0.0] * len(item.layers)
    return [(1 - shared - kept, shared, kept) for shared, kept in zip(item.layers, frozen, strict=True)]
