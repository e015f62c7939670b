"""Presets: a benchmark file and a learner entry make an experiment, `<benchmark>/<learner>`."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from lasem.configurations import static_names
from lasem.errors import SpecError, nearest
from lasem.nn import NETWORKS
from lasem.specs import Spec, Table, merge, parse_assignment, read_spec, read_toml

PROFILES = ("paper", "release")


@dataclass(frozen=True)
class Entry:
    """A line of a listing."""

    name: str
    summary: str


@cache
def _file(name: str) -> Table:
    return tomllib.loads((resources.files("lasem.presets") / name).read_text(encoding="utf-8"))


@cache
def _benchmarks() -> dict[str, Table]:
    folder = resources.files("lasem.presets") / "benchmarks"
    names = sorted(file.name for file in folder.iterdir() if file.name.endswith(".toml"))
    return {name.removesuffix(".toml"): _file(f"benchmarks/{name}") for name in names}


def benchmark_entries() -> list[Entry]:
    """The benchmarks that presets are made of."""
    return [Entry(name, table["summary"]) for name, table in _benchmarks().items()]


def learner_entries(layers: int) -> list[Entry]:
    """The learners for a network of so many layers, static configurations included."""
    entries: list[Entry] = []
    for name, table in _file("learners.toml").items():
        entries.append(Entry(name, table["summary"]))
        if table.get("static"):
            partial = [text for text in static_names(layers) if text not in ("all", "none")]
            entries += [Entry(f"{name}-{text}", f"{name} with the static configuration {text}") for text in partial]
    return entries


def preset_entries() -> list[Entry]:
    """Every preset, a line each."""
    return [
        Entry(f"{benchmark}/{entry.name}", entry.summary)
        for benchmark, table in _benchmarks().items()
        for entry in learner_entries(len(NETWORKS[table["network"]["name"]].layers))
    ]


def resolve(target: str, settings: Sequence[str] = ()) -> Spec:
    """Make a spec of a preset's name or a TOML file, and settings that override it.

    A TOML file is a whole spec, or names a `preset` and overrides parts of it.

    Args:
        target: Such as "digits/lasem-hps" or "experiment.toml".
        settings: Such as "training.epochs=20"; later ones win.

    Raises:
        SpecError: Something in it is unknown, missing or impossible.
    """
    overrides = merge(*(parse_assignment(text) for text in settings))
    if target.endswith(".toml"):
        table = read_toml(Path(target))
        name: Any = table.pop("preset", None)
        base = _preset(name, merge(table, overrides)) if name is not None else _profile(merge(table, overrides))
        spec = merge({"name": Path(target).stem}, base, table, overrides)
        return read_spec(spec, place=target)
    return read_spec(merge(_preset(target, overrides), overrides), place=target)


def _profile(above: Mapping[str, Any]) -> Table:
    """The table of the profile that the tables above ask for."""
    profile = above.get("profile", "paper")
    if profile not in PROFILES:
        raise SpecError(f"a profile is one of {', '.join(PROFILES)} - got {profile!r} - set profile to one of these")
    return merge({"profile": profile}, _file("profiles.toml")[profile])


def _preset(name: object, above: Mapping[str, Any]) -> Table:
    """Compose a preset: profile, then benchmark with its part of the profile, then learner."""
    benchmark, slash, learner = str(name).partition("/")
    if not slash or benchmark not in _benchmarks():
        known = [entry.name for entry in preset_entries()] if not slash else list(_benchmarks())
        raise SpecError(
            f"a preset is called <benchmark>/<learner> - got {name!r} - {nearest(benchmark, known)}"
            f"{'' if slash else ' (lasem list names all)'}"
        )
    profile = _profile(above)
    table = dict(_benchmarks()[benchmark])
    sections = {key: value for key, value in table.items() if key not in ("summary", *PROFILES)}
    return merge(
        {"name": str(name)},
        profile,
        {"benchmark": {"name": benchmark}},
        sections,
        table.get(profile["profile"], {}),
        {"learner": _learner(learner, table)},
    )


def _learner(name: str, benchmark: Table) -> Table:
    """The entry of a learner, or its variant with a static configuration."""
    entries = _file("learners.toml")
    if name in entries:
        return {"name": name, **entries[name]["learner"]}
    for base, entry in entries.items():
        if entry.get("static") and name.startswith(f"{base}-"):
            configuration = name.removeprefix(f"{base}-")
            return {"name": name, **entry["learner"], "configuration": configuration}
    layers = len(NETWORKS[benchmark["network"]["name"]].layers)
    known = [entry.name for entry in learner_entries(layers)]
    raise SpecError(f"a preset is called <benchmark>/<learner> - got learner {name!r} - {nearest(name, known)}")
