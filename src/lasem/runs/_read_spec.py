"""Reading a spec: every section is checked by what reads it, and all faults are told together."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from lasem.benchmarks import BENCHMARKS
from lasem.errors import SpecError, nearest
from lasem.learners import LEARNERS
from lasem.nn import MECHANISMS, NETWORKS
from lasem.options import Table, options, validate
from lasem.registry import load_plugins
from lasem.runs._loop import Evaluation
from lasem.runs._readers import CHOICES, Reader, described, reader_of, readers_by_place
from lasem.runs._spec import Choice, Heading, Seeds, Spec, TrainingSection
from lasem.search import STRATEGIES

Made = TypeVar("Made")
HEADING = ("name", "profile", "plugins", "small")
ALWAYS = (
    Reader("run", "", TrainingSection, "training"),
    Reader("run", "", Evaluation, "evaluation"),
    Reader("run", "", Seeds, "seeds"),
)
"""What every run reads."""


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
    faults.attempt(lambda: _require_plain(table))
    heading = faults.attempt(lambda: validate(Heading, {k: table[k] for k in HEADING if k in table}, section=""))
    faults.attempt(lambda: load_plugins(heading.plugins if heading else ()))
    sections = dict(_sections(table, faults))
    names = _names(sections, faults)
    readers = None if names is None else _readers(names, faults)
    if names is None or readers is None or heading is None:
        raise SpecError(f"{place}: " + "\n  ".join(faults))
    faults.extend(_unread(sections, readers, names[2]))
    made = [faults.attempt(lambda reader=reader: reader.build(sections)) for reader in readers]
    if faults:
        raise SpecError(f"{place}: " + "\n  ".join(faults))
    by_kind = dict(zip([reader.kind for reader in readers[:-3]], made, strict=False))
    benchmark, network, learner = names
    return Spec(
        heading=heading,
        benchmark=Choice(benchmark.kind, by_kind["benchmark"], benchmark.name),
        network=Choice(network.name, NETWORKS[network.name], network.name),
        learner=Choice(learner.kind, by_kind["learner"], learner.name),
        mechanism=Choice(learner.mechanism, by_kind.get("mechanism") or MECHANISMS["hps"]()),
        strategy=Choice(learner.strategy, by_kind.get("strategy") or STRATEGIES["fixed"]()),
        training=made[-3],
        evaluation=made[-2],
        seeds=made[-1],
        readers=readers,
        sections=dict(_written(sections, readers, learner)),
    )


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
    """The sections of a spec that are tables."""
    for key, value in table.items():
        if key in HEADING:
            continue
        if isinstance(value, Mapping):
            yield key, dict(value)
        elif key in known_sections():
            faults.append(
                f"{key} must be a section (got {value!r}); write its keys below [{key}], or --set {key}.KEY=VALUE"
            )
        else:
            faults.append(f"{key} is no key of a spec; {nearest(key, [*HEADING, *known_sections()])}")


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


def _readers(names: tuple[NamedBenchmark, NamedNetwork, NamedLearner], faults: Faults) -> tuple[Reader, ...] | None:
    """Who reads the sections, in their order; None if a name is unknown."""
    benchmark, network, learner = names

    def find(key: str, find: Callable[[], Made]) -> Made | None:
        try:
            return find()
        except SpecError as error:
            faults.append(f"{key}: {error}")
            return None

    find("network.name", lambda: NETWORKS[network.name])
    found = [
        find("benchmark.kind", lambda: reader_of(BENCHMARKS, benchmark.kind)),
        kind := find("learner.kind", lambda: reader_of(LEARNERS, learner.kind)),
    ]
    read = kind.cls.reads if kind else ()
    if "mechanism" in read:
        found.append(find("learner.mechanism", lambda: reader_of(MECHANISMS, learner.mechanism)))
    if "strategy" in read:
        found.append(find("learner.strategy", lambda: reader_of(STRATEGIES, learner.strategy)))
    readers = tuple(reader for reader in found if reader is not None)
    return (*readers, *ALWAYS) if len(readers) == len(found) else None


def readers_of(table: Mapping[str, Any]) -> tuple[Reader, ...] | None:
    """Return who reads the sections of a spec that may have faults; None if that is not clear."""
    faults = Faults()
    names = _names({key: value for key, value in table.items() if isinstance(value, Mapping)}, faults)
    return None if names is None else _readers(names, faults)


def read_places(readers: tuple[Reader, ...]) -> set[tuple[str, str]]:
    """Return sections and keys that are read by these readers, names included."""
    named = {
        ("benchmark", "name"),
        ("benchmark", "kind"),
        ("network", "name"),
        ("learner", "name"),
        ("learner", "kind"),
    }
    choices = {("learner", choice) for reader in readers if reader.kind == "learner" for choice in reader.cls.reads}
    return named | choices | {place for reader in readers for place in reader.places}


def _unread(sections: Mapping[str, Table], readers: tuple[Reader, ...], learner: NamedLearner) -> Iterator[str]:
    """Options that are not read, with who would read them."""
    read = read_places(readers)
    known: dict[tuple[str, str], list[Reader]] | None = None
    for section, table in sections.items():
        unread = [key for key in table if (section, key) not in read]
        known = readers_by_place() if unread and known is None else known
        others = {key: (known or {}).get((section, key), []) for key in unread}
        here = any(section == place for place, _ in read)
        whole = [reader for (place, _), who in (known or {}).items() if place == section for reader in who]
        if unread and not here and whole:
            got = ", ".join(f"{key} = {table[key]!r}" for key in unread)
            yield (
                f"[{section}] is read by {described(whole)}, and must only be given to what reads it (got {got});"
                f" {learner.name!r} does not read it, leave it out"
            )
        elif unread and not here and not whole:
            yield f"[{section}] is no section of a spec; {nearest(section, known_sections())}"
        for key in unread if here else ():
            if others[key]:
                yield (
                    f"{key} in [{section}] is read by {described(others[key])}, and must only be given to what reads it"
                    f" (got {table[key]!r}); {learner.name!r} does not read it, leave it out"
                )
            else:
                options_here = [option for place, option in read if place == section]
                yield f"{key} is not an option of [{section}]; {nearest(key, options_here)}"


def _written(
    sections: Mapping[str, Table], readers: tuple[Reader, ...], learner: NamedLearner
) -> Iterator[tuple[str, Table]]:
    """The sections as a run writes them: in a fixed order, with defaults, and only what is read."""
    tables: dict[str, Table] = {"benchmark": {}, "network": {}, "learner": {}}
    for section, keys in (("benchmark", ("name", "kind")), ("network", ("name",)), ("learner", ("name",))):
        tables[section] |= {key: sections[section][key] for key in keys}
    tables["learner"] |= {"kind": learner.kind}
    for reader in readers:
        if reader.kind == "learner":
            tables["learner"] |= {choice: getattr(learner, choice) for choice in CHOICES if choice in reader.cls.reads}
        plain = {} if reader.section in ("benchmark", "mechanism") else reader.defaults()
        for section, key in reader.places:
            given = sections.get(section, {})
            if key in given or (section, key) in plain:
                tables.setdefault(section, {})[key] = given[key] if key in given else plain[section, key]
    yield from tables.items()
