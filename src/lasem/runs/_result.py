"""The result of a run, made of its history."""

from dataclasses import asdict

import torch

from lasem.learners import parameter_counts
from lasem.records import Grown, History, Parameters, Result, Seconds, measures_of
from lasem.runs._loop import Loop
from lasem.specs import Spec


def summarize(spec: Spec, loop: Loop, *, device: torch.device) -> Result:
    """Return the measures of a run that has ended, and what tables are made of besides."""
    history = loop.history
    committed = history.configurations
    known = [bits for bits in committed if bits is not None]
    return Result(
        **dict(measures_of(history, reference=spec.evaluation.reference)),
        name=spec.name,
        learner=spec.learner.name,
        benchmark=spec.benchmark.name,
        network=spec.network.name,
        profile=spec.profile,
        seed=spec.seeds.training,
        device=str(device),
        complete=True,
        tasks=[task.name for task in history.tasks],
        configurations=known if len(known) == len(committed) else None,
        parameters=Parameters(**asdict(parameter_counts(loop.learner))),
        growth=_growth(history),
        seconds=Seconds(training=history.training_seconds, evaluation=history.evaluation_seconds),
    )


def _growth(history: History) -> Grown:
    """Return how much was stored after every task."""
    stored = [task.evaluation.parameters for task in history.tasks if task.evaluation]
    units = [decision.units for decision in history.decisions]
    known = [widths for widths in units if widths is not None]
    return Grown(
        parameters=[number for number in stored if number is not None],
        units=known if len(known) == len(units) else None,
    )
