"""What a run would take: parameters, steps, time and memory, from a few measured steps on random images."""

import time
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from lasem.benchmarks import Outline, Split, Task
from lasem.experiments._build import build_learner
from lasem.experiments._environment import suited_threads, torch_threads
from lasem.learners import BruteForce, ParameterCounts, SelectiveTransfer
from lasem.nn import NETWORKS
from lasem.specs import Spec

MEASURED_STEPS = 3


@dataclass(frozen=True)
class Estimate:
    """What a run would take.

    Attributes:
        candidates: Configurations to choose from.
        parameters: While the first task is learned.
        steps_per_task: Most optimizer steps of one task.
        steps: Of the whole stream.
        seconds: Training alone, on this machine.
        activation_bytes: Values that one step keeps for its backward pass.
        model_bytes: Parameters with gradients, optimizer state and the roll-back copy.
    """

    candidates: int
    parameters: ParameterCounts
    steps_per_task: int
    steps: int
    seconds: float
    activation_bytes: int
    model_bytes: int


def estimate(spec: Spec, outline: Outline, *, device: torch.device) -> Estimate:
    """Train a few steps on random images of the stream's shape, and extrapolate."""
    learner = build_learner(spec, outline, device=device)
    batch, classes, number = spec.training.batch_size, max(outline.classes), learner.least_images
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(number, *outline.shape, generator=generator).to(device)
    labels = torch.randint(classes, (number,), generator=generator).to(device)
    split = Split(images=images, labels=labels)
    threads = suited_threads(NETWORKS[spec.network.name].multiply_adds(outline.shape))
    learner.begin_task(Task(name="random images", classes=classes, train=split, valid=split, test=split))
    saved: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    times: list[float] = []
    with torch_threads(threads):
        with saved_tensors_hooks(note, lambda tensor: tensor):
            learner.train_epoch()
        for _ in range(MEASURED_STEPS):
            start = time.perf_counter()
            learner.train_epoch()
            times.append(time.perf_counter() - start)
    for _ in learner.turns() or []:  # untrained turns: what every candidate holds
        learner.end_turn(0.0)
    counts = learner.parameter_counts()
    steps = outline.images["train"] // batch * spec.training.epochs
    m_steps = spec.search.m_steps if spec.learner.strategy == "em" else 1
    trainings = learner.trainings(outline.identities)
    return Estimate(
        candidates=len(learner.space) if isinstance(learner, SelectiveTransfer | BruteForce) else 1,
        parameters=counts,
        steps_per_task=steps * m_steps * max(trainings),
        steps=steps * m_steps * sum(trainings),
        seconds=median(times) * steps * sum(trainings),
        activation_bytes=sum(saved.values()),
        model_bytes=4 * (3 * counts.search + counts.rollback),
    )
