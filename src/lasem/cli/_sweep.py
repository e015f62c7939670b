"""`lasem sweep`."""

import shlex
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from lasem.cli._run import Data, interval
from lasem.errors import SpecError
from lasem.formats import duration

if TYPE_CHECKING:
    from lasem.runs import RunOptions
    from lasem.sweeps import AbstractExecutor, Sweep, Watch

SOME_FAILED = 1
"""Exit status where a run has no result in the end."""


def sweep(
    spec: Annotated[Path, typer.Argument(metavar="SWEEP.toml", help="A grid, or a list of presets.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override, such as training.epochs=20.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = Path("runs"),
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:N or auto.")] = "auto",
    data: Data = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that make runs; they share out the cores.")] = 1,
    ray: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Run on Ray: auto joins a cluster, or starts one here.")
    ] = None,
    cpus_per_run: Annotated[float, typer.Option(min=0, help="With --ray.")] = 1.0,
    gpus_per_run: Annotated[float, typer.Option(min=0, help="With --ray; a fraction, such as 0.25, shares a GPU.")] = 0,
    retries: Annotated[int, typer.Option(min=0, help="Further attempts at a run that dies.")] = 2,
    dry_run: Annotated[bool, typer.Option(help="Check everything, list the runs, and stop.")] = False,
    status: Annotated[bool, typer.Option(help="Print where the runs stand, and stop.")] = False,
    checkpoint_every: Annotated[
        str, typer.Option(metavar="EPOCHS|TIME", help="Between checkpoints: 10 epochs, 30s, 5m, 1h; 0 = by cost.")
    ] = "0",
    threads: Annotated[int, typer.Option(min=0, help="CPU threads of a run; 0 = what suits it.")] = 0,
    capture: Annotated[bool, typer.Option(help="Compile each task's steps; on a GPU as CUDA graphs.")] = False,
    quiet: Annotated[bool, typer.Option(help="Print nothing but errors.")] = False,
) -> None:
    """Run what a sweep has not done yet, in this process, in several or on a cluster."""
    from lasem.runs import RunOptions, choose_device
    from lasem.sweeps import Watch, execute, read_sweep, shown, standings_table

    if ray is not None and workers > 1:
        raise SpecError(f"--ray decides how many runs are under way - got --workers {workers} too - leave one out")
    found = read_sweep(spec, settings or [])
    every = interval(checkpoint_every)
    options = RunOptions(out=out, data=data, device=device, checkpoint_every=every, threads=threads, capture=capture)
    watch, console = Watch(found, out), Console(quiet=quiet)
    if status or dry_run:
        console.print(standings_table(watch.standings()))
        if dry_run:
            console.print(_cost(watch, options, workers), highlight=False, soft_wrap=True)
        return
    if ray is None:
        choose_device(device)
    executor = _executor(ray, workers, threads, cpus=cpus_per_run, gpus=gpus_per_run)
    try:
        with shown(console, watch) as say:
            execute(found, options, executor, retries=retries, watch=say)
    except KeyboardInterrupt as stop:
        console.print(standings_table(watch.standings()))
        console.print(f"goes on with: {shlex.join(['lasem', *sys.argv[1:]])}", highlight=False, soft_wrap=True)
        sys.exit(128 + (stop.args[0] if stop.args else signal.SIGINT))
    standings = watch.standings()
    console.print(standings_table(standings))
    _compare(found, out, console)
    if any(standing.state != "done" for standing in standings):
        sys.exit(SOME_FAILED)


def _executor(ray: str | None, workers: int, threads: int, *, cpus: float, gpus: float) -> "AbstractExecutor":
    """Where attempts are made."""
    from lasem.sweeps import InProcess, ProcessPool, on_ray

    if ray is not None:
        return on_ray(ray, cpus=cpus, gpus=gpus)
    return ProcessPool(workers, threads) if workers > 1 else InProcess()


def _compare(sweep: "Sweep", out: Path, console: Console) -> None:
    """The comparison of the runs there are, each named with its own values of the grid."""
    from lasem.report import collect, comparison

    titles = {out / run.spec.folder: run.title for run in sweep.runs}
    folders = [folder for folder in titles if folder.exists()]
    if folders:
        console.print(comparison([replace(run, name=titles[run.path]) for run in collect(folders)]))
        console.print(f"report: lasem report {out}", highlight=False, soft_wrap=True)


def _cost(watch: "Watch", options: "RunOptions", workers: int) -> str:
    """What the sweep would still take, in words."""
    from lasem.runs import choose_device
    from lasem.sweeps import estimate_sweep

    seconds, unknown = estimate_sweep(watch.standings(), options, device=choose_device(options.device))
    shared = f", {duration(seconds / workers)} with {workers} workers" if workers > 1 else ""
    without = f"; without {unknown} runs of which only the data can tell" if unknown else ""
    return f"time: about {duration(seconds)} of training on this machine, one run after another{shared}{without}"
