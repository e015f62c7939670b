"""The loop for plain objects: a learner and a stream in memory."""

from collections.abc import Callable
from dataclasses import dataclass

from lasem.benchmarks import TaskStream
from lasem.learners import AbstractLearner
from lasem.records import Event, Measures, measures_of
from lasem.runs._loop import Evaluation, Loop


@dataclass(frozen=True)
class Outcome:
    """What `learn` returns: the measures, and the events they were taken from."""

    measures: Measures
    configurations: list[list[int] | None]
    """Per task one bit per stage, 1 = shared."""
    events: list[Event]


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
    events: list[Event] = []
    for event in loop.run():
        events.append(event)
        if watch is not None:
            watch(event)
    found, configurations = measures_of(loop.history), loop.history.configurations
    return Outcome(measures=found, configurations=configurations, events=events)
