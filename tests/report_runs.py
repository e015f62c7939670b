"""Many run folders made from one real run, for the speed of reports and for pictures with many learners.

Run as ``python tests/report_runs.py RUN OUT --runs 200``: copies of RUN under OUT with other seeds, learners and
accuracies, whose files agree with each other as those of a runner do.
"""

import argparse
import json
import random
import shutil
import tomllib
from pathlib import Path

import tomli_w

from lasem.records import EpochRecord, EvaluationRecord, line
from lasem.report import collect

LEARNERS = ("stl", "hps", "hps-top-1", "hps-top-2", "hps-bottom-1", "hps-alternating", "lasem-hps", "darts-hps")


def multiply(source, out, *, runs, seeds=5, learners=LEARNERS):
    """Write so many run folders; learner k comes with `seeds` seeds, then the next one, then another stream."""
    (original,) = collect([source])
    for number in range(runs):
        learner, seed = number // seeds, number % seeds
        stream, name = learner // len(learners), learners[learner % len(learners)]
        folder = Path(out) / f"{original.benchmark}-{name}-s{seed}-{number:08x}"
        folder.mkdir(parents=True)
        for file in ("environment.json", "stream.json"):
            shutil.copy(Path(source) / file, folder)
        spec = tomllib.loads(original.spec_text)
        spec["seeds"] = {"stream": stream, "data": seed, "training": seed}
        spec["learner"]["name"] = name
        spec["name"] = f"{original.benchmark}/{name}"
        (folder / "spec.toml").write_text(tomli_w.dumps(spec), encoding="utf-8")
        draw = random.Random(number)
        events = [_varied(event, draw, 0.04 * (learner % len(learners))) for event in original.events]
        (folder / "records.jsonl").write_text("".join(map(line, events)), encoding="utf-8")
        _finish(folder, original, name=spec["name"], learner=name, seed=seed)


def _varied(event, draw, shift):
    """The event with accuracies that differ by seed and learner."""

    def vary(value):
        return None if value is None else min(1.0, max(0.01, value - shift + draw.gauss(0, 0.01)))

    if isinstance(event, EpochRecord):
        accuracies = {"valid_accuracy": vary(event.valid_accuracy), "test_accuracy": vary(event.test_accuracy)}
        return event.model_copy(update=accuracies)
    if isinstance(event, EvaluationRecord):
        return event.model_copy(update={"accuracy": [vary(value) for value in event.accuracy]})
    return event


def _finish(folder, original, *, name, learner, seed):
    """The result that these records come to."""
    (run,) = collect([folder])
    found = {**original.result.model_dump(), **run.measures.model_dump()}
    found |= {"name": name, "learner": learner, "seed": seed}
    (folder / "result.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--runs", type=int, default=200)
    options = parser.parse_args()
    multiply(options.source, options.out, runs=options.runs)
