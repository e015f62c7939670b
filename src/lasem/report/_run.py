"""One run as its folder tells it: what was set, what happened, and the measures of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lasem.configurations import Partition
from lasem.errors import SpecError
from lasem.metrics import Measures
from lasem.records import Event, Parameters, Result
from lasem.report._history import TaskHistory, measured, task_histories


@dataclass(frozen=True)
class Run:
    """One run as its folder tells it; whatever the folder lacks is empty or None.

    Attributes:
        path: The folder.
        name: The spec's name, else the folder's.
        seed: The training seed; None where nothing says it.
        spec: The spec as nested tables.
        spec_text: The spec as written.
        environment: Versions, device, data; every key is optional.
        stream: How the stream was drawn, without the indices of its images; every key is optional.
        events: What happened, in order.
        result: The end of the run; None while it has none.
        warnings: What a reader of this run's numbers should know.
    """

    path: Path
    name: str
    seed: int | None
    spec: Mapping[str, Any]
    spec_text: str
    environment: Mapping[str, Any]
    stream: Mapping[str, Any]
    events: tuple[Event, ...]
    result: Result | None
    warnings: tuple[str, ...]

    # What was set

    @property
    def learner(self) -> str:
        """Name of the learner; "unknown" where nothing says it."""
        return self._name_of("learner")

    @property
    def benchmark(self) -> str:
        """Name of the benchmark; "unknown" where nothing says it."""
        return self._name_of("benchmark")

    @property
    def network(self) -> str:
        """Name of the network; "unknown" where nothing says it."""
        return self._name_of("network")

    @property
    def profile(self) -> str:
        """Name of the profile; "unknown" where nothing says it."""
        return self._name_of("profile")

    @property
    def strategy(self) -> str:
        """How configurations were found: "fixed", "em", "darts", "brute-force", or the kind of another learner."""
        kind = self.setting("learner", "kind") or "selective"
        return str(self.setting("learner", "strategy") or "fixed") if kind == "selective" else str(kind)

    @property
    def static_configuration(self) -> str | None:
        """Name of the configuration that every task takes, such as "all"; None where it is searched."""
        return str(self.setting("learner", "configuration") or "all") if self.strategy == "fixed" else None

    @property
    def mechanism(self) -> str:
        """Name of the mechanism by which a shared branch gets its parameters, such as "hps"."""
        return str(self.setting("learner", "mechanism") or "hps")

    @property
    def partition(self) -> Partition | None:
        """The partition into groups that the spec names; None where it names none or cannot be read."""
        written = self.setting("search", "partition")
        try:
            return Partition.parse(str(written)) if written else None
        except SpecError:
            return None

    def setting(self, table: str, key: str) -> object:
        """One value of the spec; None where it has none."""
        return nested(self.spec.get(table)).get(key)

    # What happened

    @property
    def finished(self) -> bool:
        """Whether the stream was learned to its end."""
        return self.result is not None and self.result.complete

    @cached_property
    def num_tasks(self) -> int | None:
        """Number of tasks in the whole stream; None where nothing says it."""
        if self.finished and self.result is not None:
            return len(self.result.tasks)
        return len(nested(self.stream.get("outline")).get("identities", ())) or None

    @cached_property
    def tasks(self) -> list[TaskHistory]:
        """The tasks that the records tell of, by position in the stream."""
        return task_histories(self.events)

    @cached_property
    def measures(self) -> Result | Measures:
        """The result of a finished run; of another one, the same measures of what its records tell so far."""
        if self._result_counts and self.result is not None:
            return self.result
        reference = "peak" if self.setting("evaluation", "reference") == "peak" else "end"
        return measured(self.tasks, reference=reference)

    @cached_property
    def task_names(self) -> list[str]:
        """Name of every task that the run has begun."""
        return list(self.measures.tasks) if isinstance(self.measures, Result) else [task.name for task in self.tasks]

    @cached_property
    def configurations(self) -> list[str | None]:
        """Configuration of every task: one digit per layer, 1 = shared, first layer first; None where undecided."""
        if isinstance(self.measures, Result):
            bits = self.measures.configurations or [None] * len(self.measures.tasks)
        else:
            bits = [task.decision.configuration if task.decision else None for task in self.tasks]
        return [None if row is None else "".join(map(str, row)) for row in bits]

    @property
    def num_learned(self) -> int:
        """Number of tasks whose training has ended."""
        return sum(row[i] is not None for i, row in enumerate(self.measures.accuracy))

    @property
    def parameters(self) -> Parameters | None:
        """Numbers of parameters at the end; None while the run is not finished."""
        return self.measures.parameters if isinstance(self.measures, Result) else None

    @property
    def num_parameters(self) -> int | None:
        """Number of parameters at the end, shared ones and those of all tasks; None while it is not finished."""
        return self.parameters and self.parameters.shared + sum(self.parameters.per_task)

    @cached_property
    def training_seconds(self) -> float | None:
        """Wall-clock time of training, without evaluation; None before the first epoch."""
        if isinstance(self.measures, Result):
            return self.measures.seconds.training
        seconds = [record.training_seconds for task in self.tasks for record in task.epochs]
        return sum(seconds) if seconds else None

    @cached_property
    def evaluation_seconds(self) -> float | None:
        """Wall-clock time of evaluation; None before the first epoch."""
        if isinstance(self.measures, Result):
            return self.measures.seconds.evaluation
        seconds = [record.evaluation_seconds for task in self.tasks for record in task.epochs]
        return sum(seconds) if seconds else None

    @property
    def _result_counts(self) -> bool:
        """Whether ``result.json`` tells more than the records: those of an unfinished run go further."""
        return self.result is not None and (self.finished or not self.tasks)

    def _name_of(self, table: str) -> str:
        if self.result is not None:
            return getattr(self.result, table)
        value = self.spec.get(table)
        return str(value.get("name", "unknown") if isinstance(value, Mapping) else value or "unknown")


def nested(value: object) -> Mapping[str, Any]:
    """A nested table, or an empty one where something else stands there."""
    return value if isinstance(value, Mapping) else {}
