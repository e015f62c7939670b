"""One self-contained HTML page about some runs, which opens without a network."""

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import plotly.graph_objects as go
from jinja2 import Environment, StrictUndefined
from plotly.offline import get_plotlyjs

from lasem.report import _curves, _figures
from lasem.report._collect import Run
from lasem.report._tables import COLUMNS, RANKS, UNKNOWN, ComparisonRow, TaskRow, comparison_rows, percent, task_rows

MOST_BYTES = 5_900_000
"""Of a page, plotly.js included; figures beyond this are left out."""


class Figure(NamedTuple):
    """A figure on the page."""

    caption: str
    """What it shows, and how to read it."""
    spec: dict[str, Any]
    """Data and layout, as plotly.js takes them."""


class RunPart(NamedTuple):
    """What the page says about one run."""

    run: Run
    facts: list[tuple[str, str]]
    tasks: list[TaskRow]
    figures: list[Figure]
    omitted: bool
    """Whether its figures were left out for their size."""


def write_page(runs: Sequence[Run], out: Path) -> None:
    """Write the page: beside its place first, then renamed, so that a reader never meets half of it."""
    beside = out.with_name(out.name + ".new")
    out.parent.mkdir(parents=True, exist_ok=True)
    beside.write_text(page(runs), encoding="utf-8")
    beside.replace(out)


def page(runs: Sequence[Run]) -> str:
    """The page as text."""
    rows = comparison_rows(runs)
    bare = [RunPart(run, _facts(run), task_rows(run), [], omitted=True) for row in rows for run in row.runs]
    lines = _curves.forgetting_curves(runs)
    overview = [_figure(_figures.draw_forgetting(lines), FORGETTING)] if lines else []
    room = MOST_BYTES - len(_render(rows, bare, overview).encode())
    return _render(rows, list(_illustrated(bare, room)), overview)


def _render(rows: Sequence[ComparisonRow], parts: Sequence[RunPart], overview: Sequence[Figure]) -> str:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    environment.filters |= {"percent": percent, "or_unknown": lambda value: UNKNOWN if value is None else value}
    template = environment.from_string(files("lasem.report").joinpath("page.html.j2").read_text(encoding="utf-8"))
    return template.render(
        rows=rows,
        columns=COLUMNS,
        ranks=RANKS,
        overview=overview,
        parts=parts,
        warnings=_warnings(rows, parts),
        plotly_js=get_plotlyjs(),
    )


FORGETTING = (
    "Forgetting ratio as tasks arrive: accuracy of the earlier tasks over their accuracy at the end of (or peak in)"
    " their own training, mean over tasks and seeds. Below 1 is forgetting, above 1 positive backward transfer."
)
ACCURACY = (
    "Accuracy of each task while it is learned (line), and after it and every later task were learned (markers)."
    " Vertical lines separate tasks."
)
PROBABILITIES = (
    "Above: probability of each configuration while a task is searched, written one bit per group, 1 = shared, the"
    " group with the lowest layer first. Below: probability that a group shares, from orange (its own) over gray to"
    " blue (shared)."
)
SHARE_MAP = "Layers that each task reads from shared knowledge; layer 1 is nearest the input."


def _illustrated(parts: Sequence[RunPart], room: int) -> Iterator[RunPart]:
    """The same runs in the same order, with figures while there is room for them."""
    for part in parts:
        figures = _run_figures(part.run) if room > 0 else []
        room -= _size(figures)
        yield part._replace(figures=figures, omitted=False) if room > 0 else part


def _run_figures(run: Run) -> list[Figure]:
    figures = []
    accuracy = _curves.accuracy_curves(run)
    if accuracy.spans:
        figures.append(_figure(_figures.draw_accuracy(accuracy), ACCURACY))
    if probabilities := _curves.probabilities(run):
        figures.append(_figure(_figures.draw_probabilities(probabilities), PROBABILITIES))
    if share_map := _curves.share_map(run):
        figures.append(_figure(_figures.draw_share_map(share_map), SHARE_MAP))
    return figures


def _figure(figure: go.Figure, caption: str) -> Figure:
    return Figure(caption, figure.to_plotly_json())


def _size(figures: Sequence[Figure]) -> int:
    """Bytes on the page, a little more than it will be."""
    return sum(len(json.dumps(figure.spec)) + 2 * len(figure.caption) for figure in figures)


def _facts(run: Run) -> list[tuple[str, str]]:
    """What was run and on what, as pairs for a list."""
    parts = [(what, run.part(what)) for what in ("learner", "benchmark", "network", "profile")]
    return [
        *parts,
        ("seed", UNKNOWN if run.seed is None else str(run.seed)),
        *_flat(run.environment),
        ("folder", str(run.path)),
    ]


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield prefix + key.replace("_", " "), str(value)


def _warnings(rows: Sequence[ComparisonRow], parts: Sequence[RunPart]) -> list[str]:
    """Everything a reader should know before trusting a number."""
    found = [warning for part in parts for warning in part.run.warnings]
    most = max((len(row.runs) for row in rows), default=0)
    for row in rows:
        if row.finished and len(row.runs) < most:
            found.append(f"{row.learner} on {row.benchmark}: {len(row.runs)} of {most} seeds")
    if omitted := sum(part.omitted for part in parts):
        found.append(f"figures of {omitted} runs are left out to keep the page small; report fewer runs to see them")
    return found
