"""The result of a run, made of its events."""

from dataclasses import asdict

import torch

from lasem.records import EpochRecord, EvaluationRecord, Event, Grown, Result, Seconds, TaskRecord
from lasem.runs._loop import Loop
from lasem.runs._measure import decisions, measure, parameters
from lasem.runs._spec import Spec


def summarize(spec: Spec, loop: Loop, *, device: torch.device) -> Result:
    """Everything that tables are made of."""
    identities = loop.stream.outline.identities
    found = measure(loop.events, identities=identities, reference=spec.evaluation.reference)
    committed = [decision.configuration for decision in decisions(loop.events)]
    known = [bits for bits in committed if bits is not None]
    return Result.model_validate(
        {
            **asdict(found),
            "name": spec.name,
            "learner": spec.learner.name,
            "benchmark": spec.benchmark.name,
            "network": spec.network.name,
            "profile": spec.profile,
            "seed": spec.seeds.training,
            "device": str(device),
            "complete": True,
            "tasks": [event.name for event in loop.events if isinstance(event, TaskRecord)],
            "configurations": known if len(known) == len(committed) else None,
            "parameters": parameters(loop.learner),
            "growth": _growth(loop.events),
            "seconds": _seconds(loop.events),
        }
    )


def _growth(events: list[Event]) -> Grown:
    held = [event.parameters for event in events if isinstance(event, EvaluationRecord)]
    units = [decision.units for decision in decisions(events)]
    known = [widths for widths in units if widths is not None]
    return Grown(
        parameters=[number for number in held if number is not None],
        units=known if len(known) == len(units) else None,
    )


def _seconds(events: list[Event]) -> Seconds:
    epochs = [event for event in events if isinstance(event, EpochRecord)]
    evaluations = [event.seconds for event in events if isinstance(event, EvaluationRecord)]
    return Seconds(
        training=sum(event.training_seconds for event in epochs),
        evaluation=sum(event.evaluation_seconds for event in epochs) + sum(evaluations),
    )
