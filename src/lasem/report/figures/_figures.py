"""The figures by name: what each needs of the runs, and the words for what is missing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from matplotlib.figure import Figure

from lasem.errors import ReportError, nearest
from lasem.report._choices import choices, shared_fractions
from lasem.report._costs import cost_points, regrets
from lasem.report._curves import entropy, margin, mean_curves, task_searches, test_accuracy, validation_accuracy
from lasem.report._groups import same_spec
from lasem.report._layer_advice import layer_advice
from lasem.report._over_tasks import accuracy_matrices, forgetting_panels, growth
from lasem.report._run import Run
from lasem.report.figures import (
    _choice_figures,
    _cost_figures,
    _curve_figures,
    _network_figure,
    _over_tasks_figures,
)
from lasem.report.figures._style import UNDATED, content, save, styled

Item = TypeVar("Item")

MOST_PANELS = 12
"""Learners with a panel each in one figure."""


class Selection(NamedTuple):
    """What of the runs to draw, where a figure leaves a choice."""

    tasks: tuple[int, ...] = ()
    """Positions of tasks; all where empty."""


class FigureEntry(NamedTuple):
    """A figure that can be drawn.

    Attributes:
        summary: What it shows.
        draw: Draws it.
        by_task: Whether it has a panel per task, of which some can be selected.
    """

    summary: str
    draw: Callable[[Sequence[Run], Selection], Figure]
    by_task: bool = False


@dataclass(frozen=True)
class Drawing:
    """A drawn figure, which a notebook shows without further commands, and which can be saved.

    Attributes:
        figure: The figure of Matplotlib, which you may change.
    """

    figure: Figure

    def save(self, out: str | Path) -> None:
        """Write the figure into a file.

        Args:
            out: The file, whose suffix decides the format: .pdf, .svg or .png.

        Raises:
            ReportError: The suffix is another one.
            RunError: The system refuses to write the file.
        """
        require_suffix(Path(out))
        save(self.figure, Path(out))

    def _repr_png_(self) -> bytes:
        """Return the figure as a notebook shows it."""
        return content(self.figure, ".png")


def draw_figure(name: str, runs: Sequence[Run], *, tasks: Sequence[int] = ()) -> Drawing:
    """Draw a figure of runs.

    Args:
        name: Key of `FIGURES`.
        runs: The runs to draw.
        tasks: Positions of the tasks to draw, for figures with one panel per task; all tasks where it is empty.

    Raises:
        ReportError: There is no such figure, runs or tasks that it shows are missing, or it does not show single tasks.

    Example:
        >>> lasem.report.draw_figure("forgetting", lasem.report.collect(["runs"]))  # doctest: +SKIP
    """
    if name not in FIGURES:
        raise ReportError(f"a figure must be one of {', '.join(FIGURES)} (got {name!r}); {nearest(name, FIGURES)}")
    if tasks and not FIGURES[name].by_task:
        by_task = [key for key, entry in FIGURES.items() if entry.by_task]
        raise ReportError(
            f"tasks must be left out of the figure {name} (got {', '.join(map(str, tasks))}); the figures"
            f" {' and '.join(by_task)} show single tasks"
        )
    with styled():
        return Drawing(FIGURES[name].draw(runs, Selection(tuple(tasks))))


def write_figure(name: str, runs: Sequence[Run], out: Path, *, tasks: Sequence[int] = ()) -> None:
    """Draw a figure of runs into a file.

    Args:
        name: Key of `FIGURES`.
        runs: The runs to draw.
        out: The file, whose suffix decides the format: .pdf, .svg or .png.
        tasks: Positions of the tasks to draw, for figures with one panel per task; all tasks where it is empty.

    Raises:
        ReportError: There is no such figure or format, or runs that it shows are missing.
    """
    if name in FIGURES:
        require_suffix(out)
    draw_figure(name, runs, tasks=tasks).save(out)


def require_suffix(out: Path, option: str = "--out") -> None:
    """Refuse the file of a figure whose format is unknown.

    Args:
        out: The file, which need not exist.
        option: Option of the command line that names it.

    Raises:
        ReportError: The suffix is not one of a figure.
    """
    if out.suffix not in UNDATED:
        raise ReportError(
            f"a figure's file must end in one of {', '.join(UNDATED)} (got {option} {out}); choose one of these"
        )


def _draw_search(runs: Sequence[Run], selection: Selection) -> Figure:
    run = _one([run for run in runs if task_searches(run)], "search", SEARCHED)
    found = task_searches(run)
    chosen = _selected({item.position: item for item in found}, "search", selection)
    most = _curve_figures.MOST_TASKS
    spaced = [chosen[i * (len(chosen) - 1) // (most - 1)] for i in range(most)] if len(chosen) > most else chosen
    return _curve_figures.search(spaced, of=len(found))


def _draw_branches(runs: Sequence[Run], selection: Selection) -> Figure:
    found = layer_advice(_one([run for run in runs if task_searches(run)], "branches", SEARCHED))
    chosen = _selected({item.task: item for item in found}, "branches", selection)
    return _choice_figures.branches(chosen[:MOST_PANELS], of=len(found))


def _draw_learning_curves(runs: Sequence[Run], selection: Selection) -> Figure:
    tested = mean_curves(runs, test_accuracy)
    data = tested if tested.bands else mean_curves(runs, validation_accuracy)
    _some(data.bands, "learning-curves", ENDED)
    return _curve_figures.learning_curves(data, "test" if tested.bands else "validation")


def _draw_entropy(runs: Sequence[Run], selection: Selection) -> Figure:
    entropies = mean_curves(runs, entropy)
    _some(entropies.bands, "entropy", SEARCHED)
    return _curve_figures.decidedness(entropies, mean_curves(runs, margin))


def _draw_network(runs: Sequence[Run], selection: Selection) -> Figure:
    """The one network, with the shares of the one learner that searched it, if there is one."""
    groups = [(_network_figure.network_outline(group[0]), group) for group in same_spec(runs)]
    searched = [(found, group) for found, group in groups if choices(group)]
    candidates = searched if len(searched) == 1 else groups
    different = {(found.name, tuple(found.groups)): group[0].folder for found, group in candidates}
    if len(different) > 1:
        raise ReportError(
            "runs of the figure network must have one network with one partition"
            f" (got {len(different)}, of {', '.join(different.values())}); name the folders of one"
        )
    found = candidates[0][0]
    chosen = choices(searched[0][1]) if len(searched) == 1 else []
    known = bool(chosen) and len(chosen[0].layers) == len(found.layers)
    return _network_figure.network(found, chosen[0] if known else None)


def _drawing(
    name: str, compute: Callable[[Sequence[Run]], list[Item]], draw: Callable[[Sequence[Item]], Figure], wanted: str
) -> Callable[[Sequence[Run], Selection], Figure]:
    """Return the function that draws what is computed of some runs, and says what is wanted where that is nothing."""
    return lambda runs, _: draw(_some(compute(runs), name, wanted))


ENDED = "a run with a task that has ended"
SEARCHED = "a run that searches by EM or DARTS, such as digits/lasem-hps, with a task that has ended"
RIVALS = (
    "finished runs of brute force and of another learner with the same stream, network, mechanism and seeds, such as"
    " digits/brute-force-hps and digits/lasem-hps"
)

FIGURES: Mapping[str, FigureEntry] = MappingProxyType(
    {
        "search": FigureEntry(
            "probability of every configuration over training, with marginals (figure 3)", _draw_search, by_task=True
        ),
        "branches": FigureEntry(
            "probability of each branch of every stage, task by task", _draw_branches, by_task=True
        ),
        "network": FigureEntry(
            "a network, its partition, and how often each layer is shared (figure 7)", _draw_network
        ),
        "configurations": FigureEntry(
            "the configurations chosen most often (figure 8, top)",
            _drawing("configurations", choices, _choice_figures.configurations, SEARCHED),
        ),
        "layers": FigureEntry(
            "share of tasks in which each layer transfers (figure 8, bottom)",
            _drawing("layers", choices, _choice_figures.layers, SEARCHED),
        ),
        "forgetting": FigureEntry(
            "forgetting ratio of every learner as tasks arrive (figure 9)",
            _drawing(
                "forgetting", forgetting_panels, _over_tasks_figures.forgetting, "a finished run of at least two tasks"
            ),
        ),
        "learning-curves": FigureEntry("accuracy by the epochs of a task, mean over tasks", _draw_learning_curves),
        "accuracy-matrix": FigureEntry(
            "accuracy of every task after every task",
            _drawing("accuracy-matrix", accuracy_matrices, _over_tasks_figures.accuracy_matrix, ENDED),
        ),
        "share-map": FigureEntry(
            "which layers each task shares",
            _drawing("share-map", shared_fractions, _choice_figures.share_map, "a learner with configurations"),
        ),
        "entropy": FigureEntry("entropy of the prior and margin of its leader, by the epochs of a task", _draw_entropy),
        "regret": FigureEntry(
            "what brute force reaches beyond a learner", _drawing("regret", regrets, _cost_figures.regret, RIVALS)
        ),
        "cost": FigureEntry(
            "accuracy against training time and parameters",
            _drawing("cost", cost_points, _cost_figures.cost, "a finished run"),
        ),
        "growth": FigureEntry(
            "parameters and units as tasks arrive",
            _drawing("growth", growth, _over_tasks_figures.growth, f"{ENDED} and records of its parameters"),
        ),
    }
)
"""Figures by name, in the order of `lasem figure --list`."""


def _selected(found: Mapping[int, Item], name: str, selection: Selection) -> list[Item]:
    """Return what was found of the selected tasks, or of all where none are selected.

    Raises:
        ReportError: A selected task was not searched.
    """
    unknown = [str(task) for task in selection.tasks if task not in found]
    if unknown:
        raise ReportError(
            f"tasks of the figure {name} must have been searched (got {', '.join(unknown)}); choose of"
            f" {', '.join(map(str, found))}"
        )
    return [item for task, item in found.items() if task in selection.tasks or not selection.tasks]


def _some(items: list[Item], name: str, wanted: str) -> list[Item]:
    """The items, of which a figure needs at least one, and not more than a page can show.

    Raises:
        ReportError: There is none, or there are too many.
    """
    if not items:
        raise ReportError(f"the figure {name} must have {wanted} (got runs without); run it, or name its folder")
    if len(items) > MOST_PANELS:
        raise ReportError(
            f"the figure {name} must have at most {MOST_PANELS} learners (got {len(items)}); name fewer folders of runs"
        )
    return items


def _one(runs: list[Run], name: str, wanted: str) -> Run:
    """The one run, or the first of several seeds of one spec.

    Raises:
        ReportError: There is none, or runs of several specs.
    """
    if len(same_spec(runs)) > 1:
        paths = ", ".join(group[0].folder for group in same_spec(runs)[:4])
        raise ReportError(
            f"runs of the figure {name} must have one spec (got several: {paths}); name the folder of one"
        )
    return _some(runs, name, wanted)[0]
