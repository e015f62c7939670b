"""Tables of how well searches choose, from the lines that `perf/search_quality.py` and `perf/drawn_fidelity.py` write.

Regret of a decision is the test accuracy of brute force's choice (the configuration that validates best) less that of
the configuration chosen, both after training by themselves. Where several validate best, brute force's score is the
mean of theirs, and any of them agrees with it. "By chance" is what a configuration drawn at random is expected to
reach. The cost of a search is its training time in units of the mean training time of one configuration.

In the streams `synthetic-*` the right configuration is known. Its shared layers are given after the first task, in
place of what that task had shared, so the first task is not counted.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from book_tables import Line, interval, with_test
from lasem.metrics import spread

Measured = dict[str, Any]
"""A line of JSON: what was measured in one seed of one row of a stream."""

Probes = dict[str, list[float]]
"""Validation accuracy, test accuracy and seconds of every configuration that was trained by itself."""

Seeds = dict[int, dict[str, float]]
"""Measures of a row by seed."""

END = "at the end, %"
"""Mean accuracy over tasks at the end of the stream."""

RATIO = "forgetting ratio"
"""Mean over tasks of the accuracy at the end over that at the task's own end."""

PUBLISHED = "published"
"""Row from which the others are subtracted."""

PLANTED = "synthetic-"
"""Beginning of the names of streams whose right configurations are known."""


def read_lines(path: Path, streams: Sequence[str], shown: Callable[[str], bool]) -> list[Measured]:
    """Read the lines of some streams and rows, of a seed that was measured twice the later one.

    Args:
        path: File of JSON lines.
        streams: Names of streams, in the order in which they are shown.
        shown: Whether a row is shown.

    Raises:
        ValueError: The file does not exist.
    """
    if not path.is_file():
        raise ValueError(f"{path.name} must be in results/records; measure it with the script in perf that writes it")
    found = {}
    for line in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
        if line["stream"] in streams and shown(line["row"]):
            found[line["stream"], line["row"], line["seed"]] = line
    return sorted(found.values(), key=lambda line: streams.index(line["stream"]))


def searches_table(lines: Iterable[Measured]) -> list[Line]:
    """Show accuracy, forgetting, values stored and time of every row, the best accuracy at the end first."""
    columns = {"at own end, %": 1, RATIO: 3, "values stored": 0, "training, s": 1}
    return _summaries(lines, columns)


def planted_table(lines: Iterable[Measured]) -> list[Line]:
    """Show in which share of the tasks every row chose the planted configuration."""
    return _summaries(lines, {RATIO: 3, "planted, %": 0})


def gains_table(lines: Iterable[Measured]) -> list[Line]:
    """Show what every row differs by from the published search on each stream.

    The streams with planted sharing are one column, averaged seed by seed: seeds are a sample, these streams are not.
    """
    gains: dict[str, dict[str, dict[int, list[dict[str, float]]]]] = {}
    for stream, row, by_seed, published in _grouped(lines, summary, best=END):
        kind = "planted" if stream.startswith(PLANTED) else stream
        for seed in sorted(by_seed.keys() & published.keys() if row != PUBLISHED else ()):
            gain = {measure: by_seed[seed][measure] - published[seed][measure] for measure in (END, RATIO)}
            gains.setdefault(row, {}).setdefault(kind, {}).setdefault(seed, []).append(gain)
    found = {
        row: {kind: list(map(_averaged, by_seed.values())) for kind, by_seed in by_kind.items()}
        for row, by_kind in gains.items()
    }
    ranked = sorted(found.items(), key=lambda item: -_mean([_averaged(pairs)[END] for pairs in item[1].values()]))
    return [
        {"search": f"`{row}`"}
        | {f"{kind}, points": with_test([gain[END] for gain in pairs]) for kind, pairs in by_kind.items()}
        | {f"{kind}, ratio": with_test([gain[RATIO] for gain in pairs], digits=3) for kind, pairs in by_kind.items()}
        for row, by_kind in ranked
    ]


