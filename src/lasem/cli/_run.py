"""The command `lasem run`, which runs presets and specs."""

import os
import re
import shlex
import signal
import sys
import threading
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from lasem.cli._dry_run import print_dry_runs
from lasem.cli._plugins import Plugins
from lasem.errors import RunStopped, SpecError

if TYPE_CHECKING:
    from lasem.runs import Spec

SECONDS = {"s": 1, "m": 60, "h": 3600}
"""Number of seconds in each unit of time."""

Data = Annotated[
    Path | None,
    typer.Option(envvar="LASEM_DATA", help="Folder with one folder per data set; without it, the Hugging Face hub."),
]


def run(
    targets: Annotated[
        list[str], typer.Argument(metavar="PRESET_OR_SPEC.toml...", help="Presets, such as digits/lasem-hps, or files.")
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Override an option, such as training.epochs=20; may be repeated."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder that contains the runs.")] = Path("runs"),
    seeds: Annotated[
        str | None, typer.Option(help="Seeds, such as 0,1,2. Each draws other images and initial values.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:N or auto.")] = "auto",
    data: Data = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, print what would be run, and stop.")
    ] = False,
    checkpoint_every: Annotated[
        str,
        typer.Option(
            metavar="EPOCHS|TIME", help="Interval of checkpoints: 10 (epochs), 30s, 5m or 1h; 0 = chosen by their cost."
        ),
    ] = "0",
    threads: Annotated[
        int,
        typer.Option(
            min=0, help="CPU threads; 0 = those of the unfinished run, else 1 for small networks and all for others."
        ),
    ] = 0,
    max_memory: Annotated[
        float | None,
        typer.Option(min=0, metavar="GIB", help="Most memory that a search may take. Default: all there is."),
    ] = None,
    max_hours: Annotated[
        float | None, typer.Option(min=0, metavar="HOURS", help="With --dry-run: refuse what would take longer.")
    ] = None,
    capture: Annotated[
        bool, typer.Option("--capture", help="Compile each task's steps; on a GPU as CUDA graphs.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
    attended: Annotated[
        bool, typer.Option(hidden=True, help="Stop after the epoch when standard input closes.")
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write for TensorBoard too, into RUN/tensorboard.")
    ] = False,
    plugins: Plugins = None,
) -> None:
    """Run presets or specs. Run the same command again to resume an unfinished run.

    Example: lasem run digits/lasem-hps --seeds 0,1,2
    """
    from lasem.preflight import Limits, check_with_suggestions, require_data, require_memory
    from lasem.runs import RunFolder, RunOptions, Signals, choose_device, resolve
    from lasem.runs import run as run_spec
    from lasem.runs.sinks import ProgressDisplay, TensorBoardLog

    if max_hours is not None and not dry_run:
        raise SpecError("--max-hours must come with --dry-run, which estimates the time; add --dry-run")
    specs = [
        trial for target in targets for trial in _trials(resolve(target, settings or [], plugins=plugins or ()), seeds)
    ]
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
    unfinished = [spec for spec in specs if RunFolder.of(spec, out).result() is None]
    if len(unfinished) > 1:  # a single run checks its data itself
        require_data(unfinished, data)
    console = Console(quiet=quiet)
    if attended:
        _stop_when_unattended()
    with Signals() as signals:
        for spec, benchmark in checked:
            sinks = [ProgressDisplay(console), *([TensorBoardLog()] if tensorboard else [])]
            inspect = partial(require_memory, spec, limits=limits, device=where)
            try:
                run_spec(spec, options, benchmark=benchmark, inspect=inspect, sinks=sinks, stop=signals.received)
            except RunStopped as stopped:
                typer.echo(f"{stopped}\nresume with: {shlex.join(['lasem', *sys.argv[1:]])}", err=True)
                raise typer.Exit(signals.status) from None
    if not quiet:
        _print_runs([out / spec.folder for spec in specs], console)


def interval(text: str) -> int | timedelta:
    """Read ``10`` as epochs and ``30s``, ``5m`` or ``1h`` as time."""
    match = re.fullmatch(r"(\d+)([smh]?)", text.strip())
    if match is None:
        raise SpecError(
            f"--checkpoint-every must be a number of epochs or a time (got {text!r}); write 10, 30s, 5m or 1h"
        )
    number, unit = int(match[1]), match[2]
    return timedelta(seconds=number * SECONDS[unit]) if unit else number


def _stop_when_unattended() -> None:
    """Ask this process to stop when the one that started it is gone, which closes the pipe to standard input."""
    # SLURM warns of a time limit by SIGUSR2; whoever started this process hears it too, and sends SIGTERM.
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)

    def listen() -> None:
        while os.read(sys.stdin.fileno(), 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=listen, daemon=True).start()


def _trials(spec: "Spec", seeds: str | None) -> "list[Spec]":
    """Return the spec as it is, or once per seed."""
    if seeds is None:
        return [spec]
    try:
        numbers = [int(seed) for seed in seeds.split(",")]
    except ValueError:
        raise SpecError(f"--seeds must list whole numbers (got {seeds!r}); write for example 0,1,2") from None
    return [spec.with_seed(seed) for seed in numbers]


def _print_runs(folders: list[Path], console: Console) -> None:
    """Print the table of a single run, or the comparison of several runs."""
    from lasem.report import collect, comparison, run_table

    runs = collect(folders)
    console.print(run_table(runs[0]) if len(runs) == 1 else comparison(runs))
    console.print(f"report: lasem report {' '.join(map(str, folders))}", highlight=False, soft_wrap=True)
