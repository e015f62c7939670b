"""Seconds per epoch of a linear probe of a pretrained network, with and without kept features.

    python perf/linear_probe.py [--network tf_efficientnet_lite0] [--size 128] [--images 280] [--epochs 3] [--json]

The network is one of timm, with random values: time does not depend on values. All its stages are constant, and the
head alone is trained. The first epoch computes the features that the others use.
"""

import argparse
import json
import time

import torch

from lasem.benchmarks import Split, Task
from lasem.learners import SelectiveTransfer, Training
from lasem.nn import Backbone
from lasem.nn._import_library import import_library
from lasem.search import Fixed


def learner(network: torch.nn.Module, shape: tuple[int, ...], *, memory: float) -> SelectiveTransfer:
    """Make a probe of a network of timm: every stage takes the frozen branch."""
    names = [name for name, _ in network.named_children() if name in ("conv_stem", "bn1", "blocks", "conv_head", "bn2")]
    backbone = Backbone.of(network, stages=names, shape=shape, frozen=True, norms="frozen")
    training = Training(batch_size=10, learning_rate=1e-3, front_memory=memory)
    return SelectiveTransfer(backbone, Fixed("frozen"), training=training)


def seconds(made: SelectiveTransfer, task: Task, epochs: int) -> list[float]:
    """Return the seconds of each epoch of a task."""
    made.begin_task(task)
    times = []
    for _ in range(epochs):
        start = time.perf_counter()
        made.train_epoch()
        times.append(time.perf_counter() - start)
    return times


def main() -> None:
    """Measure both, and print the seconds of their epochs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="tf_efficientnet_lite0")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--images", type=int, default=280)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    shape = (3, options.size, options.size)
    source = torch.Generator().manual_seed(0)
    labels = torch.arange(options.images) % 7
    split = Split(images=torch.rand(options.images, *shape, generator=source), labels=labels)
    task = Task(name="random images", classes=7, train=split, valid=split, test=split)
    found = {}
    for name, memory in (("kept", 512.0), ("anew", 0.0)):
        made = learner(
            import_library("timm", extra="timm").create_model(options.network, pretrained=False), shape, memory=memory
        )
        found[name] = seconds(made, task, options.epochs)
    ratio = found["anew"][-1] / found["kept"][-1]
    if options.json:
        print(json.dumps({**found, "ratio": ratio}))
        return
    for name, times in found.items():
        print(name, " ".join(f"{value:.3f} s" for value in times))
    print(f"an epoch after the first: {ratio:.0f} times faster")


if __name__ == "__main__":
    main()
