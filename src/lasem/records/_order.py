"""The order of events: an event that cannot follow the ones before it is no event of this run.

Records need not be trusted: without these rules a single line of a damaged or made-up file, such as one of task
1,000,000,000, would make a history of that length.
"""

from lasem.records._events import DecisionRecord, EpochRecord, EvaluationRecord, Event, NoteRecord, TaskRecord

MOST_LOST = 100
"""Most tasks, or epochs of one training, that may be missing between two lines because lines there are damaged."""


class Order:
    """Follows the events of one run, and says what is wrong with an event that cannot come next."""

    def __init__(self) -> None:
        self._evaluated = 0
        self._epochs: dict[tuple[int, int], int] = {}
        self._candidates: dict[int, int] = {}
        self._groups: dict[int, int] = {}
        self._stages: int | None = None

    def fault(self, event: Event) -> str | None:
        """Return why an event cannot come next; None if it can, and then it counts as the latest."""
        if isinstance(event, NoteRecord):
            return None
        if event.task > self._evaluated + MOST_LOST:
            return f"task {event.task} must begin after the tasks before it (got {self._evaluated} evaluated tasks)"
        match event:
            case TaskRecord():
                fault = None
                self._candidates[event.task] = len(event.candidates or ())
            case EpochRecord():
                fault = self._epoch(event) or self._stages_of(event.configuration)
            case DecisionRecord():
                fault = self._stages_of(event.configuration)
            case EvaluationRecord():
                fault = self._evaluation(event)
            case _:
                fault = None
        return fault

    def _epoch(self, event: EpochRecord) -> str | None:
        turn = (event.task, event.candidate or 0)
        trained = self._epochs.get(turn, 0)
        if event.task_epoch > trained + MOST_LOST:
            return f"epoch {event.task_epoch} must come after the epochs before it (got {trained} of them)"
        groups = None if event.marginals is None else len(event.marginals)
        if groups is not None and self._groups.setdefault(event.task, groups) != groups:
            return f"all epochs of a task must have as many marginals (got {groups} and {self._groups[event.task]})"
        if event.branch_marginals is not None and len(event.branch_marginals) != groups:
            return (
                f"a group must have marginals of all branches (got {len(event.branch_marginals)} for {groups} groups)"
            )
        listed = self._candidates.get(event.task) or (None if groups is None else event.branches**groups)
        highest = max((event.candidate or 0, *(index for index, _ in event.prior or ())))
        if listed is not None and highest >= listed:
            return f"the index of a candidate must be below {listed}, the number of candidates (got {highest})"
        self._epochs[turn] = max(trained, event.task_epoch)
        return None

    def _stages_of(self, configuration: list[int] | None) -> str | None:
        if configuration is None:
            return None
        self._stages = self._stages or len(configuration)
        if len(configuration) != self._stages:
            return f"all configurations must have as many stages (got {len(configuration)} and {self._stages})"
        return None

    def _evaluation(self, event: EvaluationRecord) -> str | None:
        tasks = event.task + 1
        if len(event.accuracy) != tasks:
            return f"an evaluation after task {event.task} must have {tasks} accuracies (got {len(event.accuracy)})"
        self._evaluated = max(self._evaluated, tasks)
        return None
