"""The command `lasem run`, which runs presets and specs."""

import os
import shlex
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lasem.cli._completion import complete_targets
from lasem.cli._console import OutputConsole
from lasem.cli._dry_run import print_dry_runs
from lasem.cli._execute import execute
from lasem.cli._options import (
    Capture,
    CheckpointEvery,
    Data,
    Device,
    DryRun,
    Out,
    Plugins,
    Quiet,
    Settings,
    Threads,
    finite,
    interval,
)
from lasem.errors import SpecError, nearest
from lasem.extras import is_installed

if TYPE_CHECKING:
    from lasem.runs import Sink, Spec


def run(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="PRESET_OR_SPEC.toml...",
            help="Presets, such as digits/lasem-hps, or files.",
            autocompletion=complete_targets,
        ),
    ],
    settings: Settings = None,
    out: Out = Path("runs"),
    seeds: Annotated[
        str | None, typer.Option(help="Seeds, such as 0,1,2. Each draws other images and initial values.")
    ] = None,
    device: Device = "auto",
    data: Data = None,
    dry_run: DryRun = False,
    checkpoint_every: CheckpointEvery = "0",
    threads: Threads = 0,
    max_memory: Annotated[
        float | None,
        typer.Option(
            min=0, metavar="GIB", callback=finite, help="Most memory that a search may take. Default: all there is."
        ),
    ] = None,
    max_hours: Annotated[
        float | None,
        typer.Option(min=0, metavar="HOURS", callback=finite, help="With --dry-run: refuse what would take longer."),
    ] = None,
    capture: Capture = False,
    quiet: Quiet = False,
    until_stdin_closes: Annotated[
        bool, typer.Option(hidden=True, help="Stop after the epoch when standard input closes.")
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write for TensorBoard too, into RUN/tensorboard.")
    ] = False,
    scalars: Annotated[bool, typer.Option("--csv", help="Write all numbers into RUN/scalars.csv too.")] = False,
    track: Annotated[
        list[str] | None,
        typer.Option(metavar="TRACKER", help="Write all numbers for mlflow, trackio or wandb too; may be repeated."),
    ] = None,
    plugins: Plugins = None,
) -> None:
    """Run presets or specs. Run the same command again to resume an unfinished run.

    Example: lasem run digits/lasem-hps --seeds 0,1,2
    """
    from lasem.presets import check_names

    check_names(targets, settings or [])  # a wrong name is told at once, before torch is imported
    from lasem.preflight import Limits, check_with_suggestions
    from lasem.runs import RunOptions, choose_device, resolve

    if max_hours is not None and not dry_run:
        raise SpecError("--max-hours must come with --dry-run, which estimates the time; add --dry-run")
    asked = [resolve(target, settings or [], plugins=plugins or ()) for target in targets]
    specs = [trial for spec in asked for trial in _trials(spec, seeds, settings or [])]
    names = [*(track or []), *(["tensorboard"] if tensorboard else []), *(["csv"] if scalars else [])]
    logs = [_logs(names) for _ in specs]  # a package that is missing is told before anything is read or estimated
    where = choose_device(device)
    options = RunOptions(
        out=out,
        data=data,
        device=str(where),
        checkpoint_every=interval(checkpoint_every),
        threads=threads,
        capture=capture,
    )
    memory = None if max_memory is None else int(max_memory * 2**30)
    limits = Limits.of(where, memory=memory, hours=max_hours)
    checked = [(spec, check_with_suggestions(spec, limits, device=where)) for spec in specs]
    if dry_run:
        print_dry_runs(checked, options, limits)
        return
    if until_stdin_closes:
        _stop_when_unattended()
    console = execute(checked, options, quiet=quiet, memory=memory, logs=logs)
    if not console.quiet:
        _print_runs([out / spec.folder for spec in specs], console)


def _logs(names: list[str]) -> "list[Sink]":
    """Make the sinks of one run that write its numbers.

    Raises:
        SpecError: A name is unknown.
        RunError: A package is missing.
    """
    from lasem.runs.sinks import TRACKERS

    wrong = next((name for name in names if name not in TRACKERS), None)
    if wrong is not None:
        raise SpecError(f"--track must name a tracker (got {wrong!r}); {nearest(wrong, TRACKERS)}")
    return [TRACKERS[name]() for name in dict.fromkeys(names)]


def _stop_when_unattended() -> None:
    """Ask this process to stop when the one that started it is gone, which closes the pipe to standard input."""
    # SLURM warns of a time limit by SIGUSR2; whoever started this process hears it too, and sends SIGTERM.
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)

    def listen() -> None:
        while os.read(sys.stdin.fileno(), 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=listen, daemon=True).start()


def _trials(spec: "Spec", seeds: str | None, settings: Sequence[str]) -> "list[Spec]":
    """Return the spec as it is, or once per seed."""
    if seeds is None:
        return [spec]
    twice = [text for text in settings if text.partition("=")[0].strip() in ("seeds.data", "seeds.training")]
    if twice:
        raise SpecError(
            f"seeds.data and seeds.training must be left out with --seeds, which sets both (got --set {twice[0]});"
            " leave out one of the two"
        )
    try:
        numbers = [int(seed) for seed in seeds.split(",")]
    except ValueError:
        raise SpecError(f"--seeds must list whole numbers (got {seeds!r}); write for example 0,1,2") from None
    return [spec.with_seed(seed) for seed in numbers]


def _print_runs(folders: list[Path], console: OutputConsole) -> None:
    """Print the table of a single run, or the comparison of several runs."""
    from lasem.report import collect, comparison, run_list, run_table

    runs = collect(folders)
    several = comparison if is_installed("pandas") else run_list
    console.print(run_table(runs[0]) if len(runs) == 1 else several(runs))
    console.say(f"report: lasem report {shlex.join(map(str, folders))}")
