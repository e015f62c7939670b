"""How well a search over drawn lists stands in for the exact one: decisions, marginals, and regret.

    python perf/drawn_fidelity.py digits-3 cifar-4 stl-6 resnet-18:7 [--seeds 3] [--tasks 3] [--data DIR]

Before every task of a stream, several searches begin from what the learner knows then, and see the same batches: the
exact one, the exact one with a prior per group (a list of all configurations), and drawn lists of half as many, at most
8. Another exact search with other initial values and another order of batches tells how much of a difference chance
makes. The learner goes on with the exact search. Where there are at most 16 configurations, each is trained by itself
too.

Each seed of each network is one line of the file, and a line that is there is not made again. The table is in
docs/search.md; `make book` makes it from the file.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

import torch
from em_step import PARTITIONS
from search_quality import CPU, RECORDS, STREAMS, accuracy, append, probe, read, stream_of

from lasem.benchmarks import Task, TaskStream
from lasem.learners import AbstractLearner, Searches
from lasem.runs import Spec, build_learner, resolve

ADAM = "training.optimizer=adam"  # with rmsprop-tf, stl-6 is still at chance level after so few steps

CASES = {
    "digits-3": (STREAMS["digits"], 3),
    "cifar-4": (STREAMS["cifar100-10"], 4),
    "stl-6": (["tiny-imagenet-10/lasem-hps/small", ADAM, "training.epochs=15"], 6),
    "resnet-18:7": (
        [
            "cifar100-10/resnet-18/lasem-hps/small",
            f'search.partition="{PARTITIONS["resnet-18"]["7-groups"]}"',
            "search.evidence=product",
            ADAM,
        ],
        7,
    ),
}
"""Settings of each case, and its number of groups."""

PROBED = 16
"""Most configurations that are trained by themselves."""

OTHER_SEED = 1000
"""Added to the seed of the search that differs by chance alone."""


def searches(spec: Spec, groups: int) -> dict[str, Spec]:
    """Return the specs of the searches that are compared, the exact one first."""
    other = spec.changed({"seeds": {"training": spec.seeds.training + OTHER_SEED}})

    def drawn(draws: int) -> Spec:
        return spec.changed({"learner": {"strategy": "drawn-em"}, "search": {"draws": draws}})

    few = min(2 ** (groups - 1), 8)
    return {"exact": spec, "exact, other seed": other, "prior per group": drawn(2**groups), f"{few} drawn": drawn(few)}


def learn(learner: AbstractLearner, task: Task, *, position: int, epochs: int) -> dict[str, object]:
    """Train a task by a search, and return what it found."""
    learner.begin_task(task)
    for _ in range(epochs):
        learner.train_epoch()
    assert isinstance(learner, Searches)
    status = learner.status()
    assert status is not None
    learner.end_task()
    return {
        "marginals": [round(float(value), 4) for value in status.marginals],
        "chosen": "".join(map(str, learner.configuration(position))),
        "test": round(accuracy(learner, task, identity=position, split="test"), 4),
    }


def compare(spec: Spec, stream: TaskStream, groups: int, *, tasks: int) -> Iterable[dict[str, object]]:
    """Learn the first tasks of a stream by the exact search, and each of them by the other searches too."""
    learner = build_learner(spec, stream.outline, device=CPU)
    for position in range(min(tasks, len(stream))):
        task, state = stream[position], learner.state()
        probes = probe(spec, stream, learner, position=position) if 2**groups <= PROBED else {}
        found = {}
        for name, one in searches(spec, groups).items():
            made = learner if one is spec else build_learner(one, stream.outline, device=CPU)
            if one is not spec and position:
                made.restore(state, task=None)
            found[name] = learn(made, task, position=position, epochs=spec.training.epochs)
        yield {"searches": found, "probes": probes}


def main() -> None:
    """Measure the seeds that are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="+", choices=CASES)
    parser.add_argument(
        "--out", type=Path, default=RECORDS / "drawn-fidelity.jsonl", help="one line per network and seed"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tasks", type=int, default=3, help="number of tasks at the start of the stream")
    parser.add_argument("--data", type=Path, help="folder that contains the data sets")
    given = parser.parse_args()

    torch.set_num_threads(1)
    for network in given.networks:
        (preset, *settings), groups = CASES[network]
        done = {line["seed"] for line in read(given.out, network)}
        for seed in sorted(set(range(given.seeds)) - done):
            spec = resolve(preset, settings).with_seed(seed)
            stream = stream_of(spec, given.data)
            tasks = list(compare(spec, stream, groups, tasks=given.tasks))
            append(given.out, {"stream": network, "row": "drawn", "seed": seed, "tasks": tasks})


if __name__ == "__main__":
    main()
