"""Seconds of one EM step: the tree, its naive twin, and one step of a single static network.

    python perf/em_step.py [--networks cifar-4,stl-6] [--repeats 15] [--json]

The three are measured in turn, repeat by repeat, so that what else the machine does hits them alike; read the ratios.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
from naive import naive_em_step

from lasem.benchmarks import Split, Task
from lasem.learners import SelectiveTransfer, Training
from lasem.nn import MECHANISMS, NETWORKS
from lasem.search import EM, Fixed

CASES = {
    "digits-3": ((1, 8, 8), 3, 10),
    "cifar-4": ((3, 32, 32), 10, 10),
    "office-home-4": ((3, 128, 128), 13, 16),
    "stl-6": ((3, 96, 96), 3, 10),
}
"""Shape of an image, classes, images per batch."""


def steps(network: str, mechanism: str) -> dict[str, Callable[[], object]]:
    """The three steps to be timed, each with its own parameters."""
    shape, classes, batch = CASES[network]
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(batch, *shape, generator=generator)
    labels = torch.randint(classes, (batch,), generator=generator)
    split = Split(images=images, labels=labels)
    task = Task(name="random images", classes=classes, train=split, valid=split, test=split)
    training = Training(batch_size=batch)

    def learner(strategy: EM | Fixed) -> SelectiveTransfer:
        backbone = NETWORKS[network].build(shape, mechanism=MECHANISMS[mechanism]())
        made = SelectiveTransfer(backbone, strategy, training=training)
        made.begin_task(task)
        return made

    tree, naive, static = learner(EM()), learner(EM()), learner(Fixed("all"))
    masks = torch.Generator().manual_seed(0)

    def naive_step() -> None:
        active = naive.active
        assert active is not None
        active.optimizer.zero_grad(set_to_none=True)
        prior = torch.zeros(len(naive.space), dtype=torch.float64)
        naive_em_step(naive.backbone, images, labels, space=naive.space, prior=prior, keep=0.5, masks=masks)
        active.optimizer.step()

    return {
        "tree": lambda: tree.train_step(images, labels, masks=masks),
        "naive": naive_step,
        "static": lambda: static.train_step(images, labels, masks=masks),
    }


def measure(network: str, mechanism: str, *, repeats: int) -> dict[str, object]:
    """Medians over interleaved repeats, after one round that is not counted."""
    timed = steps(network, mechanism)
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for repeat in range(repeats + 1):
        for name, step in timed.items():
            start = time.perf_counter()
            step()
            if repeat:
                seconds[name].append(time.perf_counter() - start)
    medians = {f"{name}_seconds": statistics.median(values) for name, values in seconds.items()}
    return {"network": network, "mechanism": mechanism, "repeats": repeats, **medians}


def main() -> None:
    """Measure the cases asked for, and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default="cifar-4", help=f"comma-separated, of {', '.join(CASES)}")
    parser.add_argument("--mechanisms", default="hps", help=f"comma-separated, of {', '.join(MECHANISMS)}")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--json", action="store_true", help="one object per case and line")
    options = parser.parse_args()
    if not options.json:
        print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; milliseconds, medians")
        print(f"{'network':15} {'mechanism':9} {'tree':>9} {'naive':>9} {'static':>9} {'/ naive':>8} {'/ static':>8}")
    for network in options.networks.split(","):
        for mechanism in options.mechanisms.split(","):
            found = measure(network, mechanism, repeats=options.repeats)
            if options.json:
                print(json.dumps(found), flush=True)
                continue
            tree, naive, static = (float(str(found[f"{name}_seconds"])) for name in ("tree", "naive", "static"))
            cells = " ".join(f"{1000 * value:9.2f}" for value in (tree, naive, static))
            print(f"{network:15} {mechanism:9} {cells} {tree / naive:8.3f} {tree / static:8.2f}", flush=True)


if __name__ == "__main__":
    main()
