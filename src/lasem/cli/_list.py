"""`lasem list`."""

import json
from typing import Annotated

import typer


def list_command(
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Name the benchmarks, networks, learners and presets."""
    from lasem.nn import NETWORKS
    from lasem.presets import benchmark_entries, learner_entries, preset_entries

    learners = {entry.name: entry.summary for entry in learner_entries()}
    parts = {
        "benchmarks": {entry.name: entry.summary for entry in benchmark_entries()},
        "networks": {name: network.summary for name, network in NETWORKS.items()},
        "learners": learners,
        "presets": {entry.name: entry.summary for entry in preset_entries()},
    }
    if as_json:
        typer.echo(json.dumps(parts, indent=1))
        return
    for title, entries in parts.items():
        typer.secho(f"{title}", bold=True)
        width = max(map(len, entries))
        for name, summary in entries.items():
            typer.echo(f"  {name:{width}}  {summary}")
