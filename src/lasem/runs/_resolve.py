"""Resolving what a user names, a preset or a file with settings over it, to a spec."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lasem.errors import SpecError, require
from lasem.options import Table, merge, parse_assignment, read_toml
from lasem.presets import Composed, compose, preset_values
from lasem.registry import load_plugins
from lasem.runs._read_spec import prune, read_places, read_spec, readers_of
from lasem.runs._readers import readers_by_place
from lasem.runs._spec import Spec

logger = logging.getLogger(__name__)


def resolve(target: str, settings: Sequence[str] = (), *, plugins: Sequence[str] = ()) -> Spec:
    """Make a spec of a preset's name or a TOML file, and settings that override it.

    A TOML file is a whole spec, or names a `preset` and overrides some of its options.

    Args:
        target: Such as "digits/lasem-hps" or "experiment.toml".
        settings: Such as "training.epochs=20"; later ones win.
        plugins: Modules that add to the registries, besides those that the spec names.

    Raises:
        SpecError: Something in it is unknown, missing or impossible.
    """
    require(
        not isinstance(settings, str),
        "settings must be a list of texts",
        remedy=f"write [{settings!r}]",
        settings=settings,
    )
    preset, above = _read_target(target, settings, plugins)
    return read_spec(_laid(compose(preset, above), above), place=target)


def _read_target(target: str, settings: Sequence[str], plugins: Sequence[str]) -> tuple[str | None, Table]:
    """The preset that a target names, if any, and what is set over it."""
    table, preset = {}, target
    if target.endswith(".toml"):
        table = read_toml(Path(target))
        preset = table.pop("preset", None)
        if not isinstance(preset, str | None):
            raise SpecError(f"preset must be the name of one preset (got {preset!r} in {target}); such as 'digits/hps'")
        if preset is None:
            table = without_old_sections({"name": Path(target).stem} | table, place=target)
    above = merge(table, *(parse_assignment(text) for text in settings))
    if plugins:
        named = above.get("plugins", [])
        above["plugins"] = list(dict.fromkeys([*(named if isinstance(named, list) else []), *plugins]))
    if isinstance(above.get("plugins"), list):
        load_plugins(map(str, above["plugins"]))
    return preset, above


def _laid(composed: Composed, above: Mapping[str, Any]) -> Table:
    """Lay what is set over a preset, of which only what the experiment reads is taken."""
    whole = merge(prune(composed.table, above), above)
    return whole | {"small": composed.changes(whole)} if composed.small else whole


def without_old_sections(table: Table, *, place: str) -> Table:
    """Leave out what older versions wrote into every spec, whether the run read it or not.

    These are options that nothing in the spec reads and that have a default or a value of a profile or network.
    Everything else stays, to be refused by `read_spec` if nothing reads it.

    Args:
        table: A whole spec.
        place: Where it comes from, for the note.
    """
    readers = readers_of(table)
    if readers is None:
        return table
    read, by_place = read_places(readers), readers_by_place()
    if not any(reader.name == "brute-force" for reader in readers):
        # written into every spec of the profile "release", and now an option of other strategies with other values
        learner = table.get("learner")
        old = isinstance(learner, Mapping) and learner.get("first_task") == "as-second"
        read -= {("learner", "first_task")} if old else set()
    usual = preset_values()
    kept: Table = {}
    for section, values in table.items():
        if not isinstance(values, Mapping) or section == "benchmark":
            kept[section] = values
            continue
        kept[section] = {
            key: value
            for key, value in values.items()
            if (section, key) in read
            or value not in [*usual.get((section, key), ()), *_defaults(by_place.get((section, key), ()), section, key)]
        }
    dropped = [section for section, values in kept.items() if values == {} and table[section]]
    changed = [section for section in table if kept[section] != table[section]]
    if changed:
        logger.warning(
            "%s: older versions wrote options that the run does not read; they are left out (%s)",
            place,
            ", ".join(changed),
        )
    return {section: values for section, values in kept.items() if section not in dropped}


def _defaults(readers: Sequence[Any], section: str, key: str) -> list[Any]:
    """Defaults of an option, by its readers, or of a choice of the learner."""
    choices = {("learner", "mechanism"): "hps", ("learner", "strategy"): "fixed"}
    found = [reader.defaults().get((section, key)) for reader in readers]
    return [choices[section, key]] if (section, key) in choices else [value for value in found if value is not None]


def explain(target: str, settings: Sequence[str] = ()) -> list[tuple[str, Any, str]]:
    """Return the options of an experiment with what sets each of them: (key, value, file or other source).

    Args:
        target: A preset or a TOML file.
        settings: Settings over it.

    Raises:
        SpecError: Something in it is unknown, missing or impossible.
    """
    preset, above = _read_target(target, settings, ())
    composed = compose(preset, above)
    spec = read_spec(_laid(composed, above), place=target)
    sources = {place: layer.source for layer in composed.layers for place in _places(layer.table)}
    sources |= dict.fromkeys(_places(above), "set over the preset")
    return [
        (".".join(filter(None, place)), value, sources.get(place, "default"))
        for place, value in _places(spec.table()).items()
        if place != ("", "small")
    ]


def _places(table: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    """Values of a table by section and key; the section is empty for what stands above the sections."""
    return {
        place: value
        for section, values in table.items()
        for place, value in (
            {(section, key): value for key, value in values.items()}
            if isinstance(values, Mapping)
            else {("", section): values}
        ).items()
    }
