"""Running specs one after another, as `lasem run` and `lasem layers` do."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

import typer

from lasem.cli._console import OutputConsole
from lasem.cli._options import resume_command
from lasem.errors import RunStopped
from lasem.text import printable

if TYPE_CHECKING:
    from lasem.benchmarks import AbstractBenchmark, Outline
    from lasem.runs import RunOptions, Sink, Spec


def execute(
    checked: "Sequence[tuple[Spec, AbstractBenchmark]]",
    options: "RunOptions",
    *,
    quiet: bool = False,
    stderr: bool = False,
    memory: int | None = None,
    logs: "Sequence[Sequence[Sink]]" = (),
) -> OutputConsole:
    """Run specs to their end, and return the console that showed their progress.

    A signal ends the command, with a run that can be resumed.

    Args:
        checked: Experiments with one seed, each with the benchmark that its check returned.
        options: Execution options.
        quiet: Whether to show no progress.
        stderr: Whether to show it on the error stream.
        memory: Bytes that a step may take; None for what is available.
        logs: Further sinks of each run.
    """
    from lasem.preflight import Limits, require_data, require_memory
    from lasem.runs import RunFolder, Signals, choose_device
    from lasem.runs import run as run_spec
    from lasem.runs.sinks import ProgressDisplay

    where = choose_device(options.device)
    unfinished = [spec for spec, _ in checked if RunFolder.of(spec, options.out).result() is None]
    if len(unfinished) > 1:  # a single run checks its data itself
        require_data(unfinished, options.data)
    stream = sys.stderr if stderr else sys.stdout
    with Signals(silent=stream.isatty() and not quiet) as signals:
        console = OutputConsole(quiet=quiet, stderr=stderr, closed=signals.output_closed)
        for (spec, benchmark), own in zip(checked, logs or [()] * len(checked), strict=True):
            sinks = [ProgressDisplay(console, stopping=signals.received), *own]

            def inspect(outline: "Outline", spec: "Spec" = spec) -> None:
                # Now the images are read, and what they take in memory is no longer available.
                require_memory(spec, outline, limits=Limits.of(where, memory=memory), device=where)

            try:
                run_spec(spec, options, benchmark=benchmark, inspect=inspect, sinks=sinks, stop=signals.received)
            except RunStopped as stopped:
                _end(str(stopped), signals.status)
            except SystemExit as at_once:  # the second signal
                _end("stopped at once; what came after the last checkpoint is not saved", int(at_once.code or 0))
    return console


def _end(why: str, status: int) -> NoReturn:
    """End the command with a run unfinished, and tell why and how to resume it."""
    typer.echo(printable(f"{why}\n{resume_command()}", multiline=True), err=True)
    raise typer.Exit(status)
