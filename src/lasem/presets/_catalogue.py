"""What presets are made of: the files that come with lasem, and their listings."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from lasem.configurations import static_names
from lasem.errors import SpecError, nearest
from lasem.nn import NETWORKS
from lasem.specs import Table, merge


@dataclass(frozen=True)
class Entry:
    """A line of a listing."""

    name: str
    summary: str


@cache
def preset_file(name: str) -> Table:
    """A file of presets, by its name below their folder."""
    return tomllib.loads((resources.files("lasem.presets") / name).read_text(encoding="utf-8"))


@cache
def benchmark_tables() -> dict[str, Table]:
    """Every benchmark's file, by its name."""
    folder = resources.files("lasem.presets") / "benchmarks"
    names = sorted(file.name for file in folder.iterdir() if file.name.endswith(".toml"))
    return {name.removesuffix(".toml"): preset_file(f"benchmarks/{name}") for name in names}


def benchmark_entries() -> list[Entry]:
    """The benchmarks that presets are made of."""
    return [Entry(name, table["summary"]) for name, table in benchmark_tables().items()]


def learner_entries(layers: int | None = None) -> list[Entry]:
    """The learners for a network of so many layers, static configurations included.

    Args:
        layers: Those of the deepest network that a benchmark comes with, by default.
    """
    layers = layers or max(_depth(table) for table in benchmark_tables().values())
    return [entry for name in preset_file("learners.toml") for entry in (*_plain(name), *_static(name, layers))]


def preset_entries() -> list[Entry]:
    """Every full preset, a line each; `/small` behind a name makes its small variant."""
    entries: list[Entry] = []
    for benchmark, table in benchmark_tables().items():
        entries += [Entry(f"{benchmark}/{entry.name}", entry.summary) for entry in learners_of(table)]
        for network in table.get("networks", ()):
            further = learners_of(with_network(benchmark, network), static=False)
            entries += [Entry(f"{benchmark}/{network}/{entry.name}", entry.summary) for entry in further]
    return entries


def learners_of(table: Table, *, static: bool = True) -> list[Entry]:
    """The learners for a benchmark's network; a deep one has many static configurations, which may go unlisted."""
    excluded = NETWORKS[table["network"]["name"]].excludes
    entries: list[Entry] = []
    for name, entry in preset_file("learners.toml").items():
        if not {entry["learner"].get("mechanism"), entry["learner"]["kind"]}.isdisjoint(excluded):
            continue
        entries += [*_plain(name), *(_static(name, _depth(table)) if static else [])]
        if searches(entry):
            named = table.get("partitions", {}).items()
            entries += [Entry(f"{name}-{key}", f"{name} over groups of layers, {text}") for key, text in named]
    return entries


def _plain(learner: str) -> list[Entry]:
    return [Entry(learner, preset_file("learners.toml")[learner]["summary"])]


def _static(learner: str, layers: int) -> list[Entry]:
    """The variants of a learner with a static configuration."""
    if not preset_file("learners.toml")[learner].get("static"):
        return []
    partial = [text for text in static_names(layers) if text not in ("all", "none")]
    return [Entry(f"{learner}-{text}", f"{learner} with the static configuration {text}") for text in partial]


def _depth(table: Table) -> int:
    """Stages of a benchmark's network."""
    return len(NETWORKS[table["network"]["name"]].layers)


def with_network(benchmark: str, network: str) -> Table:
    """The table of a benchmark with one of its further networks; of its partitions the first is the default."""
    table = benchmark_tables()[benchmark]
    known = table.get("networks", [])
    if network not in known:
        raise SpecError(
            f"a preset is called <benchmark>/<learner> or <benchmark>/<network>/<learner> - got network {network!r} of"
            f" {benchmark!r} - {nearest(network, known) if known else 'it comes with one network only, leave that out'}"
        )
    below = {key: value for key, value in table.items() if key != "partitions"}
    changes = preset_file("networks.toml")[network]
    first = [{"search": {"partition": text}} for text in changes.get("partitions", {}).values()]
    return merge(below, {"network": {"name": network}}, *first[:1], changes)


def searches(entry: Table) -> bool:
    """Whether a learner chooses of configurations."""
    return entry["learner"].get("strategy", "fixed") != "fixed"
