"""The command `lasem layers`, which says which layers to freeze, share or tune."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lasem.cli._completion import complete_targets
from lasem.cli._console import OutputConsole, print_or_write
from lasem.cli._dry_run import print_dry_runs
from lasem.cli._execute import execute
from lasem.cli._layer_tables import advice_table, cost_line, layers_json, rivals_table
from lasem.cli._options import Data, Device, DryRun, Plugins, Quiet, Settings, Threads, require_absent
from lasem.cli._warnings import print_warnings
from lasem.configurations import FROZEN
from lasem.errors import ReportError, SpecError, require
from lasem.text import printable

if TYPE_CHECKING:
    from lasem.report import Run
    from lasem.runs import RunOptions, Spec

RANDOM = (
    "the network has random weights, so a frozen stage holds random values; give --weights library, which downloads"
    " those of the library, or --weights FILE"
)
"""Warning about an answer for a network that is not pretrained."""


def layers(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN|PRESET|SPEC.toml]",
            help="Folder of a run that searched, or what to run first. Not with --images.",
            autocompletion=complete_targets,
        ),
    ] = None,
    images: Annotated[
        list[str] | None,
        typer.Option(metavar="DIR", help="Folder of your images to search on; several folders are one task each."),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="timm:NAME, or MODULE:FUNCTION. Default: efficientnet-lite0, pretrained."),
    ] = None,
    stages: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODULE,...", help="Submodules of one stage; once per stage. Default: known for networks of timm."
        ),
    ] = None,
    weights: Annotated[
        str | None, typer.Option(metavar="FILE|library", help="Weights of the network; library downloads them.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs per task. Default: those of the preset.")] = None,
    baselines: Annotated[
        bool,
        typer.Option("--baselines", help="Train static ways of tuning too, and compare."),
    ] = False,
    task: Annotated[int | None, typer.Option(help="Position of one task, from 0. Default: all tasks.")] = None,
    form: Annotated[Literal["table", "json"], typer.Option("--format", help="Form of the output.")] = "table",
    out: Annotated[Path | None, typer.Option(help="File to write. Default: print.")] = None,
    picture: Annotated[Path | None, typer.Option(help="File of a picture to draw: .pdf, .svg or .png.")] = None,
    settings: Settings = None,
    runs: Annotated[Path, typer.Option(help="Folder that contains the runs.")] = Path("runs"),
    data: Data = None,
    device: Device = "auto",
    threads: Threads = 0,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    plugins: Plugins = None,
) -> None:
    """Say which layers to freeze, share or tune.

    The answer is for images of your own, for a preset, or from the search of a run. A search trains a network on your
    images for a few epochs, in a run folder that can be resumed. JSON has the answer as lists of modules, as groups of
    parameters with factors of the learning rate, and as arguments of PEFT.

    Example: lasem layers --images photos --network timm:resnet18 --weights library
    """
    from lasem.runs import RunOptions

    if picture is not None:
        from lasem.report import require_suffix

        require_suffix(picture, "--picture")
    given = [name for name, value in (("images", images), ("a run", target)) if value]
    if len(given) != 1:
        raise SpecError(
            f"lasem layers must be given either images or a run (got {' and '.join(given) or 'neither'}); write"
            " lasem layers --images DIR, or lasem layers RUN"
        )
    costs: dict[str, float] = {}
    if target:
        require_absent({"--network": network, "--stages": stages, "--weights": weights}, "--images", got=target)
    if target and not _is_spec(target):
        wrong = {"--epochs": epochs, "--baselines": baselines, "--dry-run": dry_run, "--set": settings}
        require_absent(wrong, "--images, a preset or a spec, which are searched anew", got=target)
        _require_no_images(Path(target))
        found = {"search": _one_run(Path(target))}
    else:
        asked = {"network": network, "stages": stages, "weights": weights, "epochs": epochs}
        spec = _spec(target, images or [], asked, settings or [], plugins or [], data)
        specs = _specs(spec, baselines=baselines)
        if task is not None:
            _require_task(spec, task, data)
        options = RunOptions(out=runs, data=data, device=device, threads=threads)
        if not _train(list(specs.values()), options, dry_run=dry_run, quiet=quiet):
            return
        found = {name: _one_run(runs / one.folder) for name, one in specs.items()}
        costs = _costs(spec, found["search"])
    _answer(found, costs, task=task, form=form, out=out, picture=picture)


def _is_spec(target: str) -> bool:
    """Whether a target is a preset or a file of a spec, and no folder of a run."""
    from lasem.presets import benchmark_entries

    if Path(target).is_dir():
        return False
    return target.endswith(".toml") or target.split("/")[0] in {entry.name for entry in benchmark_entries()}


def _require_no_images(folder: Path) -> None:
    """Refuse a folder of images in place of a run."""
    from lasem.report import may_contain_runs

    if folder.is_dir() and not may_contain_runs(folder):
        raise SpecError(
            f"a folder of images must be given by --images (got {printable(folder)}, without any run below it); write"
            f" lasem layers --images {printable(folder)}"
        )


def _one_run(folder: Path) -> "Run":
    """Read the one run of a folder, and print its warnings."""
    from lasem.report import collect

    found = collect([folder])
    print_warnings(found)
    if len(found) != 1:
        raise ReportError(
            f"advice must be asked for one run (got {len(found)} in {printable(folder)}); name its folder"
        )
    return found[0]


def _spec(
    target: str | None,
    images: list[str],
    asked: dict[str, Any],
    settings: list[str],
    plugins: list[str],
    data: Path | None,
) -> "Spec":
    """Return the spec of the search: of a preset or a file, or composed for images."""
    from lasem.presets import check_names

    check_names([target] if target else [], settings)
    from lasem.registry import load_plugins
    from lasem.runs import LayerQuestion, resolve

    if target is None:
        load_plugins(plugins)
        chosen = {name: value for name, value in asked.items() if value}
        spec = LayerQuestion(images=images, settings=settings, **chosen).spec(data)
    else:
        shorter = [f"training.epochs={asked['epochs']}"] if asked["epochs"] else []
        spec = resolve(target, [*settings, *shorter], plugins=plugins)
    if spec.network.options.branches > FROZEN and not getattr(spec.network.options, "weights", None):
        OutputConsole(stderr=True).print(f"[yellow]warning:[/] {RANDOM}", highlight=False, soft_wrap=True)
    return spec


def _specs(spec: "Spec", *, baselines: bool) -> "dict[str, Spec]":
    """Return the search, and what it is compared with, by name."""
    from lasem.runs import rivals

    if spec.strategy.kind == "fixed":
        raise SpecError(
            f"lasem layers must be given a learner that searches (got {spec.learner.name!r} in {spec.name}); choose one"
            " such as lasem-hps-frozen"
        )
    return {"search": spec} | (rivals(spec) if baselines else {})


def _require_task(spec: "Spec", task: int, data: Path | None) -> None:
    """Refuse a task that the stream of a spec does not have, as far as that is known before the images are read."""
    tasks = spec.benchmark.options.count_visits(data)
    if tasks is not None:
        require(0 <= task < tasks, f"--task must be from 0 to {tasks - 1}", remedy="name one of them", task=task)


def _train(specs: "list[Spec]", options: "RunOptions", *, dry_run: bool, quiet: bool) -> bool:
    """Run specs to their end, or only say what they would take, and return whether they ran."""
    from lasem.preflight import Limits, check_with_suggestions
    from lasem.runs import choose_device

    where = choose_device(options.device)
    limits = Limits.of(where)
    checked = [(spec, check_with_suggestions(spec, limits, device=where)) for spec in specs]
    if dry_run:
        print_dry_runs(checked, options, limits)
        return False
    execute(checked, options, quiet=quiet, stderr=True)
    return True


def _costs(spec: "Spec", run: "Run") -> dict[str, float]:
    """Count what a search took in multiply-adds; nothing where its candidates took turns."""
    from lasem.benchmarks import Outline
    from lasem.preflight import search_cost
    from lasem.report import static_steps
    from lasem.runs import choose_device

    cost = search_cost(spec, Outline(**run.stream["outline"]), device=choose_device("cpu"))
    if cost is None:
        return {}
    steps = static_steps(run, work=cost.step().work, batch_size=spec.training.batch_size)
    return {"static_steps": round(steps, 2)}


def _answer(
    found: "dict[str, Run]",
    costs: dict[str, float],
    *,
    task: int | None,
    form: str,
    out: Path | None,
    picture: Path | None,
) -> None:
    """Print or write what the search has found, and draw the picture."""
    from lasem.report import chance, compare, layer_advice, write_figure

    run = found["search"]
    every = layer_advice(run)
    advice = [one for one in every if task in (None, one.task)]
    if not advice:
        known = ", ".join(str(one.task) for one in every)
        raise ReportError(f"a task must be one that the run has searched, {known} (got {task}); name one of them")
    rivals = compare(found) if run.finished else []
    if form == "json":
        text = layers_json(advice, rivals, costs)
    else:
        tables = [*map(advice_table, advice), *([rivals_table(rivals, chance(run, rivals))] if rivals else [])]
        text = "\n".join([*tables, *([cost_line(rivals, costs)] if rivals else [])])
    print_or_write(text, out, what=f"layers: {len(advice)} tasks")
    if picture is not None:
        write_figure("branches", [run], picture, tasks=[one.task for one in advice])
        OutputConsole(stderr=out is None).say(f"picture: {picture}")
