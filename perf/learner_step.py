"""Seconds of a step of each learner, and whether they follow from its multiply-adds.

    python perf/learner_step.py [--network cifar-4] [--learners stl,hps,prognn,...] [--tasks 5] [--epochs 5] [--json]

Every learner learns some tasks of random images. Its last task is timed as processor time over all of its epochs, its
beginning and end included, so that the phases of DEN and the information of EWC count as they do in a run. The
multiply-adds are those of convolutions and matrix products, forward and backward, counted in a second learning of the
same task by a copy. The last column is what a multiply-add costs, over what it costs the first learner: above 1 is work
that is not a multiply-add, such as proximal steps and masks.
"""

import argparse
import copy
import json
import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from lasem.benchmarks import Outline, Split, Task
from lasem.learners import AbstractLearner
from lasem.runs import build_learner, keep_freed_memory, resolve

SHAPES = {"digits-3": ((1, 8, 8), 3, "digits"), "cifar-4": ((3, 32, 32), 10, "cifar100-10")}
"""Shape of an image, classes, and the benchmark whose presets have the network."""

LEARNERS = "stl,snn,hps,tf,dfcnn,prognn,prognn-rusu,den,apd,ewc,ewc-single,gating,darts-hps,lasem-hps"


def random_task(identity: int, *, shape: tuple[int, ...], classes: int, images: int) -> Task:
    """Random images and labels, another draw for every task."""
    generator = torch.Generator().manual_seed(identity)
    pixels = torch.rand(images, *shape, generator=generator)
    split = Split(images=pixels, labels=torch.randint(classes, (images,), generator=generator))
    return Task(name="random images", classes=classes, train=split, valid=split, test=split, identity=identity)


def learn(learner: AbstractLearner, task: Task, *, epochs: int) -> None:
    """Learn a task from its beginning to its end."""
    learner.begin_task(task)
    for _ in range(epochs):
        learner.train_epoch()
    learner.end_task()


def measure(name: str, network: str, *, tasks: int, epochs: int, images: int) -> dict[str, float]:
    """Seconds and multiply-adds per step of the last task, its beginning and end included."""
    shape, classes, benchmark = SHAPES[network]
    settings = [f"training.epochs={epochs}", "training.batch_size=10"]
    spec = resolve(f"{benchmark}/{name}" + ("" if benchmark == "digits" else "/small"), settings)
    outline = Outline(
        shape=shape,
        classes=(classes,) * tasks,
        images={"train": images, "valid": images, "test": images},
        identities=tuple(range(tasks)),
    )
    learner = build_learner(spec, outline, device=torch.device("cpu"))
    *earlier, last = (random_task(i, shape=shape, classes=classes, images=images) for i in range(tasks))
    for task in earlier:
        learn(learner, task, epochs=epochs)
    steps, twin = epochs * (images // 10), copy.deepcopy(learner)
    start = time.process_time()
    learn(learner, last, epochs=epochs)
    seconds = time.process_time() - start
    with FlopCounterMode(display=False) as counter:
        learn(twin, last, epochs=epochs)
    return {"seconds": seconds / steps, "multiply_adds": counter.get_total_flops() / 2 / steps}


def main() -> None:
    """Measure the learners asked for, and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="cifar-4", choices=list(SHAPES))
    parser.add_argument(
        "--learners", default=LEARNERS, help="comma-separated names of presets; the first is compared with"
    )
    parser.add_argument("--tasks", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--images", type=int, default=170)
    parser.add_argument("--json", action="store_true", help="one object per learner and line")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    base: dict[str, float] = {}
    if not options.json:
        print(f"torch {torch.__version__}, {options.network}, step of task {options.tasks}, one thread")
        print(f"{'learner':<20}{'ms':>9}{'million':>10}{'/first':>8}{'count':>8}{'cost':>7}")
    for name in options.learners.split(","):
        found = measure(name, options.network, tasks=options.tasks, epochs=options.epochs, images=options.images)
        base = base or found
        slower, more = (found[key] / base[key] for key in ("seconds", "multiply_adds"))
        if options.json:
            print(json.dumps({"learner": name, **found, "time": slower, "count": more}), flush=True)
        else:
            ms, million = 1000 * found["seconds"], found["multiply_adds"] / 1e6
            print(f"{name:<20}{ms:>9.2f}{million:>10.1f}{slower:>8.2f}{more:>8.2f}{slower / more:>7.2f}", flush=True)


if __name__ == "__main__":
    main()
