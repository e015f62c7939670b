"""Learning in memory: a learner and a stream, without a spec and without files."""

from collections.abc import Callable
from dataclasses import dataclass

from lasem.benchmarks import TaskStream
from lasem.learners import AbstractLearner
from lasem.records import Event, Measures, measures_of
from lasem.runs._loop import Evaluation, Loop


@dataclass(frozen=True)
class Outcome:
    """The outcome of `learn`: the measures, the configurations, and the events they come from."""

    measures: Measures
    configurations: list[list[int] | None]
    """Configuration of each task, one bit per stage (1 = shared); None for learners without configurations."""
    events: list[Event]

    def __repr__(self) -> str:
        """Return a line about the outcome, without its events."""
        final, ratio = self.measures.final_accuracy, self.measures.forgetting_ratio.mean
        texts = [f"{len(self.configurations)} tasks"]
        texts += [] if final is None else [f"final accuracy {final:.1%}"]
        texts += [] if ratio is None else [f"forgetting ratio {ratio:.3f}"]
        return f"Outcome({', '.join([*texts, f'{len(self.events)} events'])})"


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
        learner: A new learner.
        stream: Tasks in order.
        epochs: Number of epochs per task.
        evaluation: What is measured, and when.
        watch: Called with every event as it happens.

    Raises:
        DataError: A task has too few images for a batch.
        RunError: A number is not finite, or memory does not suffice.
    """
    loop = Loop(learner, stream, epochs=epochs, evaluation=evaluation or Evaluation())
    events: list[Event] = []
    for event in loop.run():
        events.append(event)
        if watch is not None:
            watch(event)
    found, configurations = measures_of(loop.history), loop.history.configurations
    return Outcome(measures=found, configurations=configurations, events=events)
