"""The page as text: tables as HTML, figures as JSON that plotly.js draws in the browser; plotly.js is on the page."""

import json
import zlib
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from lasem.configurations import digits_key
from lasem.errors import ReportError
from lasem.files import write_output
from lasem.records import TaskHistory
from lasem.report._comparison import (
    MEASURES,
    RANKS,
    UNKNOWN,
    ComparisonRow,
    Warned,
    comparison_rows,
    task_rows,
    warnings,
)
from lasem.report._curves import MOST_POINTS, leading_candidates
from lasem.report._run import Run
from lasem.report.page._comparison_figures import comparison_figures
from lasem.report.page._plotly_style import TEMPLATE
from lasem.report.page._run_figures import run_figures

MOST_BYTES = 7_900_000
"""Largest page, plotly.js included. Curves of many long runs have fewer points, then are left out, to stay below."""

POINTS = (MOST_POINTS, 200, 100)
"""Most points of a curve per task, tried in this order until all runs fit."""

ENVIRONMENT = ("lasem", "python", "torch", "numpy", "platform", "device", "device_name", "threads")
"""Keys in which the environments of the runs are compared."""

TAG = 80
"""Length in bytes of the HTML element around the data of a run."""

LEADING = 9
"""Number of configurations listed for a task."""


class Live(NamedTuple):
    """How a page follows runs that go on: it reloads itself when its file has changed."""

    seconds: float
    """Time in seconds between two checks."""
    written: str
    """Time at which this version was written, in words."""
    version: str
    """Text that differs between two versions of the page."""


def write_page(runs: Sequence[Run], out: Path, live: Live | None = None) -> None:
    """Write the page so that a reader never meets half of it.

    Args:
        runs: What to report.
        out: The file.
        live: How the page follows the runs; None for a page that stays as it is.

    Raises:
        ReportError: The file's suffix is that of another format.
        RunError: The system refuses to write it.
    """
    check_page_path(out)
    write_output(out, page(runs, live).encode())


def check_page_path(out: Path) -> None:
    """Refuse a file for the page whose name promises another format.

    Raises:
        ReportError: The suffix is not that of a web page.
    """
    if out.suffix.lower() not in ("", ".html", ".htm"):
        raise ReportError(
            f"a page's file must end in .html (got --out {out}); choose such a name, or draw figures for print with"
            " `lasem figure`"
        )


def page(runs: Sequence[Run], live: Live | None = None) -> str:
    """Return the page as text."""
    rows = comparison_rows(runs)
    ordered = [run for row in rows for run in row.runs]
    index = _index(rows)
    bare = _render(rows, index, [None] * len(ordered), [], live)
    available = MOST_BYTES - len(bare.encode()) - TAG * len(ordered)
    data: list[str | None] = []
    points = POINTS[0]
    for points in POINTS:
        data = [packed(_run_data(run, points)) for run in ordered]
        if sum(len(text) for text in data if text) <= available:
            break
    notes = [Warned(f"curves are thinned to {points} points a task to keep the page small", ())]
    notes = notes if points < POINTS[0] else []
    for i, text in enumerate(data):
        available -= len(text or "")
        data[i] = text if available >= 0 else None
    if left_out := data.count(None):
        text = f"plots of {left_out} runs are left out to keep the page small; report fewer runs to see them"
        notes.append(Warned(text, ()))
    return _render(rows, index, data, notes, live)