def regret_table(lines: Iterable[Measured]) -> list[Line]:
    """Show how every search compares with brute force, in the seeds in which each configuration was trained alone."""
    probed = [line for line in lines if line["probes"] and line["row"] not in line["probes"][0]]
    return [
        _named(stream, row, by_seed)
        | {
            "regret, points": _over(by_seed, "regret", digits=1),
            "regret by chance": _over(by_seed, "regret by chance", digits=1),
            "less than chance by": with_test([found["less than chance"] for found in by_seed.values()]),
            "agreement, %": _over(by_seed, "agreement", digits=0),
            "agreement by chance, %": _over(by_seed, "agreement by chance", digits=0),
            "cost, static steps": _over(by_seed, "cost", digits=1),
        }
        for stream, row, by_seed, _ in _grouped(probed, regret, best="less than chance")
    ]


def drawn_table(lines: Iterable[Measured]) -> list[Line]:
    """Show how searches over drawn lists, and exact ones that differ by chance alone, compare with the exact search."""
    rows: dict[tuple[str, str], Seeds] = {}
    tasks: dict[tuple[str, str], int] = {}
    for line in lines:
        for name in line["tasks"][0]["searches"]:
            found = [likeness(name, task) for task in line["tasks"]]
            rows.setdefault((line["stream"], name), {})[line["seed"]] = _averaged(found)
            tasks[line["stream"], name] = tasks.get((line["stream"], name), 0) + len(found)
    return [
        {
            "network": network,
            "search": f"`{name}`",
            "seeds": str(len(by_seed)),
            "tasks": str(tasks[network, name]),
            "layers alike, %": _over(by_seed, "alike", digits=0),
            "marginals apart": _over(by_seed, "apart", digits=2),
            "at own end, %": _over(by_seed, "own end", digits=1),
            "regret, points": _over(by_seed, "regret", digits=1),
            "regret by chance": _over(by_seed, "regret by chance", digits=1),
        }
        for (network, name), by_seed in rows.items()
    ]


SEARCHES: dict[str, tuple[str, Callable[[Iterable[Measured]], list[Line]]]] = {
    "searches": ("search-quality", searches_table),
    "regret": ("search-quality", regret_table),
    "planted": ("search-quality", planted_table),
    "gains": ("search-quality", gains_table),
    "drawn": ("drawn-fidelity", drawn_table),
}
"""File of results/records and function that make a table of searches, by name of the block."""


def summary(line: Measured) -> dict[str, float]:
    """Compute accuracies in percent, forgetting, values stored and time of a line, as means over tasks."""
    planted = line.get("planted", ())
    first = 1 if planted else 0
    last, ends = line["accuracy"][-1][first:], [row[-1] for row in line["accuracy"][first:]]
    ratios = [after / end for after, end in zip(last[:-1], ends[:-1], strict=True) if end]
    right = [one == other for one, other in zip(line["chosen"], planted, strict=False)][first:]
    return {
        END: 100 * _mean(last),
        "at own end, %": 100 * _mean(ends),
        RATIO: _mean(ratios),
        "values stored": float(line["parameters"]),
        "planted, %": 100 * _mean(right),
        "training, s": sum(line["seconds"]),
    }


def regret(line: Measured) -> dict[str, float]:
    """Compute regret and agreement of a line with its probes, and its cost, as means over tasks."""
    tasks = zip(line["chosen"], line["probes"], line["seconds"], strict=True)
    return _averaged(
        [
            judge(chosen, probes) | {"cost": seconds / _mean([alone for _, _, alone in probes.values()])}
            for chosen, probes, seconds in tasks
        ]
    )


