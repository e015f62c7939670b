"""The command `lasem sweep`, which makes many runs."""

import json
import shlex
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lasem.cli._completion import complete_files
from lasem.cli._console import OutputConsole
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
    require_absent,
    resume_command,
)
from lasem.errors import SpecError
from lasem.formats import duration

if TYPE_CHECKING:
    from lasem.benchmarks import Outline
    from lasem.runs import RunOptions, Spec
    from lasem.sweeps import AbstractExecutor, RunStatus, Sweep

SOME_FAILED = 1
"""Exit status if some run has no result when the sweep ends."""


def sweep(
    spec: Annotated[
        Path,
        typer.Argument(
            metavar="SWEEP.toml", help="File with a grid, or with a list of presets.", autocompletion=complete_files
        ),
    ],
    settings: Settings = None,
    out: Out = Path("runs"),
    device: Device = "auto",
    data: Data = None,
    workers: Annotated[int, typer.Option(min=1, help="Number of runs at a time, which divide the cores.")] = 1,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Run on Ray; auto joins a cluster or starts one on this machine."),
    ] = None,
    slurm: Annotated[
        str | None,
        typer.Option(metavar="KEY=VALUE,...", help="Run as SLURM jobs, such as partition=gpu,time=24:00:00."),
    ] = None,
    cpus_per_run: Annotated[
        float, typer.Option(min=0, callback=finite, help="CPU cores of a run, with --ray or --slurm.")
    ] = 1.0,
    gpus_per_run: Annotated[
        float,
        typer.Option(
            min=0, callback=finite, help="GPUs of a run, with --ray or --slurm; on Ray also a fraction, such as 0.25."
        ),
    ] = 0,
    retries: Annotated[int, typer.Option(min=0, help="Further attempts at a run that fails.")] = 2,
    dry_run: DryRun = False,
    status: Annotated[bool, typer.Option("--status", help="Print the status of the runs, and stop.")] = False,
    checkpoint_every: CheckpointEvery = "0",
    threads: Threads = 0,
    capture: Capture = False,
    quiet: Quiet = False,
    plugins: Plugins = None,
) -> None:
    """Make all runs of a sweep. Run the same command again to resume it.

    Example: lasem sweep seeds.toml --workers 4
    """
    from lasem.presets import check_names
    from lasem.sweeps import read_sweep_file

    check_names([], settings or [])  # a wrong name or file is told at once, before torch is imported
    settings = [*(settings or []), *([f"plugins={json.dumps(plugins)}"] if plugins else [])]
    console = OutputConsole(quiet=quiet)
    read_sweep_file(spec, settings)
    if status and not dry_run and _print_planned(spec, settings, out, console):
        return
    from lasem.preflight import require_data
    from lasem.runs import RunOptions, choose_device
    from lasem.sweeps import StatusReader, SweepFolder, execute, live_table, read_sweep, status_table

    places = {"--workers": workers if workers > 1 else None, "--ray": ray, "--slurm": slurm}
    given = [f"{name} {value}" for name, value in places.items() if value is not None]
    if len(given) > 1:
        raise SpecError(f"a sweep must have one of --workers, --ray and --slurm (got {' and '.join(given)}); keep one")
    found = read_sweep(spec, settings)
    every = interval(checkpoint_every)
    options = RunOptions(out=out, data=data, device=device, checkpoint_every=every, threads=threads, capture=capture)
    reader = StatusReader(found, out)
    open_specs = [run.spec for run, status in zip(found.runs, reader.read(), strict=True) if status.state != "done"]
    if status or dry_run:
        console.print(status_table(reader.read()))
        if dry_run:
            require_data([] if data is None else open_specs, data)
            console.say(_time(found, reader.read(), options, workers))
        return
    if ray is None and slurm is None:  # elsewhere there may be other devices
        choose_device(device)
    require_data(open_specs, data)
    jobs = SweepFolder.of(found.name, out).path / "jobs"
    executor = _executor(workers, threads, ray=ray, slurm=slurm, jobs=jobs, cpus=cpus_per_run, gpus=gpus_per_run)
    try:
        with live_table(console, reader) as say:
            execute(found, options, executor, retries=retries, watch=say)
    except KeyboardInterrupt as stop:
        console.print(status_table(reader.read()))
        console.say(resume_command())
        sys.exit(128 + (stop.args[0] if stop.args else signal.SIGINT))
    statuses = reader.read()
    console.print(status_table(statuses))
    _compare(found, out, console)
    if any(status.state != "done" for status in statuses):
        sys.exit(SOME_FAILED)


