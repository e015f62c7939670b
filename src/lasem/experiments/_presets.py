"""Presets: a benchmark file and a learner entry make an experiment, `<benchmark>/<learner>`.

A benchmark comes with a network; `<benchmark>/<network>/<learner>` takes another one that it lists.
"""

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


def learner_entries(layers: int | None = None) -> list[Entry]:
    """The learners for a network of so many layers, static configurations included.

    Args:
        layers: Those of the deepest network that a benchmark comes with, by default.
    """
    layers = layers or max(_depth(table) for table in _benchmarks().values())
    entries: list[Entry] = []
    for name, table in _file("learners.toml").items():
        entries.append(Entry(name, table["summary"]))
        if table.get("static"):
            partial = [text for text in static_names(layers) if text not in ("all", "none")]
            entries += [Entry(f"{name}-{text}", f"{name} with the static configuration {text}") for text in partial]
    return entries


def preset_entries() -> list[Entry]:
    """Every preset, a line each."""
    entries: list[Entry] = []
    for benchmark, table in _benchmarks().items():
        entries += [Entry(f"{benchmark}/{entry.name}", entry.summary) for entry in learner_entries(_depth(table))]
        for network in table.get("networks", ()):
            entries += [Entry(f"{benchmark}/{network}/{e.name}", e.summary) for e in _network_entries(network)]
    return entries


def _depth(table: Table) -> int:
    """Stages of the network that a benchmark comes with."""
    return len(NETWORKS[table["network"]["name"]].layers)


def _network_entries(network: str) -> list[Entry]:
    """The learners that are listed for a further network; it has many static configurations, which go unlisted."""
    entries: list[Entry] = []
    for name, table in _file("learners.toml").items():
        if table["learner"].get("mechanism") in NETWORKS[network].excludes:
            continue
        entries.append(Entry(name, table["summary"]))
        if _searches(table):
            groups = _groups(network).items()
            entries += [Entry(f"{name}-{key}", f"{name} over groups of layers, {text}") for key, text in groups]
    return entries


def _groups(network: str) -> dict[str, str]:
    """Named partitions of a network's layers."""
    return _file("networks.toml").get(network, {}).get("groups", {})


def _searches(entry: Table) -> bool:
    """Whether a learner chooses among the configurations of a partition."""
    return entry["learner"].get("strategy") == "em"


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
    """Compose a preset: profile, benchmark with its part of the profile, further network if any, learner."""
    benchmark, slash, rest = str(name).partition("/")
    network, _, learner = rest.rpartition("/")
    if not slash or benchmark not in _benchmarks():
        known = [entry.name for entry in preset_entries()] if not slash else list(_benchmarks())
        raise SpecError(
            f"a preset is called <benchmark>/<learner> - got {name!r} - {nearest(benchmark, known)}"
            f"{'' if slash else ' (lasem list names all)'}"
        )
    profile = _profile(above)
    table = _benchmarks()[benchmark]
    sections = {key: value for key, value in table.items() if key not in ("summary", "networks", *PROFILES)}
    return merge(
        {"name": str(name)},
        profile,
        {"benchmark": {"name": benchmark}},
        sections,
        table.get(profile["profile"], {}),
        _network(network, benchmark) if network else {},
        _learner(learner, network or table["network"]["name"]),
    )


def _network(name: str, benchmark: str) -> Table:
    """What a further network of a benchmark changes."""
    known = _benchmarks()[benchmark].get("networks", [])
    if name not in known:
        raise SpecError(
            f"a preset is called <benchmark>/<learner> or <benchmark>/<network>/<learner> - got network {name!r} of"
            f" {benchmark!r} - {nearest(name, known) if known else 'it comes with one network only, leave that out'}"
        )
    table = _file("networks.toml")[name]
    sections = {key: value for key, value in table.items() if key != "groups"}
    groups = [{"search": {"partition": text}} for text in _groups(name).values()]
    return merge({"network": {"name": name}}, *groups[:1], sections)


def _learner(name: str, network: str) -> Table:
    """The entry of a learner, or its variant with a static configuration or a named partition."""
    entries, groups = _file("learners.toml"), _groups(network)
    if name in entries:
        return {"learner": {"name": name, **entries[name]["learner"]}}
    for base, entry in entries.items():
        variant = name.removeprefix(f"{base}-")
        if variant == name:
            continue
        if _searches(entry) and variant in groups:
            return {"learner": {"name": name, **entry["learner"]}, "search": {"partition": groups[variant]}}
        if entry.get("static"):
            return {"learner": {"name": name, **entry["learner"], "configuration": variant}}
    known = [entry.name for entry in learner_entries(len(NETWORKS[network].layers))]
    known += [f"{base}-{group}" for base, entry in entries.items() if _searches(entry) for group in groups]
    raise SpecError(f"a preset is called <benchmark>/<learner> - got learner {name!r} - {nearest(name, known)}")