def judge(chosen: str, probes: Probes) -> dict[str, float]:
    """Compare a decision with brute force's, and with what a configuration drawn at random is expected to reach."""
    best = max(valid for valid, _, _ in probes.values())
    ties = [digits for digits, (valid, _, _) in probes.items() if valid == best]
    oracle = _mean([probes[digits][1] for digits in ties])
    by_chance = _mean([test for _, test, _ in probes.values()])
    return {
        "regret": 100 * (oracle - probes[chosen][1]),
        "regret by chance": 100 * (oracle - by_chance),
        "less than chance": 100 * (probes[chosen][1] - by_chance),
        "agreement": 100.0 * (chosen in ties),
        "agreement by chance": 100 * len(ties) / len(probes),
    }


def likeness(name: str, task: Measured) -> dict[str, float]:
    """Compare what a search of a task found with what the exact search did."""
    one, exact = task["searches"][name], task["searches"]["exact"]
    alike = [digit == other for digit, other in zip(one["chosen"], exact["chosen"], strict=True)]
    apart = np.abs(np.array(one["marginals"]) - np.array(exact["marginals"]))
    judged = judge(one["chosen"], task["probes"]) if task["probes"] else {}
    return {"alike": 100 * _mean(alike), "apart": float(apart.mean()), "own end": 100 * one["test"]} | judged


def _summaries(lines: Iterable[Measured], columns: dict[str, int]) -> list[Line]:
    """Show the accuracy at the end of every row, what it differs by, and some measures with their number of digits."""
    return [
        _named(stream, row, by_seed)
        | {
            END: _over(by_seed, END, digits=1),
            "less published": _less_published(row, by_seed, published),
        }
        | {measure: _over(by_seed, measure, digits=digits) for measure, digits in columns.items()}
        for stream, row, by_seed, published in _grouped(lines, summary, best=END)
    ]


def _grouped(
    lines: Iterable[Measured], measures: Callable[[Measured], dict[str, float]], *, best: str
) -> list[tuple[str, str, Seeds, Seeds]]:
    """Return each row with its measures by seed, and with those of the published search on its stream.

    Streams come one after another, and in each the row with the largest mean of the measure `best` first.
    The name of the stream is empty if all rows have the same.
    """
    groups: dict[tuple[str, str], Seeds] = {}
    for line in lines:
        groups.setdefault((line["stream"], line["row"]), {})[line["seed"]] = measures(line)
    streams = list(dict.fromkeys(stream for stream, _ in groups))
    ranked = sorted(groups.items(), key=lambda item: (streams.index(item[0][0]), -_mean_of(item[1], best)))
    return [
        (stream if len(streams) > 1 else "", row, by_seed, groups.get((stream, PUBLISHED), {}))
        for (stream, row), by_seed in ranked
    ]


def _named(stream: str, row: str, by_seed: Seeds) -> Line:
    """Begin a line."""
    return {"stream": stream, "search": f"`{row}`", "seeds": str(len(by_seed))}


def _less_published(row: str, by_seed: Seeds, published: Seeds) -> str:
    """Write the accuracy at the end less that of the published search, seed by seed, with a test."""
    if row == PUBLISHED:
        return ""
    common = by_seed.keys() & published.keys()
    return with_test([by_seed[seed][END] - published[seed][END] for seed in sorted(common)])


def _over(by_seed: Seeds, measure: str, *, digits: int) -> str:
    """Write a measure with its interval over seeds; nothing if it was not measured."""
    values = [found[measure] for found in by_seed.values() if measure in found]
    return interval(spread(values), digits=digits) if values and not np.isnan(values).any() else ""


def _mean_of(by_seed: Seeds, measure: str) -> float:
    """Return the mean of a measure over seeds."""
    return _mean([found[measure] for found in by_seed.values()])


def _averaged(found: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the mean of every measure, over tasks or pairs."""
    return {measure: _mean([one[measure] for one in found]) for measure in found[0]}


def _mean(values: Sequence[float]) -> float:
    """Return the mean; NaN without values."""
    return float(np.mean(values)) if values else float("nan")
