"""How well a search chooses: accuracy, forgetting, regret and cost of searches, beside every static configuration.

    python perf/search_quality.py digits [--seeds 10] [--probes 3] [--rows published retained-100] [--data DIR]

In the first seeds, as many as `--probes` says, each configuration is trained by itself before every task, from what
the learner knows then: regret and agreement with brute force follow from that. The other seeds measure accuracy,
forgetting and parameters.

A row such as `000-best-of-8` trains each task eight times with one configuration, from other initial values and in
another order of batches, and keeps the training that validates best. That is what brute force gains by choosing among
trainings at all, whatever they share. A row such as `brute-force-again` trains the configuration that its search chose
once more by itself, from other initial values, and keeps that training, so that luck does not count for the choice.

In the streams `synthetic-*` the right configuration is known, and the name says it. Its shared layers are given after
the first task, in place of what that task had shared.

Each seed of each row is one line of the file. Lines that are there already are not made again, so the command resumes;
a seed that was measured without probes is measured again with them where they are asked for. The tables are in
docs/results/search-quality.md; `make book` makes them from the file.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from pathlib import Path

import torch

from lasem.benchmarks import Task, TaskStream
from lasem.learners import AbstractLearner, LoadsKnowledge, Searches, TakesTurns, parameter_counts
from lasem.runs import Spec, build_learner, resolve

CPU = torch.device("cpu")
STREAMS = {
    "digits": [
        "digits/lasem-hps", "benchmark.tasks=8", "benchmark.classes_per_task=5", "benchmark.train_per_class=6",
        "training.optimizer=adam", "training.batch_size=5", "training.epochs=40",
    ],
    **{
        f"synthetic-{planted}": ["synthetic/lasem-hps", "benchmark.tasks=5", f'benchmark.planted="{planted}"']
        for planted in ("00", "01", "10", "11")
    },
    "cifar100-10": ["cifar100-10/lasem-hps/small", "benchmark.max_test=1000", "training.epochs=20"],
}  # fmt: skip
RECORDS = Path(__file__).parents[1] / "results" / "records"
SEED_STEP = 1000  # between the seeds of two trainings of a task, more than there are seeds of a row
FIRST_EPOCH, LATE = "search.evidence_epochs=1", "search.evidence_from=0.25"


def retained(weight: int, *settings: str) -> list[str]:
    """Return the settings of a search with retention."""
    return ["retention.kind=laplace", f"retention.weight={weight}", *settings]


SEARCHES = {
    "published": ["search.evidence=product"],
    "published-mean": ["search.evidence=mean"],
    "commit-0.3": ["search.commit_at.share=0.3"],
    "valid": ["search.held_out=valid"],
    "half": ["search.held_out=half", "search.commit_at.share=0.3"],
    "sum": ["search.prior=sum"],
    "valid-sum": ["search.held_out=valid", "search.prior=sum"],
    "first-epoch": [FIRST_EPOCH],
    "late": [LATE],
    "first-task-shared": ["learner.first_task=shared"],
    "near-ties": ["learner.first_task=near-ties"],
    "drawn": ["learner.strategy=drawn-em", "search.draws=4"],
    "darts": ["learner.strategy=darts"],
    "brute-force": ["learner.strategy=brute-force"],
    "brute-force-retained-100": retained(100, "learner.strategy=brute-force"),
    **{f"retained-{weight}": retained(weight) for weight in (1, 10, 100)},
    "retained-10-sum": retained(10, "search.prior=sum"),
    "retained-10-valid": retained(10, "search.held_out=valid"),
    "retained-10-valid-sum": retained(10, "search.held_out=valid", "search.prior=sum"),
    "retained-100-valid": retained(100, "search.held_out=valid"),
    **{
        f"retained-{weight}-commit-0.3": retained(weight, "search.commit_at.share=0.3") for weight in (1, 10, 100, 1000)
    },
    "retained-100-commit-0.6": retained(100, "search.commit_at.share=0.6"),
    "retained-100-late": retained(100, LATE),
    "retained-100-late-commit-0.6": retained(100, LATE, "search.commit_at.share=0.6"),
    "first-epoch-commit-0.1": [FIRST_EPOCH, "search.commit_at.share=0.1"],
    **{
        f"retained-{weight}-first-epoch-commit-0.1": retained(weight, FIRST_EPOCH, "search.commit_at.share=0.1")
        for weight in (10, 100)
    },
    "retained-100-commit-0.3-first-task-shared": retained(
        100, "search.commit_at.share=0.3", "learner.first_task=shared"
    ),
}
"""Settings of each search, over those of its stream."""

BEST_OF = "-best-of-"
"""What stands between a configuration and the number of its trainings in the name of a row."""

AGAIN = "-again"
"""End of the name of a row whose choices are trained once more."""


def spec_of(stream: str, row: str, seed: int) -> Spec:
    """Return the spec of a row: a search, or a static configuration by its digits."""
    preset, *settings = STREAMS[stream]
    fixed = ["learner.strategy=fixed", f'learner.configuration="{row.partition(BEST_OF)[0]}"']
    return resolve(preset, [*settings, *SEARCHES.get(row.removesuffix(AGAIN), fixed)]).with_seed(seed)


def stream_of(spec: Spec, data: Path | None) -> TaskStream:
    """Read the stream of a spec with its seeds."""
    seeds = spec.seeds
    return spec.benchmark.options.stream(stream_seed=seeds.stream, data_seed=seeds.data, data=data, device=CPU)


def configurations(spec: Spec) -> list[str]:
    """Return every configuration of a spec's network, as digits."""
    return ["".join(map(str, digits)) for digits in product((0, 1), repeat=len(spec.network.options.layers))]


