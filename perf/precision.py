"""What a lower precision does to the posterior, on real images.

    python perf/precision.py --data FOLDER [--preset cifar100-10/lasem-hps] [--epochs 20] [--device cuda] [--json]

Trains the first task of a preset's stream in float32. Before every step the posterior of its batch is computed in each
precision of the device, from the same parameters and the same prior. Prints, per precision, the distance of its
posterior from that of float32 (total variation: the mass that lies elsewhere), how often both have the same most
probable candidate, and how long the E-step took in comparison.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import torch
from torch import Tensor

from lasem.learners import SelectiveTransfer
from lasem.runs import Precision, RunOptions, arithmetic, build_learner, choose_device, prepare, resolve
from lasem.search import EM, EVIDENCE, AbstractOpenTask, TaskNetwork, log_likelihoods, log_posterior, plan

PRECISIONS: dict[str, tuple[Precision, ...]] = {
    "cpu": ("float32", "bfloat16"),
    "cuda": ("float32", "tf32", "bfloat16"),
}
"""What each kind of device offers."""


class Watched:
    """A learner's step, before which posteriors are compared.

    Args:
        learner: With a task open.
        precisions: The first one is the reference.
        evidence: Its name.
    """

    def __init__(self, learner: SelectiveTransfer, precisions: tuple[Precision, ...], *, evidence: str) -> None:
        self.learner, self.precisions, self.evidence = learner, precisions, evidence
        self.seconds: dict[str, list[float]] = {name: [] for name in precisions}
        self.distances: dict[str, list[float]] = {name: [] for name in precisions}
        self.agreed: dict[str, list[bool]] = {name: [] for name in precisions}
        self._step = learner.search.step

    def __call__(self, task: AbstractOpenTask, images: Tensor, labels: Tensor) -> Tensor:
        """Compare, then learn."""
        found = {name: self._posterior(images, labels, name) for name in self.precisions}
        reference = found[self.precisions[0]]
        for name, q in found.items():
            self.distances[name].append(float((q - reference).abs().sum()) / 2)
            self.agreed[name].append(int(q.argmax()) == int(reference.argmax()))
        return self._step(task, images, labels)

    @torch.no_grad()
    def _posterior(self, images: Tensor, labels: Tensor, precision: Precision) -> Tensor:
        search = self.learner.search
        log_prior = search.log_prior()
        assert log_prior is not None
        network, layout = TaskNetwork(self.learner.backbone, self.learner.task.identity), plan(search.space)
        start = time.perf_counter()
        with arithmetic(precision, images.device):
            logits = network.head(network.leaves(images, layout))
        log_evidence = EVIDENCE[self.evidence](log_likelihoods(logits, labels))
        q = log_posterior(log_prior[list(layout.candidates)], log_evidence).exp().cpu()
        self.seconds[precision].append(time.perf_counter() - start)
        return q


def measure(preset: str, *, data: Path, epochs: int, device: torch.device) -> list[dict[str, object]]:
    """Train one task; per precision, what it does."""
    spec = resolve(preset, [f"training.epochs={epochs}"])
    stream = prepare(spec, RunOptions(data=data), device=device).stream
    learner = build_learner(spec, stream.outline, device=device)
    assert isinstance(learner, SelectiveTransfer)
    learner.begin_task(stream[0])
    strategy = learner.strategy
    assert isinstance(strategy, EM)
    watched = Watched(learner, PRECISIONS[device.type], evidence=strategy.evidence)
    learner.search.step = watched  # type: ignore[method-assign]
    with arithmetic("float32", device):
        for _ in range(epochs):
            learner.train_epoch()
    reference = statistics.median(watched.seconds["float32"])
    return [
        {
            "preset": preset,
            "precision": name,
            "steps": len(watched.distances[name]),
            "mean_distance": statistics.mean(watched.distances[name]),
            "largest_distance": max(watched.distances[name]),
            "same_candidate": statistics.mean(watched.agreed[name]),
            "time": statistics.median(watched.seconds[name]) / reference,
        }
        for name in watched.precisions
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="cifar100-10/lasem-hps")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(options.preset, data=options.data, epochs=options.epochs, device=choose_device(options.device))
    if options.json:
        print(json.dumps(found))
        return
    print(f"{'precision':>10} {'steps':>6} {'mean':>9} {'largest':>9} {'same best':>10} {'time':>6}")
    for row in found:
        numbers = f"{row['mean_distance']:9.2e} {row['largest_distance']:9.2e} {row['same_candidate']:10.1%}"
        print(f"{row['precision']:>10} {row['steps']:6} {numbers} {row['time']:6.2f}")


if __name__ == "__main__":
    main()
