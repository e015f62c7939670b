"""What `lasem run --dry-run` prints."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lasem.errors import RunError

if TYPE_CHECKING:
    from lasem.benchmarks import AbstractBenchmark, Outline
    from lasem.preflight import Estimate, Limits
    from lasem.runs import RunOptions
    from lasem.specs import Spec


def print_dry_runs(
    checked: "Sequence[tuple[Spec, AbstractBenchmark]]", options: "RunOptions", limits: "Limits"
) -> None:
    """Check what the specs' own check could not, and print what would be run.

    Args:
        checked: Experiments with one seed, each with its benchmark as the check made it.
        options: Where and how.
        limits: What each may take.

    Raises:
        RunError: Some exceed the limits; told after all are printed.
    """
    short = list(filter(None, [_print_dry_run(spec, benchmark, options, limits) for spec, benchmark in checked]))
    if short:
        raise RunError("\n".join(short))


def _print_dry_run(spec: "Spec", benchmark: "AbstractBenchmark", options: "RunOptions", limits: "Limits") -> str | None:
    """Print one; what it exceeds, in words."""
    from lasem.preflight import estimate, shortage
    from lasem.runs import choose_device, prepare

    where = choose_device(options.device)
    typer.echo(spec.toml())
    for change in spec.small or []:
        typer.echo(f"small: {change}")
    if benchmark.built_in or options.data is not None:
        stream = prepare(spec, options, device=where, benchmark=benchmark).stream
        outline = stream.outline
        typer.echo(f"data: checked, fingerprint {stream.fingerprint[:12]}")
        for note in stream.notes:
            typer.echo(f"data: {note}")
    else:
        outline = benchmark.outline()
        typer.echo("data: not checked (no --data; it would come from the hub)")
    if outline is None:
        typer.echo("parameters, time and memory: known once the data is read")
        return None
    found = estimate(spec, outline, device=where)
    _print_estimate(spec, options, outline, found)
    return shortage(spec, found, limits)


def _print_estimate(spec: "Spec", options: "RunOptions", outline: "Outline", found: "Estimate") -> None:
    """The table of a dry run."""
    from lasem.runs import RunFolder

    folder, counts = RunFolder.of(spec, options.out), found.parameters
    searched = found.demand if spec.learner.strategy == "em" else None
    work = 1 if searched is None else searched.need.work
    as_many = "" if searched is None else f", each as {work:,.1f} of one network by multiply-adds"
    basis = f"steps of one network, times {work:,.1f}" if found.by_counting else "a few steps on random images"
    rows = {
        "tasks": f"{outline.num_tasks} of {_range(outline.classes)} classes",
        "images per task": ", ".join(f"{count} {name}" for name, count in outline.images.items()),
        "configurations": f"{found.candidates:,}",
        "parameters": f"{counts.shared:,} shared; {counts.search:,} trained while a task is learned,"
        f" {counts.rollback:,} kept for the roll-back",
        "steps": f"{found.steps_per_task:,} per task, {found.steps:,} in all{as_many}",
        "time": f"about {duration(found.seconds)} of training and {duration(found.evaluation_seconds)} of evaluation"
        f" on this machine (from {basis})",
        "memory": f"about {(found.model_bytes + found.activation_bytes) / 2**20:,.0f} MiB for the step,"
        " beside the images",
        "run folder": f"{folder.path}" + (" (done)" if folder.result() else ""),
    }
    table = Table(show_header=False, box=None)
    for name, text in rows.items():
        table.add_row(name, escape(text))
    Console(soft_wrap=True, highlight=False).print(table)


def _range(numbers: tuple[int, ...]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def duration(seconds: float) -> str:
    """A time in the unit that suits it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"
