"""Processor time of a step of a search over drawn lists, in steps of one static network, for more and more groups.

    python perf/drawn_step.py [--networks resnet-18:4,resnet-18:9,resnet-18:17,vit:12] [--draws 8] [--epochs 10]
                              [--peak]

`resnet-18` has 17 layers and learns images of 32 x 32, `vit` is a vision transformer of timm with 12 blocks, random
values and images of 64 x 64. A search and a static network train epoch by epoch in turn, so that what else the machine
does hits both alike; every epoch of a search has a list of its own. `task` is the mean over a task with
`commit_at.share = 0.1`, computed from the times of both. `--peak` measures memory in a process of its own.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time

import torch
from em_step import PARTITIONS

from lasem.benchmarks import Split, Task
from lasem.configurations import Partition
from lasem.learners import SelectiveTransfer, Training
from lasem.nn import MECHANISMS, NETWORKS, Backbone, LibraryNetwork
from lasem.runs import keep_freed_memory
from lasem.search import AbstractStrategy, DrawnEM, Fixed

GROUPS = {
    ("resnet-18", 4): PARTITIONS["resnet-18"]["4-groups"],
    ("resnet-18", 9): "{1},{2,3},{4,5},{6,7},{8,9},{10,11},{12,13},{14,15},{16,17}",
    ("resnet-18", 17): None,
    ("vit", 12): None,
}
"""Partition by network and number of groups; None = every layer for itself."""

SHARE = 0.1
"""Share of a task that is searched, for the mean over a task."""


def backbone(network: str) -> Backbone:
    """Build a network with hard parameter sharing."""
    if network == "resnet-18":
        return NETWORKS[network].build((3, 32, 32), mechanism=MECHANISMS["hps"]())
    stages = tuple(f"blocks.{block}" for block in range(12))
    transformer = LibraryNetwork(name="timm:vit_tiny_patch16_224", stages=stages, options={"img_size": 64})
    return transformer.build((3, 64, 64))


def learner(network: str, strategy: AbstractStrategy, *, images: int) -> SelectiveTransfer:
    """Return a learner that has begun a task of random images."""
    made = SelectiveTransfer(backbone(network), strategy, training=Training(batch_size=10))
    generator = torch.Generator().manual_seed(0)
    shape, labels = made.backbone.shape, torch.arange(images) % 10
    split = Split(images=torch.rand(images, *shape, generator=generator), labels=labels)
    made.begin_task(Task(name="random images", classes=10, train=split, valid=split, test=split))
    return made


def drawn(network: str, groups: int, *, draws: int) -> DrawnEM:
    """Return the search of a case."""
    text = GROUPS[network, groups]
    partition = text and NETWORKS[network].stage_partition(Partition.parse(text))
    return DrawnEM(partition=partition or None, draws=draws)


def epoch_seconds(made: SelectiveTransfer) -> float:
    """Train an epoch, and return its processor time."""
    start = time.process_time()
    made.train_epoch()
    return time.process_time() - start


def measure(network: str, groups: int, *, draws: int, epochs: int, images: int) -> tuple[list[float], float]:
    """Return the seconds of every epoch of a search, and the median of those of a static network."""
    search = learner(network, drawn(network, groups, draws=draws), images=images)
    static = learner(network, Fixed("all"), images=images)
    pairs = [(epoch_seconds(search), epoch_seconds(static)) for _ in range(epochs + 1)][1:]
    return [one for one, _ in pairs], statistics.median(other for _, other in pairs)


def peak_mebibytes(case: str, draws: int) -> float:
    """Return the most memory of a process that trains two epochs of a search, with the program and its libraries."""
    command = [sys.executable, __file__, "--networks", case, "--draws", str(draws), "--only-peak"]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    """Measure the cases that are asked for, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default=",".join(f"{name}:{groups}" for name, groups in GROUPS))
    parser.add_argument("--draws", type=int, default=8, help="number of candidates in a list")
    parser.add_argument("--epochs", type=int, default=10, help="epochs, each with a list of its own")
    parser.add_argument("--images", type=int, default=30, help="training images; batches have 10")
    parser.add_argument("--peak", action="store_true", help="measure memory too")
    parser.add_argument("--only-peak", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    cases = [(name, int(groups)) for name, _, groups in (case.partition(":") for case in given.networks.split(","))]
    if given.only_peak:
        (network, groups), *_ = cases
        search = learner(network, drawn(network, groups, draws=given.draws), images=given.images)
        for _ in range(2):
            search.train_epoch()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    print(f"torch {torch.__version__}, 1 thread, lists of {given.draws}; static steps")
    print("| network | groups | median | largest | task | static step, ms | memory, MiB |\n" + "| --- " * 7 + "|")
    for network, groups in cases:
        seconds, static = measure(network, groups, draws=given.draws, epochs=given.epochs, images=given.images)
        ratios = [second / static for second in seconds]
        task = SHARE * statistics.mean(ratios) + 1 - SHARE
        peak = f"{peak_mebibytes(f'{network}:{groups}', given.draws):,.0f}" if given.peak else ""
        step = 1000 * static / (given.images // 10)
        middle, most = statistics.median(ratios), max(ratios)
        print(f"| {network} | {groups} | {middle:.2f} | {most:.2f} | {task:.2f} | {step:.1f} | {peak} |", flush=True)


if __name__ == "__main__":
    main()
