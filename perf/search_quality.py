"""How well a search chooses: accuracy, forgetting, regret and cost of searches, beside every static configuration.

    python perf/search_quality.py digits --out quality.jsonl [--seeds 10] [--probes 3] [--data DIR]
    python perf/search_quality.py digits --out quality.jsonl --rows published retained-100
    python perf/search_quality.py digits --out quality.jsonl --table

In the first seeds, as many as `--probes` says, each configuration is trained by itself before every task, from what
the learner knows then. The regret of a decision is the test accuracy of brute force's choice (the configuration that
validates best) less that of the configuration chosen, both after training by themselves. Where several validate best,
brute force's score is the mean of theirs, and any of them agrees with it. "By chance" is what a configuration drawn at
random is expected to reach. The cost of a search is its training time in units of the mean training time of one
configuration. The other seeds measure accuracy, forgetting and parameters.

In the streams `synthetic-*` the right configuration is known, and the name says it. Its shared layers are given after
the first task, in place of what that task had shared, so the first task is not counted.

Each seed of each row is one line of the file. Lines that are there already are not made again, so the command resumes;
a seed that was measured without probes is measured again with them where they are asked for.
"""

import argparse
import json
import time
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from lasem.benchmarks import Task, TaskStream
from lasem.learners import AbstractLearner, LoadsKnowledge, Searches, TakesTurns, parameter_counts
from lasem.metrics import distinguishable, spread
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
    "cifar100-10": ["cifar100-10/lasem-hps/small"],
}  # fmt: skip
LEAST_PAIRS = 5
FIRST_EPOCH = "search.evidence_epochs=1"


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
    "late": ["search.evidence_from=10"],
    "first-task-shared": ["learner.first_task=shared"],
    "near-ties": ["learner.first_task=near-ties"],
    "drawn": ["learner.strategy=drawn-em", "search.draws=4"],
    "darts": ["learner.strategy=darts"],
    "brute-force": ["learner.strategy=brute-force"],
    **{f"retained-{weight}": retained(weight) for weight in (1, 10, 100)},
    "retained-10-sum": retained(10, "search.prior=sum"),
    "retained-10-valid": retained(10, "search.held_out=valid"),
    "retained-10-valid-sum": retained(10, "search.held_out=valid", "search.prior=sum"),
    "retained-100-valid": retained(100, "search.held_out=valid"),
    **{
        f"retained-{weight}-commit-0.3": retained(weight, "search.commit_at.share=0.3") for weight in (1, 10, 100, 1000)
    },
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


def spec_of(stream: str, row: str, seed: int) -> Spec:
    """Return the spec of a row: a search, or a static configuration by its digits."""
    preset, *settings = STREAMS[stream]
    fixed = ["learner.strategy=fixed", f'learner.configuration="{row}"']
    return resolve(preset, [*settings, *SEARCHES.get(row, fixed)]).with_seed(seed)


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
    found, state, task = {}, learner.state(), stream[position]
    for digits in configurations(spec):
        fixed = spec.changed({"learner": {"strategy": "fixed", "configuration": digits}})
        alone = build_learner(fixed, stream.outline, device=CPU)
        if position:
            alone.restore(state, task=None)
        seconds = train(alone, task, identity=position, epochs=spec.training.epochs)
        valid, test = (accuracy(alone, task, identity=position, split=split) for split in ("valid", "test"))
        found[digits] = [round(value, 4) for value in (valid, test, seconds)]
    return found


def measure(spec: Spec, data: Path | None, *, probed: bool) -> dict[str, object]:
    """Learn a stream; if it is probed, train every configuration by itself before each task."""
    seeds = spec.seeds
    stream = spec.benchmark.options.stream(stream_seed=seeds.stream, data_seed=seeds.data, data=data, device=CPU)
    learner = build_learner(spec, stream.outline, device=CPU)
    rows, chosen, probes, seconds = [], [], [], []
    assert isinstance(learner, Searches)
    for position, task in enumerate(stream):
        if position == 1 and isinstance(learner, LoadsKnowledge):
            learner.load_knowledge(stream.knowledge)
        if probed:
            probes.append(probe(spec, stream, learner, position=position))
        seconds.append(train(learner, task, identity=position, epochs=spec.training.epochs))
        chosen.append("".join(map(str, learner.configuration(position))))
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


