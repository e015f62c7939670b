"""`lasem list`: what can be named, and what a preset is made of."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lasem.cli._completion import complete_names, complete_targets
from lasem.cli._options import Plugins
from lasem.errors import SpecError, nearest

if TYPE_CHECKING:
    from lasem.registry import Registry

PARTS = ("benchmarks", "networks", "learners", "mechanisms", "strategies", "presets")


def list_command(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[WORD...]",
            help="Only names that contain all words, such as digits.",
            autocompletion=complete_names,
        ),
    ] = None,
    benchmarks: Annotated[bool, typer.Option("--benchmarks", help="Only benchmarks.")] = False,
    networks: Annotated[bool, typer.Option("--networks", help="Only networks.")] = False,
    learners: Annotated[
        bool, typer.Option("--learners", help="Only learners, static configurations included.")
    ] = False,
    mechanisms: Annotated[bool, typer.Option("--mechanisms", help="Only mechanisms.")] = False,
    strategies: Annotated[bool, typer.Option("--strategies", help="Only strategies.")] = False,
    presets: Annotated[bool, typer.Option("--presets", help="Only presets, all of them.")] = False,
    explain: Annotated[
        str | None,
        typer.Option(
            metavar="PRESET",
            help="Print a preset with the file that sets each option.",
            autocompletion=complete_targets,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
    plugins: Plugins = None,
) -> None:
    """List benchmarks, networks, learners and presets.

    With --explain, print the file that each option of a preset comes from.
    """
    from lasem.registry import load_plugins

    load_plugins(plugins or ())
    if explain is not None:
        _print_explained(explain)
        return
    wanted = dict(zip(PARTS, (benchmarks, networks, learners, mechanisms, strategies, presets), strict=True))
    chosen = [part for part, flag in wanted.items() if flag]
    parts = {part: found for part, found in _all_parts().items() if not chosen or part in chosen}
    found = {part: _matching(entries, words or ()) for part, entries in parts.items()}
    if words and not any(found.values()):
        names = [name for entries in parts.values() for name in entries]
        remedy = f"write --{words[0]} to list them" if words[0] in PARTS else nearest(words[0], names)
        raise SpecError(f"a word must be in the name of something (got {' '.join(words)!r}); {remedy}")
    if as_json:
        typer.echo(json.dumps(found, indent=1))
    else:
        _print(found, whole=bool(words or chosen))


def _all_parts() -> dict[str, dict[str, str]]:
    """Everything that can be named, by kind: names with a line about each."""
    from lasem.benchmarks import BENCHMARKS
    from lasem.learners import LEARNERS
    from lasem.nn import LIBRARY_NAMES, MECHANISMS, NETWORKS
    from lasem.presets import benchmark_entries, kinds_of_presets, learner_entries, preset_entries
    from lasem.search import STRATEGIES

    other = {
        axis: _summaries(registry, [name for name in registry if name not in kinds_of_presets(axis)])
        for axis, registry in {"benchmark": BENCHMARKS, "learner": LEARNERS}.items()
    }
    return {
        "benchmarks": {entry.name: entry.summary for entry in benchmark_entries()} | other["benchmark"],
        "networks": _summaries(NETWORKS) | LIBRARY_NAMES,
        "learners": {entry.name: entry.summary for entry in learner_entries(pretrained=True)} | other["learner"],
        "mechanisms": _summaries(MECHANISMS),
        "strategies": _summaries(STRATEGIES),
        "presets": {entry.name: entry.summary for entry in preset_entries()},
    }


def _matching(entries: Mapping[str, str], words: Sequence[str]) -> dict[str, str]:
    """Entries whose names contain all words."""
    return {name: summary for name, summary in entries.items() if all(word in name for word in words)}


def _summaries(registry: "Registry[Any]", names: Iterable[str] | None = None) -> dict[str, str]:
    """A line about each of some entries of a registry, or of all; of a broken one, why it cannot be used."""
    found: dict[str, str] = {}
    for name in registry if names is None else names:
        try:
            found[name] = registry.summary(name)
        except SpecError as error:
            found[name] = f"cannot be used: {error}"
    return found


def _print(parts: Mapping[str, Mapping[str, str]], *, whole: bool) -> None:
    """Print names with their summaries; without words and flags, learners and presets in short."""
    for title, entries in parts.items():
        if entries:
            typer.secho(title, bold=True)
        if title == "presets" and not whole:
            _print_groups(list(entries))
            continue
        short = title == "learners" and not whole
        shown = {name: text for name, text in entries.items() if not (short and "static configuration" in text)}
        width = max(map(len, shown), default=0)
        for name, summary in shown.items():
            typer.echo(f"  {name:{width}}  {summary}")
        if len(shown) < len(entries):
            typer.echo(f"  ... and {len(entries) - len(shown)} with a static configuration: lasem list --learners")
    if parts.get("presets"):
        typer.echo("Every preset has a small variant that takes minutes: the same name with /small behind it.")


def _print_groups(presets: Sequence[str]) -> None:
    """Print how many presets each benchmark has, and how to list them."""
    groups: dict[str, int] = {}
    for name in presets:
        place = name.rpartition("/")[0]
        groups[place] = groups.get(place, 0) + 1
    width = max(map(len, groups))
    for place, number in groups.items():
        typer.echo(f"  {place + '/<learner>':{width + 10}}  {number} presets: lasem list {place}/")


def _print_explained(preset: str) -> None:
    """Print all options of a preset, each with what sets it."""
    from lasem.runs import explain

    rows = [(f"{key} = {json.dumps(value)}", source) for key, value, source in explain(preset)]
    width = min(60, max(len(text) for text, _ in rows))
    for text, source in rows:
        typer.echo(f"{text:{width}}  {source}")
