"""What an EM step costs over a whole task of real images, where it may skip and stop.

    python perf/long_task.py --data FOLDER [--epochs 2000] [--epsilon 1e-3] [--set KEY=VALUE] [--json]

Trains one task of the preset's stream on its images, and from time to time steps of a static network beside it, so that
a cost is a ratio from the same minutes. Prints, per tenth of the task, the candidates evaluated and learned from in a
step, and what a step cost; then the average, the decision, and when it was certain.
"""

import argparse
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import torch

from lasem.learners import AbstractLearner, SelectiveTransfer
from lasem.presets import resolve
from lasem.runs import RunOptions, build_learner, choose_device, prepare
from lasem.search import AbstractOpenTask

SAMPLES = 20
"""How often in a tenth of the task the static network takes an epoch."""


def timed_epoch(learner: SelectiveTransfer) -> list[float]:
    """Train an epoch; the seconds of its steps."""
    seconds: list[float] = []
    step = learner.search.step

    def watched(task: AbstractOpenTask, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        start = time.perf_counter()
        loss = step(task, images, labels)
        seconds.append(time.perf_counter() - start)
        return loss

    learner.search.step = watched  # type: ignore[method-assign]
    try:
        learner.train_epoch()
    finally:
        del learner.search.step
    return seconds


def selective(learner: AbstractLearner) -> SelectiveTransfer:
    """The same learner, whose steps can be timed."""
    assert isinstance(learner, SelectiveTransfer)
    return learner


def measure(
    preset: str, settings: list[str], *, data: Path, number: int, told: Callable[[int, dict[str, float]], None]
) -> dict[str, object]:
    """Train one task; what it cost.

    Args:
        preset: Of the task's stream and learner.
        settings: Changes of it.
        data: Folder of the images.
        number: Of the task in the stream.
        told: Is called at the end of every tenth with its number and what it cost.
    """
    spec, plain = resolve(preset, settings), resolve("cifar100-10/hps", settings)
    device = choose_device("cpu")
    stream = prepare(spec, RunOptions(data=data), device=device).stream
    learner, static = (selective(build_learner(s, stream.outline, device=device)) for s in (spec, plain))
    task = stream[number]
    for each in (learner, static):
        each.begin_task(task)
    epochs = spec.training.epochs
    every = max(1, epochs // (10 * SAMPLES))
    tenths: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for epoch in range(epochs):
        part = 10 * epoch // epochs
        tenth = tenths[part]
        seconds = timed_epoch(learner)
        if epoch % every == 0:
            tenth["static"].append(statistics.median(timed_epoch(static)))
            tenth["sampled"].append(statistics.mean(seconds))
        status = learner.status()
        assert status is not None
        if status.effort is not None and status.effort.steps:
            tenth["evaluated"].append(status.effort.evaluated / status.effort.steps)
            tenth["learned"].append(status.effort.learned / status.effort.steps)
            tenth["skipped"].append(status.effort.skipped)
        if 10 * (epoch + 1) // epochs > part:
            told(part + 1, _summary(tenth) | {"prior": float(status.prior.max())})
    decision, leader = status.decision, status.names[learner.search.leader()]
    return {
        "preset": preset,
        "settings": settings,
        "task": number,
        "tenths": [_summary(tenths[i]) for i in range(10)],
        "average": statistics.mean(_summary(tenths[i])["steps"] for i in range(10)),
        "chosen": leader,
        "prior": float(status.prior.max()),
        "certain": decision and decision.certain,
        "settled": decision and decision.settled,
        "steps": epochs * (len(task.train) // spec.training.batch_size),
        "threads": torch.get_num_threads(),
    }


def _summary(tenth: dict[str, list[float]]) -> dict[str, float]:
    """Means over a tenth; its cost in steps of the static network."""
    ratios = [sampled / static for sampled, static in zip(tenth["sampled"], tenth["static"], strict=True)]
    means = {name: statistics.mean(tenth[name]) if tenth[name] else 0.0 for name in ("evaluated", "learned")}
    return {**means, "skipped": max(tenth["skipped"], default=0.0), "steps": statistics.median(ratios)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="cifar100-10/lasem-hps")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=2000)
    parser.add_argument("--epsilon", type=float, default=1e-3)
    parser.add_argument("--task", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    settings = [f"training.epochs={options.epochs}", f"search.epsilon={options.epsilon}", *options.settings]

    def tell(tenth: int, row: dict[str, float]) -> None:
        columns = f"{row['evaluated']:10.2f} {row['learned']:8.2f} {row['skipped']:9.1e} {row['steps']:13.2f}"
        print(f"{tenth:5} {columns} {row['prior']:7.4f}", flush=True)

    if not options.json:
        print(f"{'tenth':>5} {'evaluated':>10} {'learned':>8} {'left out':>9} {'static steps':>13} {'prior':>7}")
    told = (lambda tenth, row: None) if options.json else tell
    found = measure(options.preset, settings, data=options.data, number=options.task, told=told)
    if options.json:
        print(json.dumps(found))
        return
    print(f"average {found['average']:.2f} static steps; chosen {found['chosen']} with prior {found['prior']:.4f}")
    print(f"certain after {found['certain']}, settled after {found['settled']} of {found['steps']} steps")


if __name__ == "__main__":
    main()