def train(learner: AbstractLearner, task: Task, *, identity: int, epochs: int) -> float:
    """Train a task to the end, commit it, and return the processor time of training.

    Brute force trains every candidate in turn, and scores it by the validation accuracy after its last epoch.
    """
    learner.begin_task(task)
    start = time.process_time()
    turns = learner.turns() if isinstance(learner, TakesTurns) else None
    for _ in turns or ["once"]:
        for _ in range(epochs):
            learner.train_epoch()
        if turns is not None and isinstance(learner, TakesTurns):
            learner.end_turn(accuracy(learner, task, identity=identity, split="valid"))
    seconds = time.process_time() - start
    learner.end_task()
    return seconds


def accuracy(learner: AbstractLearner, task: Task, *, identity: int, split: str) -> float:
    """Return the accuracy on a split of a task."""
    images = task.splits[split]
    return float((learner.logits(images.images, identity).argmax(1) == images.labels).double().mean())


def probe(spec: Spec, stream: TaskStream, learner: AbstractLearner, *, position: int) -> dict[str, list[float]]:
    """Train every configuration of a task by itself, from what a learner knows before it.

    Returns:
        Validation accuracy, test accuracy and seconds by configuration.
    """
    found, task = {}, stream[position]
    for digits in configurations(spec):
        fixed = spec.changed({"learner": {"strategy": "fixed", "configuration": digits}})
        alone = copy_of(learner, fixed, stream, position=position)
        seconds = train(alone, task, identity=position, epochs=spec.training.epochs)
        valid, test = (accuracy(alone, task, identity=position, split=split) for split in ("valid", "test"))
        found[digits] = [round(value, 4) for value in (valid, test, seconds)]
    return found


def copy_of(
    learner: AbstractLearner, spec: Spec, stream: TaskStream, *, position: int, again: int = 0
) -> AbstractLearner:
    """Build a learner of a spec that knows what another one knows before a task.

    Args:
        learner: What knows the earlier tasks.
        spec: What to build; it may have another strategy.
        stream: Stream of the tasks.
        position: Position of the task.
        again: Any number but 0 gives the task other initial values and another order of batches.
    """
    seeds = {"training": spec.seeds.training + SEED_STEP * again}
    made = build_learner(spec.changed({"seeds": seeds}), stream.outline, device=CPU)
    if position:
        made.restore(learner.state(), task=None)
    return made


Trained = tuple[AbstractLearner, float]
"""What knows a task after its training, and the processor time of that."""

Training = Callable[[Spec, TaskStream, AbstractLearner, int], Trained]
"""Trains the task at a position of a stream, from what a learner knows before it."""


def training_of(row: str) -> Training:
    """Return how a row trains a task."""
    count = row.partition(BEST_OF)[2]
    return partial(train_best, count=int(count)) if count else train_again if row.endswith(AGAIN) else train_once


def train_once(spec: Spec, stream: TaskStream, learner: AbstractLearner, position: int) -> Trained:
    """Train a task as a spec says."""
    return learner, train(learner, stream[position], identity=position, epochs=spec.training.epochs)


