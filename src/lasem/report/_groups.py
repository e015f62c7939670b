"""Groups of runs that differ only by seed, their names, and which groups may be compared."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from lasem.report._run import Run

Group = tuple[Run, ...]
"""Runs of one spec with different seeds."""

MOST_SETTINGS = 3
"""Largest number of settings in a name, unless more are needed to tell the names apart."""

PLAINEST = ("network.name", "benchmark.source")
"""Keys that tell streams apart most plainly, where they do."""

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
    """Name each group's learner, with the settings in which groups of one benchmark differ.

    These are settings of the data and the network, and where the learner still does not tell two groups apart, others.
    """
    runs = [group[0] for group in groups]
    told: list[dict[str, str]] = [{} for _ in runs]
    for numbers in _alike(runs, lambda run: run.benchmark):
        settings = differing_settings([runs[number] for number in numbers])
        places = sorted(filter(_is_of_stream, settings), key=lambda key: key not in PLAINEST)
        for key in _telling({key: settings[key] for key in places}):
            for number, value in zip(numbers, settings[key], strict=True):
                told[number][key] = setting_text(value)
    for numbers in _alike(runs, lambda run: (run.learner, run.benchmark, run.finished)):
        for number, more in zip(numbers, _distinctions([runs[number] for number in numbers]), strict=True):
            told[number] |= more
    short = _short({key for one in told for key in one})
    texts = [", ".join(f"{short[key]}={text}" if key else text for key, text in one.items()) for one in told]
    return [run.learner + (f" ({text})" if text else "") for run, text in zip(runs, texts, strict=True)]


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


def _alike(runs: Sequence[Run], key: Callable[[Run], object]) -> list[list[int]]:
    """Return the positions of runs that have something in common with others, group by group."""
    found: dict[object, list[int]] = {}
    for number, run in enumerate(runs):
        found.setdefault(key(run), []).append(number)
    return [numbers for numbers in found.values() if len(numbers) > 1]


def _is_of_stream(key: str) -> bool:
    """Whether a setting says which data or which network a run has, beyond the name of its benchmark."""
    return (key.startswith("benchmark.") and key != "benchmark.name") or key == "network.name"


def _distinctions(runs: Sequence[Run]) -> list[dict[str, str]]:
    """For every run the settings that tell it from the others, and under "" the folder where the settings do not."""
    settings = differing_settings(runs)
    chosen = _telling(settings)
    found = [{key: setting_text(settings[key][number]) for key in chosen} for number in range(len(runs))]
    return [
        one if one and found.count(one) == 1 else one | {"": run.folder_name}
        for one, run in zip(found, runs, strict=True)
    ]


def _short(keys: Collection[str]) -> dict[str, str]:
    """Return the last part of every key, and the whole key where several end alike."""
    last = [key.rpartition(".")[2] for key in keys]
    return {key: name if last.count(name) == 1 else key for name, key in zip(last, keys, strict=True)}


def _telling(settings: Mapping[str, Sequence[object]]) -> list[str]:
    """Choose all settings if they are few, and else some that tell all runs apart that any settings tell apart."""
    if len(settings) <= MOST_SETTINGS:
        return list(settings)
    texts = {key: list(map(setting_text, values)) for key, values in settings.items()}
    chosen: list[str] = []

    def told(keys: Sequence[str]) -> int:
        return len(set(zip(*(texts[key] for key in keys), strict=True)))

    while not chosen or told(chosen) < told(list(texts)):
        chosen.append(max(texts, key=lambda key: told([*chosen, key])))
    return chosen


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _as_text(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=str)
