"""Composing a preset: partial specs are laid over each other, and later ones win.

The name of a preset chooses a file of every axis: `<benchmark>/<learner>`, `<benchmark>/<network>/<learner>`, and
`.../small` for a variant that takes minutes. The files are laid over each other in the order of `compose`.
In a file, `[when.X.section]` is laid over the rest of the file if X is the profile, the mechanism, the strategy or the
kind of learner of the experiment, and in the file of a network `[on.X.section]` if X is the benchmark.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lasem.configurations import Partition
from lasem.errors import LasemError, SpecError, alternatives, nearest
from lasem.nn import find_network
from lasem.options import Table, merge, parse_assignment
from lasem.presets._catalogue import (
    ABOUT,
    HEADING,
    files,
    is_option,
    learners_of,
    preset_entries,
    searches,
    suggest_key,
    suits,
)
from lasem.search import list_candidates


@dataclass(frozen=True)
class Layer:
    """A partial spec of a preset.

    Attributes:
        source: What it comes from: a file of the folder of presets, or a part of the preset's name.
        table: Sections of a spec, not all of them.
        small: Whether only the small variant has it.
    """

    source: str
    table: Table
    small: bool = False


@dataclass(frozen=True)
class Composed:
    """A preset: its layers, of which later ones win.

    Attributes:
        layers: All layers, the most general one first.
        small: Whether it is the small variant of another preset.
    """

    layers: tuple[Layer, ...]
    small: bool = False

    @property
    def table(self) -> Table:
        """All layers in one table."""
        return merge(*(layer.table for layer in self.layers))

    def changes(self, spec: Mapping[str, Any]) -> list[str]:
        """Tell what a small variant changes in the full preset, one setting per line, with both values.

        Args:
            spec: Table of the experiment, with all that was set over the preset.
        """
        full = merge(*(layer.table for layer in self.layers if not layer.small))
        lowered = merge(*(layer.table for layer in self.layers if layer.small))
        places = [(section, key) for section, values in lowered.items() if isinstance(values, dict) for key in values]
        found: list[str] = []
        for section, key in places:
            values = spec.get(section)
            now = values.get(key) if isinstance(values, Mapping) else None
            before = full.get(section, {}).get(key)
            if now not in (None, before) and (section, key) != ("benchmark", "name"):
                was = "the default" if before is None else repr(before)
                found.append(f"{section}.{key} is {now!r} instead of {was}")
        return found


def compose(preset: str | None, above: Mapping[str, Any]) -> Composed:
    """Compose a preset.

    Args:
        preset: Name of the preset; None for the profile alone, which a spec without a preset is laid over.
        above: What will be set over it, which decides the profile and may choose another mechanism or benchmark.

    Raises:
        SpecError: There is no such preset or profile.
    """
    profile = above.get("profile", "paper")
    if not isinstance(profile, str) or profile not in files("profiles"):
        raise SpecError(f"profile must be {alternatives(files('profiles'))} (got {profile!r}); set it to one of these")
    layers = [
        Layer(f"profiles/{name}.toml", {"profile": name} | files("profiles")[name]) for name in _profiles(profile)
    ]
    if preset is None:
        return Composed(tuple(_chosen(layers, above)))
    name, _, variant = preset.rpartition("/")
    small = variant == "small" and "/" in name
    benchmark, network, learner = _axes(name if small else preset)
    file = files("benchmarks")[benchmark]
    layers += [
        Layer("the name of the preset", {"name": preset if not small else name, "benchmark": {"name": benchmark}}),
        Layer(f"benchmarks/{benchmark}.toml", file),
    ]
    if network:
        layers.append(Layer(f"networks/{network}.toml", files("networks")[network]))
        layers += [
            Layer(f"networks/{network}.toml, on.{name}", table)
            for name, table in files("networks")[network].get("on", {}).items()
            if name == benchmark
        ]
    layers += _learner(learner, files("networks")[network] if network else file)
    if small or file.get("short"):
        layers.append(Layer("sizes/short.toml", files("sizes")["short"], small=not file.get("short")))
    if small:
        layers += _small(benchmark, network, merge(*(layer.table for layer in layers), above))
        named = {"name": preset, "benchmark": {"name": f"{benchmark}/small"}}
        layers.append(Layer("the name of the preset", named, small=True))
    return _with_benchmark(Composed(tuple(_chosen(layers, above)), small=small), above)


def _profiles(name: str) -> list[str]:
    """A profile after the one that it is laid over, if any."""
    below = files("profiles")[name].get("over")
    return [*(_profiles(below) if below else ()), name]


def _axes(preset: str) -> tuple[str, str | None, str]:
    """The benchmark, the network if one is named, and the learner of a preset's name."""
    benchmark, slash, rest = preset.partition("/")
    network, _, learner = rest.rpartition("/")
    if not slash or benchmark not in files("benchmarks"):
        known = files("benchmarks") if slash else [entry.name for entry in preset_entries()]
        raise SpecError(
            f"a preset must be called <benchmark>/<learner> (got {preset!r}); {nearest(benchmark, known)}"
            f"{'' if slash else ' (lasem list names all)'}; the name of a file must end in .toml"
        )
    offered = files("benchmarks")[benchmark].get("networks", [])
    if network and network not in offered:
        raise SpecError(
            "a preset must be called <benchmark>/<learner> or <benchmark>/<network>/<learner>"
            f" (got network {network!r} of {benchmark!r});"
            f" {nearest(network, offered) if offered else 'this benchmark has one network only, leave it out'}"
        )
    return benchmark, network or None, learner


