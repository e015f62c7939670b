"""Warnings that a reader should see before trusting the numbers of a report."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from lasem.report._comparison import ComparisonRow
from lasem.report._run import Run

STAND_INS: Mapping[str, str] = MappingProxyType({"pacs": "Office-Home", "tiny-imagenet-10": "STL-10"})
"""Data sets that cannot be downloaded, by name of the benchmark that replaces them."""


class Warned(NamedTuple):
    """A warning and the runs that it concerns."""

    text: str
    runs: tuple[Run, ...]


def warnings(rows: Sequence[ComparisonRow]) -> list[Warned]:
    """Collect the warnings for some rows, most general first; identical warnings of several runs are merged."""
    found: dict[str, dict[str, Run]] = {}
    for text, runs in (*_of_rows(rows), *_of_runs([run for row in rows for run in row.runs])):
        found.setdefault(text, {}).update({str(run.path): run for run in runs})
    return [Warned(text, tuple(runs.values())) for text, runs in found.items()]


def _of_rows(rows: Sequence[ComparisonRow]) -> Iterator[tuple[str, Sequence[Run]]]:
    for benchmark in dict.fromkeys(row.benchmark for row in rows):
        here = [row for row in rows if row.benchmark == benchmark]
        runs = [run for row in here for run in row.runs]
        if benchmark in STAND_INS:
            yield f"{benchmark} stands in for {STAND_INS[benchmark]}: these are not results on it", runs
        devices = {str(run.environment["device_name"]) for run in runs if "device_name" in run.environment}
        if len(devices) > 1:
            yield f"{benchmark}: times come from {len(devices)} devices ({', '.join(sorted(devices))})", ()
        yield from _missing_seeds(here)


def _missing_seeds(rows: Sequence[ComparisonRow]) -> Iterator[tuple[str, Sequence[Run]]]:
    """Finished rows that lack a seed which another row of their benchmark has."""
    finished = [row for row in rows if row.finished]
    seeds = {run.seed for row in finished for run in row.runs} - {None}
    for row in finished:
        missing = sorted(seed for seed in seeds - {run.seed for run in row.runs} if seed is not None)
        if missing:
            number = f"{len(row.runs)} of {len(seeds)} seeds"
            yield f"{row.learner} on {row.benchmark}: {number}; missing {', '.join(map(str, missing))}", row.runs


def _of_runs(runs: Sequence[Run]) -> Iterator[tuple[str, Sequence[Run]]]:
    """The warnings of each run, without its folder in front, so that equal ones are merged."""
    for run in runs:
        for warning in run.warnings:
            yield warning.removeprefix(str(run.path)).lstrip(":/\\ "), [run]
