"""Which parameters of a backbone belong to which task, and how many a learner stores."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from torch import nn

from lasem.configurations import SHARED
from lasem.learners._status import ParameterCounts
from lasem.nn import Backbone


def belongs_to_task(parameter: str, task: int) -> bool:
    """Whether a parameter of a backbone, by name, is one task's own: its head, an own branch or a mapping."""
    words = parameter.split(".")
    return words[:2] == ["heads", str(task)] or words[2:4] in (["own", str(task)], ["mapping", str(task)])


def layers_of(backbone: Backbone) -> Callable[[], list[Iterator[nn.Parameter]]]:
    """Return a function that returns the parameters of every stage, and last those of all heads."""
    return partial(_layers, backbone)  # unlike a lambda, it can be pickled with its learner


def _layers(backbone: Backbone) -> list[Iterator[nn.Parameter]]:
    return [*(stage.parameters() for stage in backbone.iter_stages()), backbone.heads.parameters()]


def at_first_visits(visits: Sequence[int], sizes: Mapping[int, int]) -> list[int]:
    """Return each position's size, by identity, where its task came for the first time; 0 elsewhere."""
    return [sizes[task] if task not in visits[:i] else 0 for i, task in enumerate(visits)]


def count_parameters(
    backbone: Backbone, *, uses: Sequence[tuple[bool, ...]], visits: Sequence[int], search: int, rollback: int
) -> ParameterCounts:
    """Count the parameters that are stored (LASEM, appendix E).

    Args:
        backbone: The network whose parameters are counted.
        uses: Per stage and digit, whether any candidate can use that branch.
        visits: Identities of the tasks by position; a task's parameters count at its first visit.
        search: Most parameters trained at once so far.
        rollback: Most values kept so far to undo what a task does not share.
    """
    stages = list(zip(backbone.iter_stages(), uses, strict=True))
    shared = sum(p.numel() for stage, used in stages if used[SHARED] for p in stage.shared.parameters())
    shared += sum(stage.num_initial for stage, used in stages if stage.reads_initial(used))
    sizes = {name: p.numel() for name, p in backbone.named_parameters()}
    of_tasks = {
        identity: sum(size for name, size in sizes.items() if belongs_to_task(name, identity)) for identity in {*visits}
    }
    return ParameterCounts(shared=shared, per_task=at_first_visits(visits, of_tasks), search=search, rollback=rollback)


def count_trial(backbone: Backbone) -> int:
    """Count the values of shared knowledge that are copied for the open task."""
    trials = [stage.trial for stage in backbone.iter_stages() if stage.trial is not None]
    return sum(parameter.numel() for trial in trials for parameter in trial.parameters())
