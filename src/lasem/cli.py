"""The command line."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lasem.errors import LasemError

if TYPE_CHECKING:
    from lasem.experiments import Place
    from lasem.specs import Spec

BAD_INPUT = 2
"""Exit status for whatever the user can correct."""

app = typer.Typer(
    help="Lifelong learning with selective layer transfer.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Data = Annotated[
    Path | None,
    typer.Option(envvar="LASEM_DATA", help="Folder with one folder per data set; without it, the Hugging Face hub."),
]


@app.command("list")
def list_command(
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Name the benchmarks, networks, learners and presets."""
    from lasem.experiments import benchmark_entries, learner_entries, preset_entries
    from lasem.nn import NETWORKS

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


@app.command()
def run(
    targets: Annotated[
        list[str], typer.Argument(metavar="PRESET_OR_SPEC.toml...", help="Such as digits/lasem-hps; one or more.")
    ],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override, such as training.epochs=20.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = Path("runs"),
    seeds: Annotated[
        str | None, typer.Option(help="Trials, such as 0,1,2: other images, other initial values.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:N or auto.")] = "auto",
    data: Data = None,
    dry_run: Annotated[bool, typer.Option(help="Check everything, print what would be run, and stop.")] = False,
    checkpoint_every: Annotated[int, typer.Option(min=0, help="Epochs between checkpoints; 0 = by cost.")] = 0,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 = one for small networks, else all.")] = 0,
    quiet: Annotated[bool, typer.Option(help="Print nothing but errors.")] = False,
) -> None:
    """Run presets or specs; the same command again resumes, or says that it is done."""
    from lasem.experiments import Place, ProgressDisplay, check, resolve
    from lasem.experiments import run as run_spec

    specs = [trial for target in targets for trial in _trials(resolve(target, settings or []), seeds)]
    for spec in specs:
        check(spec)
    place = Place(out=out, data=data, device=device, checkpoint_every=checkpoint_every, threads=threads)
    if dry_run:
        for spec in specs:
            _dry_run(spec, place)
        return
    console = Console(quiet=quiet)
    for spec in specs:
        with ProgressDisplay(console) as display:
            run_spec(spec, place, started=display.started, watch=display.watch)
    if not quiet:
        folders = [out / spec.folder for spec in specs]
        _print_runs(folders, console)


@app.command()
def show(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs, or that hold runs.")],
) -> None:
    """Print finished or running runs; of several, their comparison too."""
    from lasem.report import collect, comparison
    from lasem.report import show as show_run

    console = Console()
    runs = collect(folders)
    for item in runs:
        console.print(show_run(item))
    if len(runs) > 1:
        console.print(comparison(runs))


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs, or folders that hold runs.")],
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("report.html"),
) -> None:
    """Write a page about runs: one file, which opens without network."""
    from lasem.report import collect, write_page

    write_page(collect(runs), out)
    typer.echo(f"report: {out}")


def main() -> None:
    """Run the command line; what the user can correct is one message and exit status 2."""
    try:
        app()
    except LasemError as error:
        Console(stderr=True).print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(BAD_INPUT)


def _trials(spec: "Spec", seeds: str | None) -> "list[Spec]":
    """The spec as it is, or once per seed."""
    if seeds is None:
        return [spec]
    try:
        return [spec.with_seed(int(seed)) for seed in seeds.split(",")]
    except ValueError:
        from lasem.errors import SpecError

        raise SpecError(f"--seeds lists whole numbers - got {seeds!r} - write for example 0,1,2") from None


def _print_runs(folders: list[Path], console: Console) -> None:
    """The table of each run; of several, their comparison."""
    from lasem.report import collect, comparison, run_table

    runs = collect(folders)
    console.print(run_table(runs[0]) if len(runs) == 1 else comparison(runs))
    console.print(f"report: lasem report {' '.join(map(str, folders))}", highlight=False, soft_wrap=True)


def _dry_run(spec: "Spec", place: "Place") -> None:
    """Check everything that can be checked, and print what would be run."""
    from lasem.experiments import RunFolder, check, choose_device, estimate, prepare

    benchmark = check(spec)
    where = choose_device(place.device)
    folder = RunFolder.of(spec, place.out)
    typer.echo(spec.toml())
    for change in spec.small or []:
        typer.echo(f"small: {change}")
    if benchmark.built_in or place.data is not None:
        stream = prepare(spec, place, device=where).stream
        outline = stream.outline
        typer.echo(f"data: checked, fingerprint {stream.fingerprint[:12]}")
    else:
        outline = benchmark.outline()
        typer.echo("data: not checked (no --data; it would come from the hub)")
    if outline is None:
        typer.echo("parameters, time and memory: known once the data is read")
        return
    found = estimate(spec, outline, device=where)
    counts = found.parameters
    table = Table(show_header=False, box=None)
    rows = {
        "tasks": f"{outline.num_tasks} of {_range(outline.classes)} classes",
        "images per task": ", ".join(f"{count} {name}" for name, count in outline.images.items()),
        "configurations": f"{found.candidates}",
        "parameters": f"{counts.shared:,} shared; {counts.search:,} trained while a task is learned,"
        f" {counts.rollback:,} kept for the roll-back",
        "steps": f"{found.steps_per_task:,} per task, {found.steps:,} in all",
        "time": f"about {_duration(found.seconds)} of training on this machine (from a few steps on random images)",
        "memory": f"about {(found.model_bytes + found.activation_bytes) / 2**20:,.0f} MiB for the step,"
        " beside the images",
        "run folder": f"{folder.path}" + (" (done)" if folder.result() else ""),
    }
    for name, text in rows.items():
        table.add_row(name, escape(text))
    Console(soft_wrap=True, highlight=False).print(table)


def _range(numbers: tuple[int, ...]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


if __name__ == "__main__":
    main()
