"""Seconds of one EM step: the tree, its naive twin, and one step of a single static network.

    python perf/em_step.py [--networks cifar-4,stl-6,stl-9,resnet-18:4-groups] [--mechanisms hps,tf] [--repeats 15]
                           [--device cuda] [--capture] [--precision bfloat16] [--peak] [--json]

Above 64 candidates the naive twin runs 16 of them, and its time is scaled up; such a time is marked with a star.
The three are measured in turn, repeat by repeat, so that what else the machine does hits them alike; read the ratios.
Multiply-adds are counted from the table of layers: a backward pass takes two of a forward pass, one in the first layer.
The speed of the tree is compared with the forward pass of one large convolution in the same process. `--capture`
captures the tree and the static network, not the naive twin.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from naive import naive_em_step

from lasem.benchmarks import Split, Task
from lasem.configurations import ConfigurationSpace, Partition
from lasem.learners import SelectiveTransfer, Training
from lasem.nn import MECHANISMS, NETWORKS
from lasem.runs import arithmetic, choose_device, keep_freed_memory, resolve
from lasem.search import EM, Fixed, TreeSize, em_multiply_adds, static_multiply_adds, tree_nodes

CASES = {
    "digits-3": ((1, 8, 8), 3, 10),
    "cifar-4": ((3, 32, 32), 10, 10),
    "office-home-4": ((3, 128, 128), 13, 16),
    "stl-6": ((3, 96, 96), 3, 10),
    "stl-9": ((3, 96, 96), 5, 10),
    "resnet-18": ((3, 32, 32), 10, 10),
    "resnet-18-bn": ((3, 32, 32), 10, 10),
}
"""Shape of an image, classes, images per batch."""

PARTITIONS = {
    network: {key: resolve(f"cifar100-10/{network}/lasem-hps-{key}").sections["search"]["partition"] for key in keys}
    for network, keys in {
        "resnet-18": ("4-groups", "5-groups", "6-groups", "7-groups"),
        "resnet-18-bn": ("4-groups",),
    }.items()
}
"""Named partitions; a network that has some is measured with these only."""

NAMES = [
    name if groups is None else f"{name}:{groups}" for name in CASES for groups in PARTITIONS.get(name, {None: None})
]
MOST, SUBSET = 64, 16
"""Candidates that the naive twin runs in full, and how many it runs of more."""


def strategy(name: str) -> EM:
    """The search of a case, over its named partition if any."""
    network, _, groups = name.partition(":")
    partition = PARTITIONS.get(network, {}).get(groups)
    return EM(partition=partition and NETWORKS[network].stage_partition(Partition.parse(partition)))


def naive_space(space: ConfigurationSpace) -> ConfigurationSpace:
    """All candidates, or so many spread evenly."""
    return space if len(space) <= MOST else space.subset(range(0, len(space), len(space) // SUBSET))


def steps(name: str, mechanism: str, *, device: torch.device, capture: bool) -> dict[str, Callable[[], object]]:
    """The three steps to be timed, each with its own parameters."""
    network = name.partition(":")[0]
    shape, classes, batch = CASES[network]
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(batch, *shape, generator=generator).to(device)
    labels = torch.randint(classes, (batch,), generator=generator).to(device)
    split = Split(images=images, labels=labels)
    task = Task(name="random images", classes=classes, train=split, valid=split, test=split)
    training = Training(batch_size=batch)

    def learner(strategy: EM | Fixed, *, captured: bool = capture) -> SelectiveTransfer:
        backbone = NETWORKS[network].build(shape, mechanism=MECHANISMS[mechanism]()).to(device)
        made = SelectiveTransfer(backbone, strategy, training=training, capture=captured)
        made.begin_task(task)
        made.begin_epoch()
        return made

    naive = learner(strategy(name), captured=False)
    tree, static = learner(strategy(name)), learner(Fixed("all"))
    space = naive_space(naive.space)
    masks = torch.Generator(device).manual_seed(0)

    def naive_step() -> None:
        naive.task.optimizer.zero_grad(set_to_none=True)
        prior = torch.zeros(len(space), dtype=torch.float64, device=device)
        naive_em_step(naive.backbone, images, labels, space=space, prior=prior, keep=0.5, masks=masks)
        naive.task.optimizer.step()

    return {
        "tree": lambda: tree.train_step(images, labels),
        "naive": naive_step,
        "static": lambda: static.train_step(images, labels),
    }


def multiply_adds(name: str) -> dict[str, float]:
    """Of the convolutions of one step, in the three ways: forward and backward passes."""
    network = NETWORKS[name.partition(":")[0]]
    shape, _, batch = CASES[name.partition(":")[0]]
    per_layer = [batch * count for count in network.layer_multiply_adds(shape)]
    space = strategy(name).space(len(network.layers))
    nodes = tree_nodes(space.partition, space.candidates)
    static = static_multiply_adds(per_layer)
    return {
        "tree": em_multiply_adds(per_layer, TreeSize(parts=1, widest=nodes, total=nodes)),
        "static": static,
        "naive": len(space) * (static + sum(per_layer)),
    }


def seconds_of(act: Callable[[], object], device: torch.device) -> float:
    """How long it takes, until the device has done it."""
    start = time.perf_counter()
    act()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def best_flops(device: torch.device, repeats: int = 10) -> float:
    """Floating-point operations per second of one large convolution, forward: the median of some."""
    x = torch.rand(160, 64, 32, 32, device=device).contiguous(memory_format=torch.channels_last)
    weight = torch.rand(64, 64, 3, 3, device=device).contiguous(memory_format=torch.channels_last)
    seconds: list[float] = []
    with torch.no_grad():
        for _ in range(repeats):
            seconds.append(seconds_of(lambda: F.conv2d(x, weight, padding=1), device))
    return 2 * 160 * 32 * 32 * 64 * 64 * 9 / statistics.median(seconds)


def peak_bytes(name: str, mechanism: str) -> int:
    """Most memory of a process that takes three steps of the tree, the program and its libraries included."""
    command = [sys.executable, __file__, "--networks", name, "--mechanisms", mechanism, "--only-peak"]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def only_peak(name: str, mechanism: str) -> int:
    """Take three steps of the tree; the most memory of this process, in bytes."""
    tree = steps(name, mechanism, device=torch.device("cpu"), capture=False)["tree"]
    for _ in range(3):
        tree()
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measure(
    name: str, mechanism: str, *, repeats: int, peak: bool, device: torch.device, capture: bool
) -> dict[str, object]:
    """Medians over interleaved repeats, after rounds that are not counted."""
    timed = steps(name, mechanism, device=device, capture=capture)
    warming = 3 if capture else 1  # a graph is recorded after its operations have run once
    space = strategy(name).space(len(NETWORKS[name.partition(":")[0]].layers))
    scale = len(space) / len(naive_space(space))
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for repeat in range(repeats + warming):
        for way, step in timed.items():
            taken = seconds_of(step, device)
            if repeat >= warming:
                seconds[way].append(taken)
    medians = {f"{way}_seconds": statistics.median(values) for way, values in seconds.items()}
    medians["naive_seconds"] *= scale
    counted = multiply_adds(name)
    flops = 2 * counted["tree"] / medians["tree_seconds"]
    return {
        "network": name,
        "mechanism": mechanism,
        "candidates": len(space),
        "repeats": repeats,
        "naive_scaled": scale > 1,
        **medians,
        **{f"{way}_multiply_adds": count for way, count in counted.items()},
        "tree_flops": flops,
        "share_of_best": flops / best_flops(device),
        "peak_bytes": peak_bytes(name, mechanism) if peak else None,
    }


HEADINGS = (
    "network",
    "mechanism",
    "tree",
    "naive",
    "static",
    "/naive",
    "count",
    "/static",
    "count",
    "GFLOP/s",
    "share",
)
WIDTHS = (19, 9, 9, 10, 8, 7, 7, 8, 7, 8, 6)


def line(found: dict[str, object]) -> str:
    """A row of the printed table."""
    seconds = {way: float(str(found[f"{way}_seconds"])) for way in ("tree", "naive", "static")}
    counted = {way: float(str(found[f"{way}_multiply_adds"])) for way in ("tree", "naive", "static")}
    cells = [str(found["network"]), str(found["mechanism"]), *(f"{1000 * value:.2f}" for value in seconds.values())]
    cells[3] += "*" if found["naive_scaled"] else ""
    for other in ("naive", "static"):
        cells += [f"{seconds['tree'] / seconds[other]:.3f}", f"{counted['tree'] / counted[other]:.3f}"]
    cells += [f"{float(str(found['tree_flops'])) / 1e9:.0f}", f"{float(str(found['share_of_best'])):.0%}"]
    peak = "" if found["peak_bytes"] is None else f" {int(str(found['peak_bytes'])) / 2**20:,.0f} MiB"
    return " ".join(f"{cell:>{width}}" for cell, width in zip(cells, WIDTHS, strict=True)) + peak


def main() -> None:
    """Measure the cases asked for, and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default="cifar-4", help=f"comma-separated, of {', '.join(NAMES)}")
    parser.add_argument("--mechanisms", default="hps", help=f"comma-separated, of {', '.join(MECHANISMS)}")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--capture", action="store_true", help="capture the steps of the tree and the static network")
    parser.add_argument("--precision", default="float32", choices=["float32", "tf32", "bfloat16"])
    parser.add_argument("--peak", action="store_true", help="measure memory too, in a process of its own")
    parser.add_argument("--only-peak", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--give-back", action="store_true", help="let the C library give freed memory back")
    parser.add_argument("--json", action="store_true", help="one object per case and line")
    options = parser.parse_args()
    if not options.give_back:
        keep_freed_memory()
    if options.only_peak:
        print(only_peak(options.networks, options.mechanisms))
        return
    if not options.json:
        print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {options.device}; milliseconds, medians")
        print(" ".join(f"{text:>{width}}" for text, width in zip(HEADINGS, WIDTHS, strict=True)))
    device = choose_device(options.device)
    for network in options.networks.split(","):
        for mechanism in options.mechanisms.split(","):
            with arithmetic(options.precision, device):
                found = measure(
                    network,
                    mechanism,
                    repeats=options.repeats,
                    peak=options.peak,
                    device=device,
                    capture=options.capture,
                )
            print(json.dumps(found) if options.json else line(found), flush=True)


if __name__ == "__main__":
    main()