def summary(line: dict) -> dict[str, float]:
    """Compute the measures of a line."""
    planted = line.get("planted", [])
    first = 1 if planted else 0
    last, ends = line["accuracy"][-1][first:], [row[-1] for row in line["accuracy"][first:]]
    ratios = [after / end for after, end in zip(last[:-1], ends[:-1], strict=True) if end]
    right = [one == other for one, other in zip(line["chosen"], planted, strict=False)][first:]
    tasks = zip(line["chosen"], line["probes"], line["seconds"], strict=False)
    judged = [
        judge(chosen, probes) | {"cost, static steps": _cost(probes, seconds)} for chosen, probes, seconds in tasks
    ]
    return {
        "final, %": 100 * float(np.mean(last)),
        "at own end, %": 100 * float(np.mean(ends)),
        "forgetting ratio": _mean(ratios),
        "parameters": float(line["parameters"]),
        "training, s": sum(line["seconds"]),
        "planted, %": 100 * _mean(right),
        **{measure: _mean([task[measure] for task in judged]) for measure in (judged[0] if judged else ())},
    }


def judge(chosen: str, probes: dict[str, list[float]]) -> dict[str, float]:
    """Compare a decision with brute force's, and with what a configuration drawn at random is expected to reach."""
    best = max(valid for valid, _, _ in probes.values())
    ties = [digits for digits, (valid, _, _) in probes.items() if valid == best]
    oracle = _mean([probes[digits][1] for digits in ties])
    return {
        "regret, points": 100 * (oracle - probes[chosen][1]),
        "regret by chance, points": 100 * (oracle - _mean([test for _, test, _ in probes.values()])),
        "agreement, %": 100.0 * (chosen in ties),
        "agreement by chance, %": 100 * len(ties) / len(probes),
    }


def _cost(probes: dict[str, list[float]], seconds: float) -> float:
    """Return a training time in units of the mean training time of one configuration."""
    return seconds / _mean([alone for _, _, alone in probes.values()])


def _mean(values: Sequence[float]) -> float:
    """Return the mean; NaN without values."""
    return float(np.mean(values)) if values else float("nan")


def table(lines: Iterable[dict]) -> str:
    """Write a table of the rows, as mean and half of the 95 % interval over seeds, the best final accuracy first.

    The difference from the published search is taken seed by seed. From five seeds on, a star says that its interval
    does not contain 0.
    """
    measured = pd.DataFrame([{"search": line["row"], "seed": line["seed"], **summary(line)} for line in lines])
    groups = {name: group.set_index("seed") for name, group in measured.groupby("search", sort=False)}
    published = groups["published"]["final, %"] if "published" in groups else pd.Series(dtype=float)
    ranked = sorted(groups.items(), key=lambda item: -item[1]["final, %"].mean())
    rows = pd.DataFrame([_row(name, group.drop(columns="search"), published) for name, group in ranked])
    return rows.loc[:, (rows != "").any()].to_markdown(index=False)


def _row(name: object, group: pd.DataFrame, published: pd.Series) -> dict[str, object]:
    """Write the measures of one search."""
    differences = (group["final, %"] - published).dropna().tolist()
    star = " *" if len(differences) >= LEAST_PAIRS and distinguishable(differences) else ""
    row: dict[str, object] = {"search": name, "seeds": len(group)}
    for measure_name in group.columns:
        digits = 3 if "ratio" in measure_name else 0 if measure_name == "parameters" else 1
        row[measure_name] = _interval(group[measure_name].tolist(), digits=digits)
        if measure_name == "final, %":
            row["less published"] = "" if name == "published" else _interval(differences, digits=1, sign="+") + star
    return row


def _interval(values: Sequence[float], *, digits: int, sign: str = "") -> str:
    """Write a mean and half of its interval; nothing of values that are all unknown."""
    found = spread(values)
    half = "" if np.isnan(found.half_width) else f" ± {found.half_width:,.{digits}f}"
    return "" if np.isnan(found.mean) else f"{found.mean:{sign},.{digits}f}{half}"


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
    """Measure the rows that are missing, and print the table of those that are there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stream", choices=STREAMS)
    parser.add_argument("--out", type=Path, required=True, help="file with one line of JSON per row and seed")
    parser.add_argument("--rows", nargs="*", help="searches, or configurations as digits; the default is all of them")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--probes", type=int, default=3, help="number of seeds in which every configuration is trained")
    parser.add_argument("--data", type=Path, help="folder that contains the data sets")
    parser.add_argument("--table", action="store_true", help="print the table only")
    given = parser.parse_args()

    torch.set_num_threads(1)  # small networks are slower on several, and searches and probes must be alike
    rows = given.rows or [*configurations(spec_of(given.stream, "published", 0)), *SEARCHES]
    wanted = missing(given.out, given.stream, rows, seeds=given.seeds, probes=given.probes)
    for row, seed in [] if given.table else wanted:
        spec = spec_of(given.stream, row, seed)
        line = {"stream": given.stream, "row": row, "seed": seed} | measure(
            spec, given.data, probed=seed < given.probes
        )
        append(given.out, line)
    print(table(line for line in read(given.out, given.stream) if line["row"] in rows and line["seed"] < given.seeds))


if __name__ == "__main__":
    main()