def _print_planned(spec: Path, settings: Sequence[str], out: Path, console: OutputConsole) -> bool:
    """Print the status of the runs that the sweep listed when it was last executed; return whether there is a list."""
    from lasem.sweeps import StatusReader, read_plan, status_table

    plan = read_plan(spec, settings, out)
    if plan is not None:
        console.print(status_table(StatusReader(plan, out).read()))
    return plan is not None


def _executor(
    workers: int, threads: int, *, ray: str | None, slurm: str | None, jobs: Path, cpus: float, gpus: float
) -> "AbstractExecutor":
    """Return the executor that the options ask for."""
    from lasem.sweeps import LocalProcesses, on_ray, on_slurm

    if ray is None and slurm is None:
        for name, count, usual in (("--cpus-per-run", cpus, 1.0), ("--gpus-per-run", gpus, 0.0)):
            require_absent({name: count != usual}, "--ray or --slurm", got=f"{count:g} without")
    if ray is not None:
        return on_ray(ray, cpus=cpus, gpus=gpus)
    if slurm is None:
        return LocalProcesses(workers, threads)
    pairs = [text.partition("=") for text in slurm.split(",") if text]
    for name, _, value in pairs:
        if not name or not value:
            raise SpecError(f"--slurm must list options of sbatch (got {slurm!r}); write partition=gpu,time=24:00:00")
    for name, count in (("--cpus-per-run", cpus), ("--gpus-per-run", gpus)):
        if count != int(count):
            raise SpecError(f"{name} must be a whole number with --slurm (got {count:g}); SLURM gives no fractions")
    return on_slurm(jobs, cpus=int(cpus), gpus=int(gpus), options={name: value for name, _, value in pairs})


def _compare(sweep: "Sweep", out: Path, console: OutputConsole) -> None:
    """Print the comparison of the runs that exist, each under the values of the grid that it has of its own."""
    from lasem.report import collect, comparison

    titles = {out / run.spec.folder: run.title for run in sweep.runs}
    folders = [folder for folder in titles if folder.exists()]
    if folders:
        console.print(comparison([replace(run, name=titles[run.path]) for run in collect(folders)]))
        console.say(f"report: lasem report {shlex.quote(str(out))}")


def _time(sweep: "Sweep", statuses: "Sequence[RunStatus]", options: "RunOptions", workers: int) -> str:
    """Return in words how long the open runs will still take, training and evaluation together.

    Runs that differ only in their seeds are expected to take the same time. What a run has spent already is left out.
    """
    from lasem.preflight import estimate
    from lasem.runs import choose_device

    device, seconds = choose_device(options.device), {}
    total, unknown = 0.0, 0
    for run, status in zip(sweep.runs, statuses, strict=True):
        spec = run.spec.with_seed(0)
        if status.state != "done" and spec.digest not in seconds:
            outline, most = _outline(spec, options), None
            if outline is not None:
                found = estimate(spec, outline, device=device, threads=options.threads, capture=options.capture)
                most = found.seconds[1] + found.evaluation_seconds
            seconds[spec.digest] = most
        whole = 0.0 if status.state == "done" else seconds[spec.digest]
        unknown += whole is None
        total += max(0.0, (whole or 0.0) - status.seconds)
    shared = f", {duration(total / workers)} with {workers} workers" if workers > 1 else ""
    without = f"; without {unknown} runs whose time is known once the data is read" if unknown else ""
    took = f"{duration(total)} of training and evaluation on this machine"
    return f"time: about {took}, one run after another{shared}{without}"


def _outline(spec: "Spec", options: "RunOptions") -> "Outline | None":
    """Return shapes and sizes of a stream; None if they are known only from data that is not available."""
    from lasem.runs import check, choose_device, prepare

    found = check(spec).outline()
    if found is None and options.data is not None:
        return prepare(spec, options, device=choose_device(options.device)).stream.outline
    return found