def _learner(name: str, place: Mapping[str, Any]) -> Iterator[Layer]:
    """The layers of a learner: its file, and what a variant of its name says.

    Args:
        name: Such as "hps", "hps-top-2" or "lasem-hps-groups".
        place: The file of the network, or of the benchmark if none is named.
    """
    partitions = place.get("partitions", {})
    for base, file in sorted(files("learners").items(), key=lambda item: -len(item[0])):
        variant = name.removeprefix(base).removeprefix("-")
        groups, static = searches(file) and variant in partitions, file.get("static") and variant
        if not suits(file, place):
            continue
        if name == base or (name == f"{base}-{variant}" and (groups or static)):
            yield Layer(f"learners/{base}.toml", merge({"learner": {"name": name}}, file))
            if groups:
                yield Layer("the name of the preset", {"search": {"partition": partitions[variant]}})
            elif variant:
                yield Layer("the name of the preset", {"learner": {"configuration": variant}})
            return
    known = [entry.name for entry in learners_of(dict(place))]
    if name in files("learners"):
        raise SpecError(
            f"a preset with the learner {name!r} must name a network that comes with weights (got none);"
            " write for example pacs/efficientnet-lite0/" + name
        )
    raise SpecError(f"a preset must be called <benchmark>/<learner> (got learner {name!r}); {nearest(name, known)}")


def _small(benchmark: str, network: str | None, table: Mapping[str, Any]) -> Iterator[Layer]:
    """The layers that make a preset small, and smaller if every candidate is trained in turn."""
    axes = [axis for axis in (benchmark, network) if axis]
    for axis in axes:
        yield Layer(f"sizes/{axis}.toml", files("sizes")[axis], small=True)
    learner = table.get("learner")
    if isinstance(learner, Mapping) and learner.get("strategy") == "brute-force":
        number = _candidates(table)
        for entry in (entry for axis in axes for entry in files("sizes")["brute-force"].get(axis, ())):
            if number >= entry["candidates"]:
                sections = {key: value for key, value in entry.items() if key != "candidates"}
                yield Layer(f"sizes/brute-force.toml, {entry['candidates']} candidates", sections, small=True)


def _candidates(table: Mapping[str, Any]) -> int:
    """Number of configurations that an experiment searches; 0 if it is not clear from a spec that has faults."""
    search, network = table.get("search"), table.get("network")
    try:
        options = search if isinstance(search, Mapping) else {}
        found = find_network(network) if isinstance(network, Mapping) else None
        branches = found.branches if found else 2
        groups = len(found.layers) if found else 0
        if "partition" in options:
            groups = Partition.parse(options["partition"]).num_groups
        listed = list_candidates(options.get("candidates"), groups=groups, branches=branches)
        return len(listed) if listed is not None else branches**groups if groups else 0
    except (LasemError, LookupError, TypeError):
        return 0


def _chosen(layers: list[Layer], above: Mapping[str, Any]) -> Iterator[Layer]:
    """Leave of each file its sections, and of its `when` what is chosen by all layers and what is set above."""
    whole = merge(*(layer.table for layer in layers), above)
    learner = whole.get("learner")
    choices = learner if isinstance(learner, Mapping) else {}
    named = [choices.get(key) for key in ("kind", "mechanism", "strategy")]
    chosen = {*_profiles(whole["profile"]), *(name for name in named if isinstance(name, str))}
    for layer in layers:
        sections = {key: value for key, value in layer.table.items() if key not in (*ABOUT, "when")}
        yield Layer(layer.source, sections, layer.small)
        for name, table in layer.table.get("when", {}).items():
            if name in chosen:
                yield Layer(f"{layer.source}, when.{name}", table, layer.small)


def _with_benchmark(composed: Composed, above: Mapping[str, Any]) -> Composed:
    """Leave out the benchmark of a preset if one of another kind is set above: its options are not for that."""
    given = above.get("benchmark")
    kind = given.get("kind") if isinstance(given, Mapping) else None
    if not isinstance(kind, str) or kind == composed.table["benchmark"]["kind"]:
        return composed
    if composed.small:
        raise SpecError(
            f"a small variant must have the preset's own benchmark (got benchmark.kind = {kind!r} for"
            f" {composed.table['name']}); leave out /small, or the kind"
        )
    without = [
        Layer(layer.source, {key: value for key, value in layer.table.items() if key != "benchmark"})
        for layer in composed.layers
    ]
    return Composed((*without, Layer("the kind that is set", {"benchmark": {"name": kind, "kind": kind}})))


def check_names(targets: Iterable[str], settings: Iterable[str]) -> None:
    """Check names of presets and keys of settings as far as the files of presets tell, which needs no torch.

    Args:
        targets: Presets; files ending in ".toml" are left out.
        settings: Such as "training.epochs=20".

    Raises:
        SpecError: There is no such preset, or a setting names an option without its section.
    """
    for target in targets:
        if not target.endswith(".toml"):
            name = target.removesuffix("/small") if target.count("/") > 1 else target
            benchmark, network, learner = _axes(name)
            list(_learner(learner, files("networks")[network] if network else files("benchmarks")[benchmark]))
    for key, value in merge(*map(parse_assignment, settings)).items():
        if key not in HEADING and not isinstance(value, Mapping) and is_option(key):
            raise SpecError(f"{key} is no section of a spec; {suggest_key(key, HEADING)}")


def preset_values() -> dict[tuple[str, str], list[Any]]:
    """Return the values that profiles and networks give to options, by section and key."""
    found: dict[tuple[str, str], list[Any]] = {}
    whole = (*files("profiles").values(), *files("networks").values())
    for file in (part for one in whole for part in (one, *one.get("when", {}).values())):
        for section, values in file.items():
            for key, value in values.items() if isinstance(values, dict) else ():
                found.setdefault((section, key), []).append(value)
    return found
