"""TaskPlan: a base task before its images are drawn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lasem.benchmarks._source import Source
from lasem.benchmarks._transforms import UNCHANGED, Transform
from lasem.errors import SpecError
from lasem.seeds import numpy_generator

MAX_DRAWS = 1000


@dataclass(frozen=True, kw_only=True)
class TaskPlan:
    """Plan of a base task: its classes, domain and transform.

    Attributes:
        classes: Class ids of the source; the label of a class in the task is its position here.
        domain: Domain of the images; None if the source has no domains.
        transform: Transform of the images.
        name: Name for readers; None for the names of domain and classes.
    """

    classes: tuple[int, ...]
    domain: str | None = None
    transform: Transform = UNCHANGED
    name: str | None = None

    def title(self, source: Source) -> str:
        """Return the name of the task, which is made from its domain and classes unless a name was given."""
        classes = " / ".join(source.class_names[label] for label in self.classes)
        return self.name or (f"{self.domain}: {classes}" if self.domain else classes)


def distinct_plans(
    num_tasks: int, *, draw: Callable[[int, np.random.Generator], TaskPlan], stream_seed: int
) -> list[TaskPlan]:
    """Draw base tasks, any two of which differ in a class, the domain or the transform.

    Args:
        num_tasks: Number of tasks to draw.
        draw: Function that draws the plan of a task from its position and a random generator.
        stream_seed: Seed of the draws.

    Raises:
        SpecError: There seem to be too few different tasks.
    """
    plans: list[TaskPlan] = []
    seen: set[object] = set()
    for task in range(num_tasks):
        generator = numpy_generator(stream_seed, "task", task)
        # Drawing again until a task is new keeps every task equally likely; the limit ends impossible requests.
        drawn = (draw(task, generator) for _ in range(MAX_DRAWS))
        plan = next((plan for plan in drawn if (plan.classes, plan.domain, plan.transform) not in seen), None)
        if plan is None:
            raise SpecError(
                f"any two tasks of a stream must differ (got {num_tasks} tasks; {MAX_DRAWS} draws gave only {task}"
                " different ones); ask for fewer tasks, or for more classes or transforms to draw from"
            )
        plans.append(plan)
        seen.add((plan.classes, plan.domain, plan.transform))
    return plans


def domain_plans(domains: Sequence[str], groups: Sequence[tuple[int, ...]]) -> list[TaskPlan]:
    """Plan a task for every group of classes of every domain, domain by domain."""
    return [TaskPlan(classes=classes, domain=domain) for domain in domains for classes in groups]
