"""How much learners depend on the order of tasks: runs of one spec that differ in the order alone."""

import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lasem.errors import ReportError
from lasem.metrics import OrderDisparity, Spread, order_disparity, spread
from lasem.report._comparison import AROUND, spread_shown, with_interval
from lasem.report._groups import Group, finished_groups, labelled, trial
from lasem.report._run import Run, nested
from lasem.report._table import Column, Table, make_table

NOTE = (
    "disparity of a task = best less worst final accuracy over the orders with the same seeds, in points;"
    " mean and largest over tasks (AOPD and MOPD of Yoon et al. 2020)"
)


def orders_table(runs: Sequence[Run], *, deviation: bool = False) -> Table:
    """Compare learners by how much the final accuracy of tasks depends on their order.

    Args:
        runs: Finished runs of the same tasks in several orders; see `benchmark.order`.
        deviation: Whether the standard deviation stands behind ±, instead of the interval.

    Raises:
        ReportError: No learner was run with the same seeds in two orders.
    """
    found = {label: orders for label, group in labelled(_across_orders(runs)) if (orders := _by_seed(group))}
    if not found:
        raise ReportError(
            "the table of orders must have a learner with runs of equal seeds in two orders"
            f" (none of the {len(runs)} runs has);"
            " run a preset with --set benchmark.first_tasks=3 and with --set benchmark.order=[2,1,0], for example"
        )

    def column(key: str, title: str, spreads: Sequence[Spread]) -> Column:
        texts = [with_interval(spread_shown(item, deviation=deviation), scale=100) for item in spreads]
        return Column(key, title, texts, spreads)

    seeds = found.values()
    columns = [
        Column("learner", "learner", list(found), words=True),
        Column("orders", "orders", [max(one.orders for one in row) for row in seeds]),
        Column("runs", "seeds", [len(row) for row in seeds]),
        column("final", "final accuracy", [spread([one.final for one in row]) for row in seeds]),
        column("mean", "mean disparity", [spread([one.disparity.mean for one in row]) for row in seeds]),
        column("largest", "largest disparity", [spread([one.disparity.largest for one in row]) for row in seeds]),
    ]
    return make_table("Dependence on the order of tasks", columns, f"{NOTE}; mean ± {AROUND[deviation]} over seeds")


class _Seed(NamedTuple):
    """One learner with one seed in several orders."""

    orders: int
    final: float
    """Mean final accuracy over tasks and orders."""
    disparity: OrderDisparity


def _across_orders(runs: Sequence[Run]) -> list[Group]:
    """Group the finished runs that differ only by seed and order."""
    found: dict[str, Group] = {}
    for group in finished_groups(runs):
        spec, left_out = group[0].spec, ("order", "first_tasks")
        benchmark = {key: value for key, value in nested(spec.get("benchmark")).items() if key not in left_out}
        alike = {**spec, "benchmark": benchmark, "seeds": group[0].stream_seed}
        key = json.dumps(alike, sort_keys=True, default=str)
        found[key] = (*found.get(key, ()), *group)
    return list(found.values())


def _by_seed(group: Group) -> list[_Seed]:
    """Compare the orders of equal seeds and tasks, for every seed that has at least two of them."""
    rows: dict[object, dict[tuple[int, ...], list[float]]] = {}
    for run in group:
        order, final = tuple(task.identity for task in run.tasks), run.measures.accuracy[-1]
        if len(set(order)) == len(order) and None not in final:
            accuracy = dict(zip(order, final, strict=True))
            rows.setdefault((trial(run), frozenset(order)), {})[order] = [
                accuracy[task] or 0.0 for task in sorted(order)
            ]
    tables = [np.array(list(orders.values())) for orders in rows.values() if len(orders) > 1]
    return [_Seed(len(table), float(table.mean()), order_disparity(table)) for table in tables]
