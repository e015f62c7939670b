"""Reading a spec: every section is checked by what reads it, and all faults are told together."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from lasem.benchmarks import BENCHMARKS
from lasem.errors import SpecError, nearest
from lasem.learners import LEARNERS
from lasem.nn import MECHANISMS, NETWORKS
from lasem.options import Table, merge, options, validate
from lasem.presets import HEADING, suggest_key
from lasem.registry import Registry, load_plugins
from lasem.runs._build import strategy_on
from lasem.runs._evaluation import Evaluation
from lasem.runs._readers import LIBRARY_NETWORK, RETENTION, Reader, described, reader_of, readers_by_place, with_digest
from lasem.runs._spec import Choice, Heading, Seeds, Spec, TrainingSection
from lasem.search import STRATEGIES

Made = TypeVar("Made")
ALWAYS = (
    Reader("training", "", TrainingSection, "training"),
    Reader("evaluation", "", Evaluation, "evaluation"),
    Reader("seeds", "", Seeds, "seeds"),
)
"""Sections that every run reads, whatever its learner."""


@options(kw_only=True)
class NamedNetwork:
    """Which network: keys of [network]."""

    name: str


@options(kw_only=True)
class NamedBenchmark:
    """Which stream: keys of [benchmark] that are no options of the benchmark."""

    name: str
    kind: str


@options(kw_only=True)
class NamedLearner:
    """Which learner: keys of [learner] that are no options of it."""

    name: str
    kind: str = "selective"
    mechanism: str = "hps"
    strategy: str = "fixed"


class Faults(list[str]):
    """Faults that are found one after another, to be told together."""

    def attempt(self, make: Callable[[], Made]) -> Made | None:
        """Make something, or note why it cannot be made."""
        try:
            return make()
        except SpecError as error:
            self.extend(text for text in str(error).split("\n  ") if text not in self)
            return None


def read_spec(table: Mapping[str, Any], *, place: str) -> Spec:
    """Make a spec of a table, and import the plugins that it names.

    Args:
        table: The whole spec as plain data.
        place: Where it comes from, for messages.

    Raises:
        SpecError: Names are unknown, keys are missing or not read, or values break a rule; all faults together.
    """
    faults = Faults()
    table = _without_none(table)
    faults.attempt(lambda: _require_plain(table))
    heading = faults.attempt(lambda: validate(Heading, {k: table[k] for k in HEADING if k in table}, section=""))
    faults.attempt(lambda: load_plugins(heading.plugins if heading else ()))
    sections = dict(_sections(table, faults))
    names = _names(sections, faults)
    known = len(faults)
    readers = (*(_readers(names, faults, sections) if names else ()), *ALWAYS)
    if names and len(faults) == known:
        faults.extend(_unread(sections, readers, names[2]))
    else:  # who reads the sections is not clear, but some options are read by nobody
        faults.extend(_unknown(sections))
    whole = [section for section in table if section not in sections]  # told already: no table
    made = [
        None if reader.section in whole else faults.attempt(lambda reader=reader: reader.build(sections))
        for reader in readers
    ]
    by_kind: dict[str, Any] = {reader.kind: one for reader, one in zip(readers, made, strict=True)}
    if faults or names is None or heading is None:
        network, strategy = by_kind.get("network", names and NETWORKS.get(names[1].name)), by_kind.get("strategy")
        if network and strategy:  # told here too, so that all faults come together
            layers, branches = len(network.layers), network.branches
            faults.attempt(lambda: strategy_on(network, strategy).space(layers, branches=branches))
        raise SpecError(f"{place}: " + "\n  ".join(faults))
    benchmark, network, learner = names
    layers = with_digest(by_kind.get("network") or NETWORKS[network.name], sections)
    return Spec(
        heading=heading,
        benchmark=Choice(benchmark.kind, by_kind["benchmark"], benchmark.name),
        network=Choice(network.name, layers, network.name),
        learner=Choice(learner.kind, by_kind["learner"], learner.name),
        mechanism=Choice(learner.mechanism, by_kind.get("mechanism") or MECHANISMS["hps"]()),
        strategy=Choice(learner.strategy, by_kind.get("strategy") or STRATEGIES["fixed"]()),
        training=by_kind["training"],
        evaluation=by_kind["evaluation"],
        seeds=by_kind["seeds"],
        retention=by_kind.get("retention"),
        readers=readers,
        sections=dict(_written(sections, readers, learner)),
    )


def _without_none(table: Mapping[str, Any]) -> Table:
    """Leave out keys that are None, in inner tables too: TOML has no None."""
    return {
        key: _without_none(value) if isinstance(value, Mapping) else value
        for key, value in table.items()
        if value is not None
    }


def _require_plain(table: Mapping[str, Any]) -> None:
    """Refuse what TOML has and a spec has not: dates, times, and endless nesting.

    Raises:
        SpecError: There is such a value.
    """
    try:
        json.dumps(table)
    except (TypeError, RecursionError) as error:
        raise SpecError(
            "a spec must be made of text, numbers, true, false, lists and a few levels of tables"
            f" (got something else: {error}); put dates and times in quotes"
        ) from None


def _sections(table: Mapping[str, Any], faults: Faults) -> Iterator[tuple[str, Table]]:
    """The sections of a spec that can be read: tables with a known name."""
    known = known_sections()
    for key, value in table.items():
        if key in HEADING:
            continue
        if key not in known:
            faults.append(f"{key} is no section of a spec; {suggest_key(key, [*HEADING, *known])}")
        elif isinstance(value, Mapping):
            yield key, dict(value)
        else:
            faults.append(f"{key} must be a section (got {value!r}); write its keys below [{key}]")


def known_sections() -> list[str]:
    """Names of all sections that a spec can have."""
    always = ["network", "learner", *(reader.section for reader in ALWAYS)]
    return list(dict.fromkeys([*always, *(section for section, _ in readers_by_place())]))


def _names(sections: Mapping[str, Table], faults: Faults) -> tuple[NamedBenchmark, NamedNetwork, NamedLearner] | None:
    """What a spec names in the registries; None if a key is missing."""
    found = [
        faults.attempt(lambda cls=cls, name=name: Reader("run", "", cls, name).build(sections))
        for cls, name in ((NamedBenchmark, "benchmark"), (NamedNetwork, "network"), (NamedLearner, "learner"))
    ]
    benchmark, network, learner = found
    return None if benchmark is None or network is None or learner is None else (benchmark, network, learner)


def _readers(
    names: tuple[NamedBenchmark, NamedNetwork, NamedLearner], faults: Faults, sections: Mapping[str, Table]
) -> list[Reader]:
    """Who reads the sections, in their order; those with an unknown name are left out."""
    benchmark, network, learner = names
    found: list[Reader] = []

    def find(key: str, registry: Registry[Any], name: str) -> None:
        try:
            found.append(reader_of(registry, name))
        except SpecError as error:
            faults.append(f"{key}: {error}")

    if ":" in network.name:
        found.append(LIBRARY_NETWORK)
    else:
        try:
            NETWORKS[network.name]
        except SpecError as error:
            faults.append(f"network.name: {error}")
    find("benchmark.kind", BENCHMARKS, benchmark.kind)
    find("learner.kind", LEARNERS, learner.kind)
    read = choices_of(found)
    if "mechanism" in read:
        find("learner.mechanism", MECHANISMS, learner.mechanism)
    if "strategy" in read:
        find("learner.strategy", STRATEGIES, learner.strategy)
    if RETENTION.section in sections and any(getattr(reader.cls, "retains", False) for reader in found):
        found.append(RETENTION)
    return found


def readers_of(table: Mapping[str, Any]) -> list[Reader] | None:
    """Return who reads the sections of a spec that may have faults; None if that is not clear."""
    faults = Faults()
    sections = {key: dict(value) for key, value in table.items() if isinstance(value, Mapping)}
    names = _names(sections, faults)
    readers = _readers(names, faults, sections) if names else []
    return None if faults else [*readers, *ALWAYS]


def prune(table: Mapping[str, Any], above: Mapping[str, Any]) -> Table:
    """Leave out of a table the options that are not read once something is laid over it.

    Args:
        table: Sections of a spec.
        above: What will be laid over it, which may choose another learner; if it has faults, nothing is left out.
    """
    readers = readers_of(merge(table, above))
    if readers is None:
        return dict(table)
    read = read_places(readers)
    kept: Table = {}
    for section, values in table.items():
        if section in HEADING:
            kept[section] = values
        elif options := {key: value for key, value in values.items() if (section, key) in read}:
            kept[section] = options
    return kept


def choices_of(readers: Iterable[Reader]) -> tuple[str, ...]:
    """Return what the learner among some readers is combined with: "mechanism", "strategy", both or nothing."""
    return next((reader.cls.reads for reader in readers if reader.kind == "learner"), ())


def read_places(readers: Iterable[Reader]) -> set[tuple[str, str]]:
    """Return sections and keys that are read, names included."""
    readers = list(readers)
    named = {("benchmark", "name"), ("benchmark", "kind"), ("network", "name"), ("learner", "name")}
    choices = {("learner", choice) for choice in ("kind", *choices_of(readers))}
    return named | choices | {place for reader in readers for place in reader.places}


def _unread(sections: Mapping[str, Table], readers: Iterable[Reader], learner: NamedLearner) -> Iterator[str]:
    """Options that are not read, with who would read them."""
    read = read_places(readers)
    wrong = [(section, key) for section, table in sections.items() for key in table if (section, key) not in read]
    by_place = readers_by_place() if wrong else {}
    for section in dict.fromkeys(section for section, _ in wrong):
        keys, here = [key for place, key in wrong if place == section], [key for place, key in read if place == section]
        if not here:
            who = [reader for (place, _), some in by_place.items() if place == section for reader in some]
            got = ", ".join(f"{key} = {sections[section][key]!r}" for key in keys)
            yield _told(f"[{section}]", who, learner, got)
            continue
        for key in keys:
            if who := by_place.get((section, key)):
                yield _told(f"{key} in [{section}]", who, learner, repr(sections[section][key]))
            else:
                yield f"{key} is not an option of [{section}]; {nearest(key, here)}"


def _unknown(sections: Mapping[str, Table]) -> Iterator[str]:
    """Options that nothing in the registries reads."""
    choices = {("learner", "mechanism"), ("learner", "strategy")}
    known = read_places(ALWAYS) | choices | readers_by_place().keys()
    for section, table in sections.items():
        here = [key for place, key in known if place == section]
        for key in (key for key in table if key not in here):
            yield f"{key} is not an option of [{section}]; {nearest(key, here)}"


def _told(place: str, who: list[Reader], learner: NamedLearner, got: str) -> str:
    """The fault of an option that others read."""
    return f"{place} is read by {described(who)}; {learner.name!r} does not read it and must leave it out (got {got})"


def _written(
    sections: Mapping[str, Table], readers: Iterable[Reader], learner: NamedLearner
) -> Iterator[tuple[str, Table]]:
    """The sections as a run writes them: in a fixed order, with defaults, and only what is read."""
    tables: dict[str, Table] = {"benchmark": {}, "network": {}, "learner": {}}
    for section, keys in (("benchmark", ("name", "kind")), ("network", ("name",)), ("learner", ("name",))):
        tables[section] |= {key: sections[section][key] for key in keys}
    tables["learner"] |= {choice: getattr(learner, choice) for choice in ("kind", *choices_of(readers))}
    for reader in readers:
        plain = {} if reader.section in ("benchmark", "mechanism") else reader.defaults()
        for section, key in reader.places:
            given = sections.get(section, {})
            if key in given or (section, key) in plain:
                tables.setdefault(section, {})[key] = given[key] if key in given else plain[section, key]
    yield from tables.items()
