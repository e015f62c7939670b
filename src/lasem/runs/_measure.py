"""What events come to: decisions, learning curves, measures."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Literal

import numpy as np

from lasem.learners import AbstractLearner, CountsParameters, ParameterCounts
from lasem.metrics import LearningCurve, Measures, accuracy_matrix, measures
from lasem.records import (
    DecisionRecord,
    EpochRecord,
    EvaluationRecord,
    Event,
    Parameters,
    chosen_epochs,
)


def decisions(events: Sequence[Event]) -> list[DecisionRecord]:
    """The decision that holds for each task that has ended, by position."""
    latest = {event.task: event for event in events if isinstance(event, DecisionRecord)}
    return [latest[position] for position in sorted(latest)]


def measure(events: Sequence[Event], *, identities: Sequence[int], reference: Literal["end", "peak"]) -> Measures:
    """All measures of the events so far."""
    rows = {event.task: event.accuracy for event in events if isinstance(event, EvaluationRecord)}
    epochs: list[list[EpochRecord]] = [[] for _ in identities]
    for event in events:
        if isinstance(event, EpochRecord):
            epochs[event.task].append(event)
    decided = dict(enumerate(decisions(events)))
    chosen = [chosen_epochs(own, decided.get(position)) for position, own in enumerate(epochs)]
    curves = [
        LearningCurve(
            valid=np.array([event.valid_accuracy for event in own]),
            test=np.array([np.nan if event.test_accuracy is None else event.test_accuracy for event in own]),
        )
        for own in chosen
    ]
    matrix = accuracy_matrix(rows, len(identities))
    return measures(matrix, curves, identities=identities, reference=reference)


def parameters(learner: AbstractLearner) -> Parameters:
    """Numbers of parameters, as a result holds them."""
    none = ParameterCounts(shared=0, per_task=[], search=0, rollback=0)
    return Parameters(**asdict(learner.parameter_counts() if isinstance(learner, CountsParameters) else none))
