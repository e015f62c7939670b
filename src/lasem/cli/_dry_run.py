"""Output of `lasem run --dry-run`: the resolved spec, and what the run is expected to take."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import typer
from rich.table import Table
from rich.text import Text

from lasem.cli._console import OutputConsole
from lasem.errors import RunError
from lasem.formats import duration, extent, memory_size
from lasem.text import printable

if TYPE_CHECKING:
    from lasem.benchmarks import AbstractBenchmark, Outline
    from lasem.preflight import Estimate, Limits
    from lasem.runs import RunOptions, Spec


def print_dry_runs(
    checked: "Sequence[tuple[Spec, AbstractBenchmark]]", options: "RunOptions", limits: "Limits"
) -> None:
    """Print what would be run, with its expected cost, and check what can only be checked with the data.

    Args:
        checked: Experiments with one seed, each with the benchmark that its check returned.
        options: Execution options.
        limits: Limits that each run must respect.

    Raises:
        RunError: Some runs exceed the limits; raised after all are printed.
    """
    short = list(filter(None, [_print_dry_run(spec, benchmark, options, limits) for spec, benchmark in checked]))
    if short:
        raise RunError("\n".join(short))


def _print_dry_run(spec: "Spec", benchmark: "AbstractBenchmark", options: "RunOptions", limits: "Limits") -> str | None:
    """Print one experiment, and return in words which limit it exceeds."""
    from lasem.preflight import estimate, shortage
    from lasem.runs import choose_device, prepare

    device, trained = choose_device(options.device), ()
    is_local = benchmark.is_local(options.data)
    stream = prepare(spec, options, device=device, benchmark=benchmark).stream if is_local else None
    typer.echo(spec.toml())
    for change in spec.small or []:
        typer.echo(f"small: {change}")
    if stream is not None:
        outline, trained = stream.outline, stream.train_images
        typer.echo(f"data: checked, fingerprint {stream.fingerprint[:12]}")
        for note in filter(None, (stream.about, stream.storage, *stream.notes)):
            typer.echo(f"data: {note}")
    else:
        outline = benchmark.outline()
        typer.echo("data: not checked (no --data; it would come from the hub)")
    if outline is None:
        typer.echo("parameters, time and memory: known once the data is read")
        return None
    found = estimate(spec, outline, device=device, threads=options.threads, capture=options.capture)
    table = Table(show_header=False, box=None)
    for name, text in _rows(spec, options, outline, found, trained=trained):
        table.add_row(name, Text(printable(text)))
    OutputConsole().print(table, highlight=False, soft_wrap=True)
    return shortage(spec, found, limits)


def _rows(
    spec: "Spec", options: "RunOptions", outline: "Outline", found: "Estimate", *, trained: Sequence[int]
) -> Iterator[tuple[str, str]]:
    """Yield the rows of the table: only what this run has; `trained` are the training images of each task, if known."""
    from lasem.runs import RunFolder

    folder, counts, search = RunFolder.of(spec, options.out), found.parameters, found.search
    yield "tasks", f"{outline.num_tasks} of {extent(outline.classes)} classes"
    yield "images per task", ", ".join(f"{count} {name}" for name, count in outline.images.items())
    if len(set(trained)) > 1:
        yield "", f"{extent(trained)} train; all tasks are counted with {max(trained)}, so that less time may be needed"
    if found.candidates > 1:
        yield "configurations", f"{found.candidates:,}"
    rollback = f", {counts.rollback:,} copied for the roll-back" if counts.rollback else ""
    yield "parameters", f"{counts.shared:,} shared; {counts.search:,} trained while a task is learned{rollback}"
    tree = search is not None and not search.in_turn
    work = f", each with {search.step().work:,.1f} times the multiply-adds of one network" if search and tree else ""
    yield "steps", f"{found.steps_per_task:,} per task, {found.steps:,} in all{work}"
    basis = "from steps of one network, times the work" if found.counted else "fastest of a few steps on random images"
    training, evaluation = _between(*found.seconds), duration(found.evaluation_seconds)
    yield "time", f"{training} of training and {evaluation} of evaluation on this machine ({basis})"
    for reason in found.reasons:
        yield "", reason
    yield "memory", f"about {memory_size(found.model_bytes + found.activation_bytes)} per step, and the images"
    yield "run folder", f"{folder.path}" + (" (done)" if folder.result() else "")


def _between(low: float, high: float) -> str:
    """Return two times as a range, or as one time if they read the same."""
    first, last = duration(low), duration(high)
    return f"about {last}" if first == last else f"between {first} and {last}"
