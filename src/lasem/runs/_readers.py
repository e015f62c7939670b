"""Who reads which options of a spec: the entries of registries that it names, and where their options stand."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lasem.benchmarks import BENCHMARKS
from lasem.errors import SpecError
from lasem.learners import LEARNERS, RetentionOptions
from lasem.nn import MECHANISMS, AnyNetwork, LibraryNetwork
from lasem.options import Table, defaults, validate
from lasem.registry import Registry
from lasem.search import STRATEGIES

SECTIONS: Mapping[str, str] = {
    "selective": "learner",
    "fixed": "learner",
    "em": "search",
    "brute-force": "search",
    "drawn-em": "search",
}
"""Sections of entries that are not called after the entry, by its name."""
ELSEWHERE: Mapping[str, Mapping[str, str]] = {
    "em": {"first_task": "learner"},
    "darts": {"partition": "search", "first_task": "learner"},
    "brute-force": {"first_task": "learner"},
}
"""Sections of single options that do not stand with the others of their entry."""


@dataclass(frozen=True)
class Reader:
    """A class of options, and where a spec has them.

    Attributes:
        kind: What reads them, such as "learner".
        name: Name of the entry in the registry, such as "ewc"; "" if there is only one.
        cls: The class.
        section: The section that its options stand in.
        elsewhere: Sections of those that stand in another one, by option.
    """

    kind: str
    name: str
    cls: type[Any]
    section: str
    elsewhere: Mapping[str, str] = field(default_factory=dict)

    def place(self, option: str) -> tuple[str, str]:
        """Return the section and the key of an option."""
        return self.elsewhere.get(option, self.section), option

    @property
    def places(self) -> list[tuple[str, str]]:
        """Sections and keys of all options."""
        return [self.place(item.name) for item in dataclasses.fields(self.cls)]

    def defaults(self) -> dict[tuple[str, str], Any]:
        """Return the defaults of all options that have one, by section and key."""
        return {self.place(option): value for option, value in defaults(self.cls).items()}

    def build(self, sections: Mapping[str, Table]) -> Any:  # noqa: ANN401 - an instance of the class
        """Make the options from the sections of a spec.

        Raises:
            SpecError: Options are missing or wrong.
        """
        found = {key: sections[place][key] for place, key in self.places if key in sections.get(place, {})}
        return validate(self.cls, found, section=self.section, elsewhere=self.elsewhere)


def reader_of(registry: Registry[Any], name: str) -> Reader:
    """Return the reader that is an entry of a registry.

    Raises:
        SpecError: There is no such entry, or it cannot be imported.
    """
    entry, section = registry[name], SECTIONS.get(name, name)
    section = registry.kind if registry.kind in ("benchmark", "mechanism") else section
    return Reader(registry.kind, name, entry, section, ELSEWHERE.get(name, {}))


RETENTION = Reader("retention", "laplace", RetentionOptions, "retention")
"""The reader of the section [retention], for learners of the kind "selective" whose spec has the section."""
LIBRARY_NETWORK = Reader("network", "of a library", LibraryNetwork, "network")
"""The reader of [network] where its name is that of a library's network."""


def all_readers() -> Iterator[Reader]:
    """All entries of the registries whose options stand in sections; those that cannot be imported are left out."""
    yield LIBRARY_NETWORK
    for registry in (BENCHMARKS, LEARNERS, MECHANISMS, STRATEGIES):
        for name in registry:
            try:
                yield reader_of(registry, name)
            except SpecError:
                continue
    yield dataclasses.replace(RETENTION, kind="learner", name="selective")  # whose section it is, in words


def readers_by_place() -> dict[tuple[str, str], list[Reader]]:
    """Return who could read an option, by section and key."""
    found: dict[tuple[str, str], list[Reader]] = {}
    for reader in all_readers():
        choices = getattr(reader.cls, "reads", ()) if reader.kind == "learner" else ()
        for place in [*reader.places, *(("learner", choice) for choice in choices)]:
            found.setdefault(place, []).append(reader)
    return found


def described(readers: list[Reader]) -> str:
    """Name readers in words: "the learners ewc and gating"."""
    words: list[str] = []
    for kind in dict.fromkeys(reader.kind for reader in readers):
        names = list(dict.fromkeys(reader.name for reader in readers if reader.kind == kind))
        plural = {"strategy": "strategies"}.get(kind, f"{kind}s") if len(names) > 1 else kind
        listed = ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else names[0]
        words.append(f"the {plural} {listed}")
    return " and ".join(words)


def with_digest(network: AnyNetwork, sections: dict[str, Table]) -> AnyNetwork:
    """Note the SHA-256 of a network's weights in its section, so that a run is continued with the same ones.

    Raises:
        SpecError: The weights cannot be read.
    """
    if not isinstance(network, LibraryNetwork) or not network.weights or network.weights_sha256:
        return network
    digest = network.fingerprint()
    sections["network"]["weights_sha256"] = digest
    return dataclasses.replace(network, weights_sha256=digest)