def train_best(spec: Spec, stream: TaskStream, learner: AbstractLearner, position: int, *, count: int) -> Trained:
    """Train a task several times, and keep the training that validates best, the first of equals."""
    made = [copy_of(learner, spec, stream, position=position, again=again) for again in range(count)]
    seconds = sum(train_once(spec, stream, one, position)[1] for one in made)
    valid = [accuracy(one, stream[position], identity=position, split="valid") for one in made]
    return made[valid.index(max(valid))], seconds


def train_again(spec: Spec, stream: TaskStream, learner: AbstractLearner, position: int) -> Trained:
    """Search as a spec says, then train what was chosen by itself, from other initial values."""
    searched = copy_of(learner, spec, stream, position=position)
    _, seconds = train_once(spec, stream, searched, position)
    fixed = spec.changed({"learner": {"strategy": "fixed", "configuration": chosen_by(searched, position)}})
    made = copy_of(learner, fixed, stream, position=position, again=1)
    return made, seconds + train_once(fixed, stream, made, position)[1]


def chosen_by(learner: AbstractLearner, position: int) -> str:
    """Return the configuration of a task, as digits."""
    assert isinstance(learner, Searches)
    return "".join(map(str, learner.configuration(position)))


def measure(spec: Spec, data: Path | None, *, probed: bool, training: Training = train_once) -> dict[str, object]:
    """Learn a stream.

    Args:
        spec: What to learn, and how.
        data: Folder that contains the data sets.
        probed: Whether every configuration is trained by itself before each task.
        training: How a task is trained.
    """
    stream = stream_of(spec, data)
    learner = build_learner(spec, stream.outline, device=CPU)
    rows, chosen, probes, seconds = [], [], [], []
    for position in range(len(stream)):
        if position == 1 and isinstance(learner, LoadsKnowledge):
            learner.load_knowledge(stream.knowledge)
        if probed:
            probes.append(probe(spec, stream, learner, position=position))
        learner, took = training(spec, stream, learner, position)
        seconds.append(took)
        chosen.append(chosen_by(learner, position))
        tests = (accuracy(learner, stream[i], identity=i, split="test") for i in range(position + 1))
        rows.append([round(value, 4) for value in tests])
    return {
        "accuracy": rows,
        "chosen": chosen,
        "planted": ["".join(map(str, digits)) for digits in stream.planted or ()],
        "probes": probes,
        "seconds": seconds,
        "parameters": parameter_counts(learner).held,
    }


def missing(out: Path, stream: str, rows: Sequence[str], *, seeds: int, probes: int) -> list[tuple[str, int]]:
    """Return what a file does not have yet, all rows of a seed before the next seed."""
    lines = read(out, stream)
    done = {(line["row"], line["seed"]) for line in lines if line["probes"] or line["seed"] >= probes}
    return [(row, seed) for seed in range(seeds) for row in rows if (row, seed) not in done]


def read(out: Path, stream: str) -> list[dict]:
    """Read the lines of a stream, of a seed that was measured twice the later; a line that was cut off is left out."""
    found = {}
    for text in out.read_text(encoding="utf-8").splitlines() if out.exists() else ():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            continue
        if line["stream"] == stream:
            found[line["row"], line["seed"]] = line
    return list(found.values())


def append(out: Path, line: dict) -> None:
    """Write a line at the end of a file, below a line that was cut off."""
    text = out.read_text(encoding="utf-8") if out.exists() else ""
    begin = "" if text == "" or text.endswith("\n") else "\n"
    with out.open("a", encoding="utf-8") as file:
        file.write(begin + json.dumps(line, separators=(",", ":")) + "\n")


def main() -> None:
    """Measure the rows that are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stream", choices=STREAMS)
    parser.add_argument("--out", type=Path, default=RECORDS / "search-quality.jsonl", help="one line per row and seed")
    parser.add_argument("--rows", nargs="*", help="searches, or configurations as digits; the default is all of them")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--probes", type=int, default=3, help="number of seeds in which every configuration is trained")
    parser.add_argument("--data", type=Path, help="folder that contains the data sets")
    given = parser.parse_args()

    torch.set_num_threads(1)  # small networks are slower on several, and searches and probes must be alike
    rows = given.rows or [*configurations(spec_of(given.stream, "published", 0)), *SEARCHES]
    wanted = missing(given.out, given.stream, rows, seeds=given.seeds, probes=given.probes)
    for row, seed in wanted:
        spec = spec_of(given.stream, row, seed)
        line = {"stream": given.stream, "row": row, "seed": seed} | measure(
            spec, given.data, probed=seed < given.probes, training=training_of(row)
        )
        append(given.out, line)


if __name__ == "__main__":
    main()
