"""The result of a loop that has ended."""

from dataclasses import asdict, replace

from lasem.learners import parameter_counts
from lasem.records import Grown, History, Parameters, Result, Seconds, measures_of
from lasem.runs._loop import Loop
from lasem.runs._spec import Spec


def result_of(loop: Loop, *, device: str, spec: Spec | None = None) -> Result:
    """Return the measures of a loop that has ended, and what they belong to.

    Args:
        loop: A loop at its end.
        device: Name of the device.
        spec: The spec of the run; None without one, where the kind of the learner stands for its name.
    """
    history = loop.history
    committed = history.configurations
    known = [bits for bits in committed if bits is not None]
    kind = type(loop.learner).__name__
    counts = parameter_counts(loop.learner)
    counts = replace(counts, per_task=counts.per_task or [0] * len(history.tasks))  # a learner need not count them
    return Result(
        **dict(measures_of(history, reference=loop.evaluation.reference)),
        name=spec.name if spec else kind,
        learner=spec.learner.name if spec else kind,
        benchmark=spec.benchmark.name if spec else "stream",
        network=spec.network.name if spec else "network",
        profile=spec.profile if spec else "paper",
        seed=spec.seeds.training if spec else 0,
        device=device,
        complete=True,
        tasks=[task.name for task in history.tasks],
        configurations=known if len(known) == len(committed) else None,
        parameters=Parameters(**asdict(counts)),
        growth=_growth(history),
        seconds=Seconds(
            training=history.training_seconds, evaluation=history.evaluation_seconds, cpu=history.cpu_seconds
        ),
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
