"""Groups of runs that differ only by seed, their names, and which groups may be compared."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lasem.report._run import Run

Group = tuple[Run, ...]
"""Runs of one spec with different seeds."""

MOST_SETTINGS = 3
"""Largest number of settings in a name, unless more are needed to tell the names apart."""

OF_A_TRIAL = ("name", "small", "plugins", "seeds.data", "seeds.training")
"""Keys of a spec that make no other experiment."""


def same_spec(runs: Sequence[Run]) -> list[Group]:
    """Group runs that differ only in which images and initial values were drawn, in order of first appearance.

    Unfinished runs form groups of their own: a mean over fewer tasks is another number. So do runs without a spec,
    since nothing shows that they are alike. Another stream seed is another stream.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        alike = {**run.spec, "seeds": run.setting("seeds", "stream")} if run.spec else run.folder
        groups.setdefault(_as_text([alike, run.finished]), []).append(run)
    return [tuple(group) for group in groups.values()]


def finished_groups(runs: Sequence[Run]) -> list[Group]:
    """Group the finished runs that differ only by seed."""
    return same_spec([run for run in runs if run.finished])


def learner_names(groups: Sequence[Group]) -> list[str]:
    """Name each group's learner, with the settings that differ where the learner would not tell two groups apart."""
    alike: dict[object, list[int]] = {}
    for number, (run, *_) in enumerate(groups):
        alike.setdefault((run.learner, run.benchmark, run.finished), []).append(number)
    names = [group[0].learner for group in groups]
    for numbers in alike.values():
        if len(numbers) > 1:
            for number, text in zip(numbers, _distinctions([groups[number][0] for number in numbers]), strict=True):
                names[number] += f" ({text})"
    return names


def labelled(groups: Sequence[Group]) -> list[tuple[str, Group]]:
    """Name each group: its learner, with the benchmark where there are several, and a star where it is unfinished."""
    several = len({group[0].benchmark for group in groups}) > 1
    return [
        (name + (f", {group[0].benchmark}" if several else "") + ("" if group[0].finished else "*"), group)
        for group, name in zip(groups, learner_names(groups), strict=True)
    ]


def distinct(names: Sequence[str], most: int = 30) -> list[str]:
    """Shorten names that are longer than so many characters, but only where they stay distinct.

    >>> distinct(["a name that goes on", "short"], 12), distinct(["a long name 1", "a long name 2"], 10)
    (['a name that…', 'short'], ['a long name 1', 'a long name 2'])
    """
    cut = [name if len(name) <= most else name[: most - 1].rstrip() + "…" for name in names]
    return [short if cut.count(short) == 1 else name for short, name in zip(cut, names, strict=True)]


def differing_settings(runs: Sequence[Run]) -> dict[str, list[object]]:
    """Return every setting in which some runs differ: its value for each run, None where a spec lacks it."""
    specs = [dict(_flat(run.spec)) for run in runs]
    keys = [key for key in dict.fromkeys(key for spec in specs for key in spec) if key not in OF_A_TRIAL]
    values = {key: [spec.get(key) for spec in specs] for key in keys}
    return {key: found for key, found in values.items() if len({_as_text(value) for value in found}) > 1}


def setting_text(value: object) -> str:
    """Write a value of a spec: text without quotes, other values as JSON, "none" for one that the spec lacks."""
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else "none" if value is None else _as_text(value)


def stream_key(group: Group) -> tuple[object, ...]:
    """What a group was trained on: measures are compared on equal streams."""
    return _as_text(group[0].spec.get("benchmark")), group[0].stream_seed


def stream_and_network(group: Group) -> tuple[object, ...]:
    """What two learners must have in common for their costs and peaks to be compared."""
    return *stream_key(group), group[0].network, group[0].profile


def trial(run: Run) -> tuple[object, ...]:
    """The seeds that pair a run with one of another learner."""
    return run.data_seed, run.seed


def _distinctions(runs: Sequence[Run]) -> list[str]:
    """For every run the settings that tell it from the others; the folder where the settings do not."""
    settings = {key: [setting_text(value) for value in values] for key, values in differing_settings(runs).items()}
    chosen = list(settings) if len(settings) <= MOST_SETTINGS else _telling(settings)
    last = [key.rpartition(".")[2] for key in chosen]
    short = [name if last.count(name) == 1 else key for name, key in zip(last, chosen, strict=True)]
    texts = [
        ", ".join(f"{name}={settings[key][r]}" for name, key in zip(short, chosen, strict=True))
        for r in range(len(runs))
    ]
    return [
        text if text and texts.count(text) == 1 else ", ".join(filter(None, (text, run.folder_name)))
        for text, run in zip(texts, runs, strict=True)
    ]


def _telling(settings: Mapping[str, Sequence[str]]) -> list[str]:
    """Choose few settings that tell all runs apart that any settings tell apart, the most telling one first."""
    chosen: list[str] = []

    def told(keys: Sequence[str]) -> int:
        return len(set(zip(*(settings[key] for key in keys), strict=True)))

    while not chosen or told(chosen) < told(list(settings)):
        chosen.append(max(settings, key=lambda key: told([*chosen, key])))
    return chosen


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _as_text(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=str)
