"""The tables by name, and those that compare learners."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from lasem.errors import ReportError, nearest
from lasem.metrics import spread
from lasem.report._comparison import AROUND, MEASURES, RANKS, ComparisonRow, comparison_rows, spread_shown
from lasem.report._costs import memory_table, time_table
from lasem.report._groups import differing_settings
from lasem.report._orders import orders_table
from lasem.report._published import published_result, settings_table
from lasem.report._run import Run
from lasem.report._table import Column, Table, make_table

MEANS = {False: f"mean ± {AROUND[False]} over seeds (Student t)", True: f"mean ± {AROUND[True]} over seeds"}


def comparison_table(runs: Sequence[Run], *, deviation: bool = False) -> Table:
    """Compare learners: one line per spec; unfinished runs have lines of their own, with a star.

    Args:
        runs: Runs of any learners and benchmarks.
        deviation: Whether the standard deviation stands behind ±, instead of the interval.
    """
    rows = comparison_rows(runs)
    benchmarks = sorted({row.benchmark for row in rows})
    names = [Column("learner", "learner", [_starred(row) for row in rows], words=True)]
    if len(benchmarks) > 1:
        names.append(Column("benchmark", "benchmark", [row.benchmark for row in rows], words=True))
    measures = _measure_columns(rows, tuple(MEASURES), deviation)
    columns = [
        *names,
        Column("runs", "seeds", [len(row.runs) for row in rows]),
        Column("tasks", "tasks", [row.tasks for row in rows]),
        *measures,
    ]
    unfinished = "" if all(row.finished for row in rows) else "; * unfinished"
    printed = any(text for column in measures if column.key.startswith("paper-") for text in column.texts)
    paper = "; paper = as printed there, for the full settings only" if printed else ""
    note = f"{MEANS[deviation]}; {RANKS}{unfinished}{paper}"
    settings = differing_settings([row.runs[0] for row in rows])
    return make_table(f"Comparison on {', '.join(benchmarks)}", columns, note, num_names=len(names), settings=settings)


def groups_table(runs: Sequence[Run], *, deviation: bool = False) -> Table:
    """Compare sharing all layers with searches over groups of layers, by stream and network (table 2).

    Raises:
        ReportError: No run searched over groups.
    """
    compared = [run for run in runs if run.static_configuration == "all" or run.strategy == "em"]
    grouped = {(run.benchmark, run.network) for run in compared if run.partition and run.strategy == "em"}
    if not grouped:
        raise ReportError(
            "the table of groups must have a run that searched over groups of layers"
            f" (none of the {len(runs)} runs did);"
            " run for example cifar100-10/resnet-18/lasem-hps-5-groups and cifar100-10/resnet-18/hps"
        )
    rows = comparison_rows([run for run in compared if (run.benchmark, run.network) in grouped])
    rows.sort(key=lambda row: (row.benchmark, row.runs[0].network))
    columns = [
        Column("learner", "learner", [_starred(row) for row in rows], words=True),
        Column("benchmark", "benchmark", [row.benchmark for row in rows], words=True),
        Column("network", "network", [row.runs[0].network for row in rows], words=True),
        Column("groups", "groups", [_num_groups(row.runs[0]) for row in rows]),
        Column("runs", "seeds", [len(row.runs) for row in rows]),
        *_measure_columns(rows, ("peak", "forgetting-ratio", "seconds"), deviation),
    ]
    return make_table("Groups of layers", columns, f"{MEANS[deviation]}; {RANKS}")


class TableEntry(NamedTuple):
    """A table that can be made."""

    summary: str
    make: Callable[..., Table]
    """Make the table of some runs, with standard deviations where `deviation` is set."""


TABLES: Mapping[str, TableEntry] = MappingProxyType(
    {
        "comparison": TableEntry("the main comparison: accuracy, forgetting, time and parameters", comparison_table),
        "groups": TableEntry("sharing all layers against searches over groups of layers (table 2)", groups_table),
        "time": TableEntry("training time, and how it compares with sharing all layers (appendix D)", time_table),
        "memory": TableEntry("numbers of parameters, against the bounds of appendix E", memory_table),
        "orders": TableEntry("how much learners depend on the order of tasks (AOPD and MOPD)", orders_table),
        "settings": TableEntry("settings of the experiments, paper and ours (table 4)", settings_table),
    }
)
"""Tables by name, in the order of `lasem table --list`."""


def table(name: str, runs: Sequence[Run], *, deviation: bool = False) -> Table:
    """Make a table.

    Args:
        name: Key of `TABLES`.
        runs: The runs to compare.
        deviation: Whether the standard deviation stands behind ±, instead of the 95% interval.

    Raises:
        ReportError: There is no such table, or the runs lack what it compares.
    """
    if name not in TABLES:
        raise ReportError(f"a table must be one of {', '.join(TABLES)} (got {name!r}); {nearest(name, TABLES)}")
    return TABLES[name].make(runs, deviation=deviation)


def _measure_columns(rows: Sequence[ComparisonRow], keys: Sequence[str], deviation: bool) -> list[Column]:
    """A column per measure; before it, what the paper reports where it may report something."""
    columns = []
    for key in keys:
        measure, spreads = MEASURES[key], [row.spreads[key] for row in rows]
        if key in ("peak", "seconds"):
            columns.append(Column(f"paper-{key}", f"paper: {measure.title}", [_printed(row, key) for row in rows]))
        texts = [measure.text(spread_shown(values, deviation=deviation)) for values in spreads]
        columns.append(Column(key, measure.title, texts, spreads, [row.ranks[key] for row in rows]))
    return columns


def _starred(row: ComparisonRow) -> str:
    return row.learner + ("" if row.finished else "*")


def _num_groups(run: Run) -> object:
    if run.strategy == "em":
        return run.partition.num_groups if run.partition else "each layer"
    return "all" if run.static_configuration == "all" else "each layer"


def _printed(row: ComparisonRow, key: str) -> str:
    """What the paper reports, empty where it reports nothing."""
    found = published_result(row.runs[0])
    if found is None or not row.finished:
        return ""
    return f"{found.peak} ± {found.plus_minus}" if key == "peak" else MEASURES["seconds"].text(spread([found.seconds]))