def as_json(value: object) -> str:
    """Write compact JSON that may stand in a script element."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)
    return text.replace("</", "<\\/").replace("<!--", "<\\u0021--")


def packed(value: object) -> str:
    """Return JSON, compressed by zlib and in base64: a fifth of its size, because runs have much text in common."""
    return b64encode(zlib.compress(as_json(value).encode())).decode()


def _render(
    rows: Sequence[ComparisonRow],
    index: Mapping[str, Any],
    data: Sequence[str | None],
    notes: Sequence[Warned],
    live: Live | None,
) -> str:
    folder = files("lasem.report").joinpath("page")
    static = {name: folder.joinpath(name).read_text(encoding="utf-8") for name in ("style.css", "page.js")}
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(folder.joinpath("page.html.j2").read_text(encoding="utf-8"))
    runs = [run for row in rows for run in row.runs]
    branches = max(run.branches for run in runs)
    return template.render(
        rows=rows,
        runs=runs,
        measures=MEASURES,
        ranks=RANKS,
        index=Markup(as_json(index)),
        data=[text and Markup(text) for text in data],
        most_points=POINTS[0],
        warnings=[*warnings(rows), *notes],
        environment=list(_environments(runs)),
        commands=_counted(runs, "command"),
        static={name: Markup(text) for name, text in static.items()},
        plotly_js=Markup(get_plotlyjs()),
        live=live,
        branches=branches,
        digits_key=digits_key(branches),
    )


def _index(rows: Sequence[ComparisonRow]) -> dict[str, Any]:
    """What the page chooses from, with the figures that compare learners."""
    ids = {run.folder: i for i, run in enumerate(run for row in rows for run in row.runs)}
    sizes = Counter(row.benchmark for row in rows for run in row.runs if run.finished)
    benchmarks = sorted({row.benchmark for row in rows}, key=lambda name: -sizes[name])
    compared = {name: [row for row in rows if row.benchmark == name] for name in benchmarks}
    if len(benchmarks) > 1:
        compared[""] = list(rows)
    return {
        "rows": [
            {
                "learner": row.learner,
                "benchmark": row.benchmark,
                "finished": row.finished,
                "runs": [{"seed": run.seed, "path": run.folder, "name": run.name} for run in row.runs],
            }
            for row in rows
        ],
        "measures": {key: measure.title for key, measure in MEASURES.items()},
        "benchmarks": benchmarks,
        "first": ids[_first(compared[benchmarks[0]]).folder],
        "figures": {name: comparison_figures(found, ids) for name, found in compared.items()},
        "template": TEMPLATE,
    }


def _first(rows: Sequence[ComparisonRow]) -> Run:
    """The run that the page shows first: one that searches, by EM where there is one."""
    runs = [run for row in rows for run in row.runs]
    searching = [run for run in runs if any(record.prior for task in run.tasks for record in task.epochs[-1:])]
    return next((run for run in searching if "lasem" in run.learner), (searching or runs)[0])


def _run_data(run: Run, most_points: int) -> dict[str, Any]:
    """Everything the page shows of one run."""
    return {
        "figures": run_figures(run, most_points),
        "tasks": [task.name for task in run.tasks],
        "says": _says(run),
        "rows": [row.texts for row in task_rows(run)],
        "leading": [_leading(task) for task in run.tasks],
        "facts": list(_facts(run)),
        "spec": run.spec_text,
    }  # fmt: skip


def _says(run: Run) -> list[str]:
    """A sentence about every task; the last one is about all of them."""
    sentences = []
    for task, digits in zip(run.tasks, run.configurations, strict=False):
        chosen, leader = task.decision and task.decision.probability, _leading(task)
        if chosen is not None:
            more = f"; chosen with probability {chosen:.3f}"
        else:
            more = "".join(f"; {label} leads with {last}" for label, last, _ in leader[:1])
        state = "learned" if task.decision else "it is being learned"
        state = f"layers {digits}, {digits_key(run.branches)}" if digits else state
        course = task.track.sentence()
        sentences.append(f"Task {task.position} ({task.name}): {state}{more}{f'; {course}' if course else ''}.")
    decided = sum(digits is not None for digits in run.configurations)
    return [*sentences, f"{len(run.tasks)} tasks, {decided} decided."]


def _leading(task: TaskHistory) -> list[tuple[str, str, str]]:
    return [(name, f"{latest:.3f}", f"{mean:.3f}") for name, latest, mean in leading_candidates(task, LEADING)]


def _facts(run: Run) -> Iterator[tuple[str, str]]:
    """What was run and on what."""
    yield from (
        ("learner", run.learner), ("benchmark", run.benchmark), ("network", run.network), ("profile", run.profile),
        ("seed", UNKNOWN if run.seed is None else str(run.seed)),
    )  # fmt: skip
    yield from _flat({key: value for key, value in run.environment.items() if not isinstance(value, list)})
    yield "folder", run.folder


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield prefix + key.replace("_", " "), str(value)


def _environments(runs: Sequence[Run]) -> Iterator[tuple[str, list[tuple[str, int]]]]:
    """The values of every key of the environment, with the number of runs that had it."""
    for key in ENVIRONMENT:
        if values := _counted(runs, key):
            yield key.replace("_", " "), values


def _counted(runs: Sequence[Run], key: str) -> list[tuple[str, int]]:
    """Values of one key of the environment with the number of runs, most frequent first."""
    known = Counter(str(run.environment[key]) for run in runs if run.environment.get(key) is not None)
    return known.most_common()
