"""The option --plugin, which several commands have."""

from typing import Annotated

import typer

Plugins = Annotated[
    list[str] | None,
    typer.Option("--plugin", metavar="MODULE", help="Import a module that adds learners, networks or benchmarks."),
]
"""Modules that add to the registries, in the order in which they are named."""
