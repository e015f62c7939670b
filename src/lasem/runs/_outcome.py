"""The loop for plain objects: a learner and a stream in memory."""

from collections.abc import Callable
from dataclasses import dataclass

from lasem.benchmarks import TaskStream
from lasem.learners import AbstractLearner
from lasem.metrics import Measures
from lasem.records import Event
from lasem.runs._loop import Evaluation, Loop
from lasem.runs._measure import decisions, measure


@dataclass(frozen=True)
class Outcome:
    """What `learn` returns: the measures, and the events they were taken from."""

    measures: Measures
    events: list[Event]

    @property
    def configurations(self) -> list[list[int] | None]:
        """Per task one bit per stage, 1 = shared."""
        return [decision.configuration for decision in decisions(self.events)]


def learn(
    learner: AbstractLearner,
    stream: TaskStream,
    *,
    epochs: int,
    evaluation: Evaluation | None = None,
    watch: Callable[[Event], None] | None = None,
) -> Outcome:
    """Learn all tasks of a stream in order.

    Args:
        learner: New.
        stream: Tasks in order.
        epochs: Per task.
        evaluation: What is measured, and when.
        watch: Called with every event as it happens.
    """
    loop = Loop(learner, stream, epochs=epochs, evaluation=evaluation or Evaluation())
    for event in loop.run():
        if watch is not None:
            watch(event)
    found = measure(loop.events, identities=stream.outline.identities, reference="end")
    return Outcome(measures=found, events=loop.events)
