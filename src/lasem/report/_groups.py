"""Groups of runs that differ only by seed, their names, and which groups may be compared."""

import json
from collections.abc import Sequence

from lasem.report._run import Run

Group = tuple[Run, ...]
"""Runs of one spec with different seeds."""


def same_spec(runs: Sequence[Run]) -> list[Group]:
    """Group runs that differ only in which images and initial values were drawn, in order of first appearance.

    Unfinished runs form groups of their own: a mean over fewer tasks is another number. So do runs without a spec,
    since nothing shows that they are alike. Another stream seed is another stream.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        alike = {**run.spec, "seeds": run.setting("seeds", "stream")} if run.spec else str(run.path)
        groups.setdefault(json.dumps([alike, run.finished], sort_keys=True, default=str), []).append(run)
    return [tuple(group) for group in groups.values()]


def finished_groups(runs: Sequence[Run]) -> list[Group]:
    """Group the finished runs that differ only by seed."""
    return same_spec([run for run in runs if run.finished])


def learner_names(groups: Sequence[Group]) -> list[str]:
    """Name each group's learner, with the spec's name where that alone would not tell two groups apart."""
    known = [(group[0].learner, group[0].benchmark, group[0].finished) for group in groups]
    return [
        key[0] if known.count(key) == 1 else f"{key[0]} ({group[0].name})"
        for key, group in zip(known, groups, strict=True)
    ]


def group_labels(groups: Sequence[Group]) -> list[str]:
    """Name each group's learner, with its benchmark where there are several, and a star where it is unfinished."""
    several = len({group[0].benchmark for group in groups}) > 1
    return [
        name + (f", {group[0].benchmark}" if several else "") + ("" if group[0].finished else "*")
        for group, name in zip(groups, learner_names(groups), strict=True)
    ]


def stream_key(group: Group) -> tuple[object, ...]:
    """What a group was trained on: measures are compared on equal streams."""
    return json.dumps(group[0].spec.get("benchmark"), sort_keys=True, default=str), group[0].setting("seeds", "stream")


def stream_and_network(group: Group) -> tuple[object, ...]:
    """What two learners must have in common for their costs and peaks to be compared."""
    return *stream_key(group), group[0].network, group[0].profile


def trial(run: Run) -> tuple[object, ...]:
    """The seeds that pair a run with one of another learner."""
    return run.setting("seeds", "data"), run.seed
