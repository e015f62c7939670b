"""The files that presets are composed of, and the names that they make."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from lasem.configurations import static_names
from lasem.errors import nearest
from lasem.nn import find_network
from lasem.options import Table

AXES = ("profiles", "benchmarks", "networks", "learners", "sizes")
ABOUT = ("summary", "static", "short", "networks", "partitions", "on", "over", "pretrained")
"""Keys of a file that describe it; all others are sections of a spec, or `when`."""
HEADING = ("name", "profile", "plugins", "small")
"""Keys of a spec that stand above its sections."""


@dataclass(frozen=True)
class Entry:
    """A name that can be used, with a line about it."""

    name: str
    summary: str


@cache
def files(axis: str) -> Mapping[str, Table]:
    """Return all files of an axis, such as "learners", by their names without ".toml"."""
    folder = resources.files("lasem.presets") / axis
    found = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".toml")),
        key=lambda file: file.name.removesuffix(".toml"),
    )
    return {file.name.removesuffix(".toml"): tomllib.loads(file.read_text(encoding="utf-8")) for file in found}


def suggest_key(key: str, known: Iterable[str]) -> str:
    """Suggest what was meant by a key of a spec: an option that is missing its section, or else a known key.

    >>> suggest_key("epochs", ["training"])
    "did you mean 'training.epochs'?"
    """
    found = _places(key)
    return f"did you mean {' or '.join(map(repr, found))}?" if found else nearest(key, known)


def is_option(key: str) -> bool:
    """Return whether some preset has an option of a name in one of its sections."""
    return bool(_places(key))


@cache
def option_keys() -> tuple[str, ...]:
    """Return the keys of all options that some preset sets, such as "training.epochs", in order."""
    tables = [table for axis in AXES[:-1] for table in files(axis).values()]
    tables += [table for file in tables for table in file.get("when", {}).values()]
    sections = [(section, values) for table in tables for section, values in table.items() if isinstance(values, dict)]
    return tuple(
        sorted({f"{name}.{key}" for name, values in sections if name not in (*ABOUT, "when") for key in values})
    )


def _places(key: str) -> list[str]:
    """Where presets have an option of a name, such as "training.epochs" for "epochs"."""
    return [place for place in option_keys() if place.partition(".")[2] == key]


def benchmark_entries() -> list[Entry]:
    """Return the benchmarks that presets are made of."""
    return [Entry(name, table["summary"]) for name, table in files("benchmarks").items()]


def kinds_of_presets(axis: str) -> set[str]:
    """Return the kinds of an axis, "benchmark" or "learner", that some preset is made of."""
    return {table[axis]["kind"] for table in files(f"{axis}s").values()}


def learner_entries(layers: int | None = None, *, pretrained: bool = False) -> list[Entry]:
    """Return the learners for a network, static configurations included.

    Args:
        layers: Number of its layers; None for the deepest network that a benchmark has by default.
        pretrained: Whether to include the learners that only pretrained networks have.
    """
    layers = layers or max(_depth(table) for table in files("benchmarks").values())
    names = [name for name, file in files("learners").items() if pretrained or not file.get("pretrained")]
    return [entry for name in names for entry in _with_static(name, layers)]


def preset_entries() -> list[Entry]:
    """Return all full presets. Each of them has a small variant, which is called as it is with "/small" behind."""
    entries: list[Entry] = []
    for benchmark, table in files("benchmarks").items():
        entries += [Entry(f"{benchmark}/{entry.name}", entry.summary) for entry in learners_of(table)]
        for name in table.get("networks", ()):
            network = files("networks")[name]
            entries += [Entry(f"{benchmark}/{name}/{one.name}", one.summary) for one in learners_of(network, layers=0)]
    return entries


def learners_of(table: Table, *, layers: int | None = None) -> list[Entry]:
    """Return the learners that go with the network of a benchmark's or a network's file.

    Args:
        table: The file.
        layers: Number of layers for which static configurations are listed; None for those of the network.
    """
    excluded = find_network(table["network"]).excludes
    layers = _depth(table) if layers is None else layers
    entries: list[Entry] = []
    for name, file in files("learners").items():
        if not suits(file, table):
            continue
        if {file["learner"].get("mechanism"), file["learner"]["kind"]}.isdisjoint(excluded):
            entries += _with_static(name, layers)
            if searches(file):
                groups = table.get("partitions", {}).items()
                entries += [Entry(f"{name}-{key}", f"{name} over groups of layers, {text}") for key, text in groups]
    return entries


def suits(learner: Mapping[str, Any], table: Mapping[str, Any]) -> bool:
    """Whether a learner's file goes with the network of a benchmark's or a network's file as to its weights."""
    return not learner.get("pretrained") or "weights" in table["network"]


def _with_static(learner: str, layers: int) -> Iterator[Entry]:
    """A learner and its variants with a static configuration."""
    file = files("learners")[learner]
    yield Entry(learner, file["summary"])
    if file.get("static"):
        for text in static_names(layers) if layers else ():
            if text not in ("all", "none"):
                yield Entry(f"{learner}-{text}", f"{learner} with the static configuration {text}")


def _depth(table: Table) -> int:
    """Number of stages of the network that a file names."""
    return len(find_network(table["network"]).layers)


def searches(file: Mapping[str, Any]) -> bool:
    """Whether the learner of a file chooses among configurations."""
    return file["learner"].get("strategy", "fixed") != "fixed"
