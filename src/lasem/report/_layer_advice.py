"""Which layers to freeze, share or tune: the answer of a finished search, also as settings of other tools."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lasem.configurations import BRANCHES, FROZEN, Partition
from lasem.errors import ReportError
from lasem.records import TaskHistory, close_call
from lasem.report._run import Run, listed

NUMBERED = re.compile(r"(?P<pattern>[^.]+(\.[^.\d]+)*)\.(?P<number>\d+)$")
"""Name of a module in a numbered list, such as "blocks.3" or "encoder.layer.11"."""
ACTIONS = {"own": "tune for this task", "shared": "share", "frozen": "freeze"}
"""What to do with a stage, by the branch that the task took."""


@dataclass(frozen=True)
class StageAdvice:
    """What a task should do with one stage.

    Attributes:
        modules: Names of the stage's modules.
        branch: The branch that the task took: "own", "shared" or "frozen".
        probabilities: Probability of each branch when the search ended, by its name. With the prior "sum", every
            image that evidence was computed on counts once in it.
    """

    modules: tuple[str, ...]
    branch: str
    probabilities: dict[str, float]

    @property
    def action(self) -> str:
        """What to do with the stage, in words."""
        return ACTIONS[self.branch]

    @property
    def trained(self) -> float:
        """Probability that the stage is trained, as an own or as a shared one."""
        return self.probabilities["own"] + self.probabilities["shared"]


@dataclass(frozen=True)
class TaskAdvice:
    """What a task should do with every stage.

    Attributes:
        task: Position of the task.
        name: Name of the task.
        stages: One piece of advice per stage, the stage next to the input first.
        doubt: Why the data cannot tell, in words; None where it can.
    """

    task: int
    name: str
    stages: tuple[StageAdvice, ...]
    doubt: str | None

    def record(self) -> dict[str, Any]:
        """Return the advice as plain data, with settings that other tools take.

        `freeze` and `tune` list names of modules, `parameter_groups` a factor of the learning rate for each stage (the
        probability that it is trained), and `peft` the two arguments of a PEFT configuration; it is None where a module
        to tune is not in a numbered list.
        """
        tuned = [stage for stage in self.stages if stage.branch != BRANCHES[FROZEN]]
        frozen = [stage for stage in self.stages if stage.branch == BRANCHES[FROZEN]]
        return {
            "task": self.task,
            "name": self.name,
            "stages": [
                {"modules": list(stage.modules), "branch": stage.branch, "probabilities": stage.probabilities}
                for stage in self.stages
            ],
            "freeze": [module for stage in frozen for module in stage.modules],
            "tune": [module for stage in tuned for module in stage.modules],
            "parameter_groups": [
                {"modules": list(stage.modules), "learning_rate_factor": round(stage.trained, 4)}
                for stage in self.stages
            ],
            "peft": _peft([module for stage in tuned for module in stage.modules]),
            "doubt": self.doubt,
        }


def layer_advice(run: Run) -> list[TaskAdvice]:
    """Return what each task of a run should do with every stage.

    Args:
        run: A run whose learner searched.

    Raises:
        ReportError: No task of the run was decided by a search.
    """
    found = [_of_task(run, task) for task in run.tasks if task.decision and _marginals(run, task)]
    if not found:
        raise ReportError(
            f"advice about layers must come from a run that searched and ended a task (got {run.folder});"
            " run a learner such as lasem-hps, or lasem-hps-frozen for a pretrained network"
        )
    return found


def _of_task(run: Run, task: TaskHistory) -> TaskAdvice:
    """Return the advice for one task."""
    decision, marginals = task.decision, _marginals(run, task)
    digits = (decision and decision.configuration) or []
    partition = run.partition or Partition.single(len(digits))
    if partition.num_layers != len(digits) or len(marginals) != partition.num_groups:
        raise ReportError(
            f"a partition must count the stages of the network (got {len(digits)} stages, and a partition"
            f" of {partition.num_layers} layers, in {run.folder}); search over groups of stages"
        )
    groups = partition.layer_digits(range(partition.num_groups))
    names = [str(layer.get("name") or layer.get("kind")) for layer in listed(run.environment.get("layers"))]
    stages = tuple(
        StageAdvice(
            tuple(names[stage].split("+")) if len(names) == len(digits) else (f"layer {stage + 1}",),
            BRANCHES[digit],
            dict(zip(BRANCHES, marginals[groups[stage]], strict=True)),
        )
        for stage, digit in enumerate(digits)
    )
    return TaskAdvice(task.position, task.name, stages, _doubt(run, task))


def _doubt(run: Run, task: TaskHistory) -> str | None:
    """Return why the data cannot tell what to do with a task; None where it can."""
    if task.decision and (close := close_call(task.decision, power=run.power_once(task))):
        return close
    if task.track.informed == 0:
        return f"the evidence of task {task.position} told candidates apart in no epoch"
    return None


def _marginals(run: Run, task: TaskHistory) -> list[tuple[float, float, float]]:
    """Return the probabilities (own, shared, frozen) of each group after the task's last epoch; empty without any."""
    for epoch in reversed(task.epochs):
        if epoch.branch_marginals is None and epoch.marginals is None:
            continue
        power = run.power_once(task)
        if power != 1 and epoch.prior and task.task and task.task.candidates:
            return _sharpened(dict(epoch.prior), task.task.candidates, power=power)
        if epoch.branch_marginals is not None:
            return list(epoch.branch_marginals)
        return [(1 - shared, shared, 0.0) for shared in epoch.marginals or ()]
    return []


def _sharpened(
    prior: Mapping[int, float], candidates: Sequence[str], *, power: float
) -> list[tuple[float, float, float]]:
    """Return the probabilities of each group's branches by a power of the candidates' prior."""
    weights = np.array([prior.get(index, 0.0) for index in range(len(candidates))])
    weights = (weights / weights.max()) ** power
    weights /= weights.sum()
    digits = np.array([[int(digit) for digit in name] for name in candidates])
    shares = np.stack([weights @ (digits == digit) for digit in range(len(BRANCHES))], axis=1)
    return [(float(own), float(shared), float(frozen)) for own, shared, frozen in shares]


def _peft(modules: Sequence[str]) -> dict[str, Any] | None:
    """Return `layers_pattern` and `layers_to_transform` for modules that are all in one numbered list."""
    found = [NUMBERED.match(module) for module in modules]
    patterns = {match["pattern"] for match in found if match}
    if len(patterns) != 1 or not all(found):
        return None
    numbers = sorted(int(match["number"]) for match in found if match)
    return {"layers_pattern": patterns.pop().rpartition(".")[2], "layers_to_transform": numbers}
