"""One run as its folder tells it: what was set, what happened, and the measures of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lasem.configurations import FROZEN, Partition
from lasem.errors import SpecError
from lasem.records import Event, History, Measures, Parameters, Result, TaskHistory, measures_of, power_once
from lasem.text import printable


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

    def __repr__(self) -> str:
        """Return a line about the run, without its events."""
        state = "finished" if self.finished else "unfinished"
        return f"Run({self.name!r}, seed={self.seed}, {self.num_learned} tasks learned, {state}, {self.folder!r})"

    @property
    def folder(self) -> str:
        """The folder as text that can be shown anywhere."""
        return printable(self.path)

    @property
    def folder_name(self) -> str:
        """Name of the folder, without those above it, as text that can be shown anywhere."""
        return printable(self.path.name)

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
        """How configurations were found, such as "fixed", "em" or "brute-force"; or the kind of another learner."""
        kind = self.setting("learner", "kind") or "selective"
        return str(self.setting("learner", "strategy") or "fixed") if kind == "selective" else str(kind)

    @property
    def searches(self) -> bool:
        """Whether the spec names a strategy that chooses among configurations."""
        return (self.setting("learner", "kind") or "selective") == "selective" and self.strategy != "fixed"

    @property
    def shares(self) -> bool:
        """Whether the spec lets tasks share layers by a mechanism."""
        return self.searches or self.static_configuration not in (None, "none", "frozen")

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

    @property
    def stream_seed(self) -> int | None:
        """Seed of the tasks; None where nothing says it."""
        return whole(self.setting("seeds", "stream"))

    @property
    def data_seed(self) -> int | None:
        """Seed of the images; None where nothing says it."""
        return whole(self.setting("seeds", "data"))

    def setting(self, table: str, key: str) -> object:
        """One value of the spec; None where it has none."""
        return nested(self.spec.get(table)).get(key)

    def power_once(self, task: TaskHistory) -> float:
        """Return the power of a task's prior in which every image counts once; see `lasem.records.power_once`."""
        epochs, batch_size = (whole(self.setting("training", key)) for key in ("epochs", "batch_size"))
        images = task.task.images if task.task else {}
        if not epochs or not batch_size or not {"train", "valid"} <= images.keys():
            return 1.0
        settled = task.decision.settled if task.decision else None
        try:
            search = nested(self.spec.get("search"))
            return power_once(search, epochs=epochs, batch_size=batch_size, images=images, settled=settled)
        except (TypeError, ArithmeticError):  # the spec of a folder that something else wrote
            return 1.0

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
        return len(listed(nested(self.stream.get("outline")).get("identities"))) or None

    @cached_property
    def history(self) -> History:
        """The events in order by task."""
        return History(self.events)

    @property
    def tasks(self) -> list[TaskHistory]:
        """The tasks that the records tell of, by position in the stream."""
        return self.history.tasks

    @cached_property
    def measures(self) -> Measures:
        """The result of a finished run; of another one, the same measures of what its records tell so far."""
        if self._counted_result is not None:
            return self._counted_result
        reference = "peak" if self.setting("evaluation", "reference") == "peak" else "end"
        return measures_of(self.history, reference=reference)

    @cached_property
    def task_names(self) -> list[str]:
        """Name of every task that the run has begun."""
        result = self._counted_result
        return [task.name for task in self.tasks] if result is None else result.tasks

    @cached_property
    def configurations(self) -> list[str | None]:
        """Configuration of every task: one digit per layer, first layer first; None where undecided."""
        result = self._counted_result
        found = self.history.configurations if result is None else result.configurations or [None] * len(result.tasks)
        return [None if row is None else "".join(map(str, row)) for row in found]

    @cached_property
    def branches(self) -> int:
        """Number of branches that the run tells of: 2 (own and shared), or 3 with the frozen one."""
        chosen = any(str(FROZEN) in digits for digits in self.configurations if digits)
        return 3 if chosen else max((task.branches for task in self.tasks), default=2)

    @property
    def num_learned(self) -> int:
        """Number of tasks whose training has ended."""
        return sum(row[i] is not None for i, row in enumerate(self.measures.accuracy))

    @property
    def parameters(self) -> Parameters | None:
        """Numbers of parameters at the end; None while the run is not finished."""
        return self._counted_result and self._counted_result.parameters

    @property
    def num_stored(self) -> int | None:
        """Number of values stored at the end, those that are no parameters included; None while it is not finished."""
        return self.parameters and self.parameters.held

    @property
    def training_seconds(self) -> float | None:
        """Wall-clock time of training, without evaluation; None before the first epoch."""
        if self._counted_result is not None:
            return self._counted_result.seconds.training
        return self.history.training_seconds if self.history.latest_epoch else None

    @property
    def cpu_seconds(self) -> float | None:
        """CPU time of training, over all threads; None before the first epoch, and where the records lack it."""
        if self._counted_result is not None:
            return self._counted_result.seconds.cpu
        return self.history.cpu_seconds if self.history.latest_epoch else None

    @property
    def evaluation_seconds(self) -> float | None:
        """Wall-clock time of evaluation; None before the first epoch."""
        if self._counted_result is not None:
            return self._counted_result.seconds.evaluation
        return self.history.evaluation_seconds if self.history.latest_epoch else None

    @property
    def _counted_result(self) -> Result | None:
        """The result, except of an unfinished run with records: these go further."""
        return self.result if self.finished or not self.tasks else None

    def _name_of(self, table: str) -> str:
        if self.result is not None:
            return getattr(self.result, table)
        value = self.spec.get(table)
        return str(value.get("name", "unknown") if isinstance(value, Mapping) else value or "unknown")


def nested(value: object) -> Mapping[str, Any]:
    """A nested table, or an empty one where something else stands there."""
    return value if isinstance(value, Mapping) else {}


def listed(value: object) -> list[Any]:
    """A list, or an empty one where something else stands there."""
    return value if isinstance(value, list) else []


def whole(value: object) -> int | None:
    """A whole number, or None where something else stands there."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None
