"""Presets: a benchmark file and a learner entry make an experiment, `<benchmark>/<learner>`.

A benchmark comes with a network; `<benchmark>/<network>/<learner>` takes another one that it lists.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lasem.errors import SpecError, nearest
from lasem.nn import MECHANISMS
from lasem.presets._catalogue import (
    benchmark_tables,
    learners_of,
    preset_entries,
    preset_file,
    searches,
    with_network,
)
from lasem.presets._sizes import changes, short_settings, small_settings
from lasem.specs import LearnerSpec, Spec, Table, merge, parse_assignment, read_spec, read_toml

PROFILES = ("paper", "release")
APART = ("summary", "partitions", "small", "short", "networks")
"""What a benchmark's file holds beside sections of a spec, profiles and mechanisms."""


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
    if not target.endswith(".toml"):
        return read_spec(_compose(target, overrides), place=target)
    table = read_toml(Path(target))
    preset = table.pop("preset", None)
    if not isinstance(preset, str | None):
        raise SpecError(f"{target}: preset names one preset - got {preset!r} - write for example 'digits/lasem-hps'")
    above = merge({"name": Path(target).stem} if preset is None else {}, table, overrides)
    return read_spec(_compose(preset, above), place=target)


def _compose(preset: str | None, above: Table) -> Table:
    """Lay what is set over a preset, or over its profile alone where there is none."""
    if preset is None:
        return _settled(merge(_profile(above), above))
    name, _, variant = preset.rpartition("/")
    small = variant == "small" and "/" in name
    base = _preset(name if small else preset, above)
    kind = _other_kind(base, above)
    if kind is not None:  # a preset's benchmark, its name and options, says nothing of another kind
        base |= {"benchmark": {"name": kind, "kind": kind}}
    brief = short_settings(preset_file("profiles.toml")[base["profile"]], merge(base, above))
    if benchmark_tables()[name.partition("/")[0]].get("short"):
        base = merge(base, brief)
    whole = all(isinstance(above.get(key, {}), Mapping) for key, value in base.items() if isinstance(value, dict))
    if not small or not whole:  # a section that is none is an error of its own, whatever the variant
        return _settled(merge(base, above))
    _, table = _benchmark(name)
    if kind is not None:
        raise SpecError(
            f"{preset}: a small variant cuts down the preset's own benchmark - got benchmark.kind = {kind!r}"
            f" - leave out /small, or the kind"
        )
    lowered = merge(small_settings(table, merge(base, above)), brief)
    named = {"name": preset, "benchmark": {"name": f"{base['benchmark']['name']}/small"}}
    spec = _settled(merge(base, lowered, named, above))
    return spec | {"small": changes(base, spec, lowered)}


def _other_kind(base: Mapping[str, Any], above: Mapping[str, Any]) -> str | None:
    """The kind of benchmark that is set in place of a preset's; None where it is left as it is."""
    given = above.get("benchmark")
    kind = given.get("kind") if isinstance(given, Mapping) else None
    return kind if isinstance(kind, str) and kind != base["benchmark"]["kind"] else None


def _settled(table: Table) -> Table:
    """Take the options of the mechanism and of the learner's kind from the profile, below those that are set."""
    profile, learner = preset_file("profiles.toml")[table["profile"]], table.get("learner")
    kind = learner.get("kind") if isinstance(learner, Mapping) else None
    offered = {"mechanism": profile["mechanisms"].get(_mechanism(table)), kind: profile.get("learners", {}).get(kind)}
    given = {section: table.get(section, {}) for section in offered}
    laid = {
        str(section): merge(options or {}, given[section])
        for section, options in offered.items()
        if isinstance(given[section], dict) and (options or given[section])
    }
    return table | laid


def _mechanism(table: Mapping[str, Any]) -> str:
    """Name of the mechanism that a table asks for."""
    learner = table.get("learner")
    default = LearnerSpec.model_fields["mechanism"].default
    return str(learner.get("mechanism", default) if isinstance(learner, Mapping) else default)


def _profile(above: Mapping[str, Any]) -> Table:
    """The table of the profile that the tables above ask for."""
    profile = above.get("profile", "paper")
    if profile not in PROFILES:
        raise SpecError(f"a profile is one of {', '.join(PROFILES)} - got {profile!r} - set profile to one of these")
    sections = {
        key: value
        for key, value in preset_file("profiles.toml")[profile].items()
        if key not in ("mechanisms", "learners", "short")
    }
    return merge({"profile": profile}, sections)


def _preset(name: str, above: Mapping[str, Any]) -> Table:
    """Compose a preset: profile; benchmark, with its parts for the profile and for the mechanism; learner."""
    learner, table = _benchmark(name)
    profile, chosen = _profile(above), _learner(learner, table)
    sections = {key: value for key, value in table.items() if key not in (*APART, *PROFILES, *MECHANISMS)}
    mechanism = _mechanism(merge(chosen, above))
    return merge(
        {"name": name},
        profile,
        {"benchmark": {"name": name.partition("/")[0]}},
        sections,
        table.get(profile["profile"], {}),
        table.get(mechanism, {}) if mechanism in MECHANISMS else {},
        chosen,
    )


def _benchmark(name: str) -> tuple[str, Table]:
    """Of a preset's name, the learner and the table of the benchmark, with the further network if one is named."""
    benchmark, slash, rest = name.partition("/")
    network, _, learner = rest.rpartition("/")
    if not slash or benchmark not in benchmark_tables():
        known = [entry.name for entry in preset_entries()] if not slash else list(benchmark_tables())
        raise SpecError(
            f"a preset is called <benchmark>/<learner> - got {name!r} - {nearest(benchmark, known)}"
            f"{'' if slash else ' (lasem list names all)'}; a file of your own ends in .toml"
        )
    return learner, with_network(benchmark, network) if network else benchmark_tables()[benchmark]


def _learner(name: str, benchmark: Table) -> Table:
    """The entry of a learner, its variant with a static configuration, or that with a partition of the benchmark."""
    entries, partitions = preset_file("learners.toml"), benchmark.get("partitions", {})
    if name in entries:
        return {"learner": {"name": name, **entries[name]["learner"]}}
    for base, entry in entries.items():
        variant = name.removeprefix(f"{base}-")
        if searches(entry) and variant in partitions:
            return {"learner": {"name": name, **entry["learner"]}, "search": {"partition": partitions[variant]}}
        if entry.get("static") and variant != name:
            return {"learner": {"name": name, **entry["learner"], "configuration": variant}}
    known = [entry.name for entry in learners_of(benchmark)]
    raise SpecError(f"a preset is called <benchmark>/<learner> - got learner {name!r} - {nearest(name, known)}")
