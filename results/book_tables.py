"""Tables of the results book, from the records alone: means over seeds with intervals, and paired differences."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from math import inf

from book_records import Label, Trial
from lasem.formats import duration, extent
from lasem.metrics import Spread, distinguishable, spread

LEAST_PAIRS = 5
"""Least number of seeds in common for a test of a difference."""

MOST_CHOICES = 3
"""Largest number of configurations that are listed for a task."""

Group = tuple[Label, list[Trial]]
"""Runs of one spec with different seeds, under their name."""

Line = dict[str, str]
"""A line of a table: the texts of its cells by title of the column."""


def grouped(trials: Sequence[Trial]) -> list[Group]:
    """Group runs by name: `ordered_streams` one after another, the best mean at the end of a stream first.

    Raises:
        ValueError: Different specs have one name, so that a mean over them would say nothing.
    """
    groups: dict[Label, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(trial.label, []).append(trial)
    for label, group in groups.items():
        if len({trial["seed"] for trial in group}) < len(group):
            raise ValueError(
                f"a row must be of one spec (got several of {label.row!r}); prune old records, or name fewer sweeps"
            )
    streams = ordered_streams(groups)
    return sorted(groups.items(), key=lambda item: (streams.index(item[0].stream), -_over_seeds(item[1], "end").mean))


def tasks_table(trials: Sequence[Trial], against: Sequence[str] = ()) -> list[Line]:
    """Show the accuracy of every task at the end of the stream, in percent."""
    del against
    return [
        _named(label, group)
        | {
            f"{title}, %": interval(spread([trial.rows[task]["end"] for trial in group]), scale=100, digits=1)
            for task, title in enumerate(task_titles(trials))
        }
        for label, group in grouped(trials)
    ]


def learners_table(trials: Sequence[Trial], against: Sequence[str] = ()) -> list[Line]:
    """Show means over tasks of every learner, and the differences from some rows in the same trials.

    Args:
        trials: Recorded runs.
        against: Rows from which the others are subtracted.
    """
    groups = grouped(trials)
    lines = []
    for label, group in groups:
        line = _named(label, group) | {
            "at the end, %": interval(_over_seeds(group, "end"), scale=100, digits=1),
            "peak, %": interval(_over_seeds(group, "peak"), scale=100, digits=1),
            "at own end, %": interval(_over_seeds(group, "own_end"), scale=100, digits=1),
            "forgetting ratio": interval(_over_seeds(group, "forgetting_ratio"), digits=3),
        }
        line |= {
            f"less `{name}`, points": difference(dict(groups), label, Label(name, label.stream)) for name in against
        }
        shared = spread([trial["parameters_shared"] for trial in group]).mean
        counts = f"{shared:,.0f} + {_over_seeds(group, 'parameters_task').mean:,.0f}"
        lines.append(line | {"parameters, shared + per task": counts, "training": _time(group)})
    return lines


def streams_table(trials: Sequence[Trial], against: Sequence[str] = ()) -> list[Line]:
    """Show the accuracy at the end with a column per stream, and the differences from some rows in the same trials."""
    groups = dict(grouped(trials))
    streams = ordered_streams(groups)
    lines = []
    for row in dict.fromkeys(label.row for label in groups):
        parts = {stream: groups[Label(row, stream)] for stream in streams if Label(row, stream) in groups}
        line = {"learner": f"`{row}`", "seeds": extent([len(part) for part in parts.values()])}
        for stream, part in parts.items():
            line[f"{stream}, %"] = interval(_over_seeds(part, "end"), scale=100, digits=1)
        for name in against:
            for stream in parts:
                line[f"{stream}, less `{name}`"] = difference(groups, Label(row, stream), Label(name, stream))
        lines.append(line)
    return lines


def ordered_streams(labels: Iterable[Label]) -> list[str]:
    """Return the names of streams by the number in them, such as 5 in "train_per_class=5", and then by name."""

    def key(stream: str) -> tuple[float, str]:
        value = stream.partition("=")[2]
        return (float(value) if value.replace(".", "", 1).isdigit() else inf), stream

    return sorted({label.stream for label in labels}, key=key)


def choices_table(trials: Sequence[Trial], against: Sequence[str] = ()) -> list[Line]:
    """Show the configurations that each task chose most often, and in how many of the runs."""
    del against
    titles, lines = task_titles(trials), []
    for label, group in grouped([trial for trial in trials if trial["configuration"] is not None]):
        line = _named(label, group)
        for task, title in enumerate(titles):
            counts = sorted(Counter(trial.rows[task]["configuration"] for trial in group).items())
            most = sorted(counts, key=lambda item: -item[1])[:MOST_CHOICES]
            line[title] = ", ".join(f"{digits} ({count})" for digits, count in most)
        lines.append(line)
    return lines


def training_table(trials: Sequence[Trial], against: Sequence[str] = ()) -> list[Line]:
    """Show whether training had come to its end: loss and validation accuracy at half of the epochs and at the end."""
    del against
    lines = []
    for label, group in grouped(trials):
        line = _named(label, group) | {"epochs": str(group[0]["epochs"])}
        for title, column, scale, digits in (("loss", "losses", 1, 4), ("validation, %", "validation", 100, 1)):
            curves = [row[column] for trial in group for row in trial.rows if row[column]]
            for when, part in (("at half", 0.5), ("at the end", 1.0)):
                values = [curve[max(1, round(part * len(curve))) - 1] for curve in curves]
                line[f"{title}, {when}"] = f"{scale * sum(values) / len(values):.{digits}f}" if values else ""
        lines.append(line)
    return lines


TABLES: dict[str, Callable[..., list[Line]]] = {
    "tasks": tasks_table,
    "learners": learners_table,
    "streams": streams_table,
    "choices": choices_table,
    "training": training_table,
}
"""Functions that make a table of recorded runs, by name of the block."""


def difference(groups: dict[Label, list[Trial]], one: Label, other: Label) -> str:
    """Return the accuracy at the end of a row less that of another one in the same trials, in points, with a test."""
    differences = paired(groups.get(one, []), groups.get(other, []), lambda trial: trial.mean("end"))
    if one == other or not differences:
        return ""
    few = f" ({len(differences)} in common)" if len(differences) < len(groups[one]) else ""
    return with_test(differences, scale=100) + few


def with_test(differences: Sequence[float], *, scale: float = 1, digits: int = 1) -> str:
    """Write a mean difference; a star says that there are pairs enough, and that its interval does not contain 0."""
    star = " *" if len(differences) >= LEAST_PAIRS and distinguishable(differences) else ""
    return interval(spread(differences), scale=scale, digits=digits, sign="+") + star


def paired(one: Sequence[Trial], other: Sequence[Trial], measure: Callable[[Trial], float]) -> list[float]:
    """Return the differences of a measure, one for each trial that both rows have."""
    theirs = {trial.images: measure(trial) for trial in other}
    return [measure(trial) - theirs[trial.images] for trial in one if trial.images in theirs]


def task_titles(trials: Sequence[Trial]) -> list[str]:
    """Return a short title for every task: what stands before a colon if that tells them apart, else the position."""
    names = [row["name"].partition(":")[0] for row in max(trials, key=lambda trial: len(trial.rows)).rows]
    short = len({*names}) == len(names) and max(map(len, names)) <= 20
    return names if short else [f"task {task}" for task in range(len(names))]


def seconds(group: Sequence[Trial]) -> tuple[float, bool]:
    """Return mean CPU seconds of training, and whether they are known; the wall clock where a run does not tell."""
    known = all(trial["cpu_seconds"] is not None for trial in group)
    return spread([trial["cpu_seconds" if known else "training_seconds"] for trial in group]).mean, known


def _over_seeds(group: Sequence[Trial], column: str) -> Spread:
    return spread([trial.mean(column) for trial in group])


def _named(label: Label, group: Sequence[Trial]) -> Line:
    return {"stream": label.stream, "learner": f"`{label.row}`", "seeds": str(len(group))}


def interval(values: Spread, *, scale: float = 1, digits: int, sign: str = "") -> str:
    """Write a mean ± half the width of its interval; the mean alone of one value, and nothing without values."""
    if not values.runs:
        return ""
    half = f" ± {scale * values.half_width:,.{digits}f}" if values.runs > 1 else ""
    return f"{scale * values.mean:{sign}z,.{digits}f}".replace("-", "\N{MINUS SIGN}") + half


def _time(group: Sequence[Trial]) -> str:
    """Write the mean CPU time, or the wall clock as what it is at most on one thread."""
    mean, known = seconds(group)
    return ("" if known else "≤ ") + duration(mean)
