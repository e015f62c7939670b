"""Kill short runs at random moments, resume them, and compare with undisturbed ones, bit for bit.

    python perf/soak.py --kills 240 --summary soak.json

Each attempt is a process of its own, forked from a server that has imported torch once. Most kills are SIGKILL, some
are SIGTERM, once or twice in a row. A run that was killed often enough ends undisturbed, and its records (but for
times), its result and its last checkpoint must equal those of a run that nobody touched.
"""

import argparse
import json
import multiprocessing
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import torch

from lasem import records
from lasem.errors import RunStopped
from lasem.presets import learner_entries
from lasem.runs import RunFolder, RunOptions, Signals, Spec, read_checkpoint, resolve, run

SETTINGS = (
    "benchmark.first_tasks=3", "benchmark.order=[0, 1, 0]", "benchmark.train_per_class=10", "benchmark.max_test=30",
    "network.name=synthetic-3", "search.partition={1,2},{3}", "training.epochs=2", "training.decay=0.1",
)  # fmt: skip
VARIANTS: dict[str, tuple[str, ...]] = {
    "lasem-hps, release": ("lasem-hps", "profile=release"),
    "lasem-hps, counts by epoch": ("lasem-hps", "search.prior=counts", "search.restart=epoch"),
    "darts-hps, second order": ("darts-hps", "darts.order=second", "darts.held_out=half"),
    "brute-force-hps, release": ("brute-force-hps", "profile=release"),
    "lasem-hps, adam": ("lasem-hps", "training.optimizer=adam"),
}
"""Cases beside the learners themselves: priors, orders, optimizers."""

STATIC = re.compile(r"-(top|bottom)-\d+$|-alternating$")
TERMINATED = 0.25
"""Share of kills that ask, by SIGTERM, instead of killing."""

PRELOADED = ["lasem.runs", "sklearn.datasets", "torch._dynamo"]
"""What a run imports: once by the server; the last one by the first optimizer step."""

PATIENCE = 120.0
"""Seconds after which an attempt hangs."""


@dataclass
class Tally:
    """What became of one case.

    Attributes:
        name: Of the case.
        kills: Attempts that were stopped, of these
        terminated: by SIGTERM.
        compared: Runs that were compared with the undisturbed one.
        resumed: Attempts that went on from a checkpoint.
        faults: What was not as it should be.
    """

    name: str
    kills: int = 0
    terminated: int = 0
    compared: int = 0
    resumed: int = 0
    faults: list[str] = field(default_factory=list)


def cases(names: Sequence[str] = ()) -> dict[str, Spec]:
    """Specs by name: all learners of the registry but static configurations, and the variants; or some of them."""
    chosen = {entry.name: (entry.name,) for entry in learner_entries() if not STATIC.search(entry.name)} | VARIANTS
    return {
        name: resolve(f"digits/{learner}", [*SETTINGS, *settings])
        for name, (learner, *settings) in chosen.items()
        if not names or name in names
    }


def attempt(spec: Spec, out: Path) -> None:
    """Run a spec in this process, as the command line does."""
    torch.set_num_threads(1)
    with Signals() as signals:
        try:
            run(spec, RunOptions(out=out, device="cpu", checkpoint_every=1), stop=signals.received)
        except RunStopped:
            sys.exit(signals.status)


def soak(specs: dict[str, Spec], out: Path, *, kills: int, seconds: float, seed: int = 0) -> list[Tally]:
    """Kill, resume and compare every case.

    Args:
        specs: By name.
        out: Folder for all runs.
        kills: Over all cases, at least.
        seconds: After so many no further run is begun.
        seed: Of the moments.
    """
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(PRELOADED)
    random, end = Random(seed), time.monotonic() + seconds
    tallies = [Tally(name) for name in specs]
    _finish(server, next(iter(specs.values())), out / "warm")
    for number, tally in enumerate(tallies):
        spec, folder = specs[tally.name], out / str(number)
        duration = _finish(server, spec, folder / "whole")
        share = -(-kills // len(tallies))
        while tally.kills < share and time.monotonic() < end:
            again = folder / str(tally.compared)
            _disturb(server, spec, again, tally, random=random, duration=duration, most=share - tally.kills)
            tally.faults += _differences(RunFolder.of(spec, folder / "whole"), RunFolder.of(spec, again))
            tally.resumed += _resumptions(RunFolder.of(spec, again))
            tally.compared += 1
            shutil.rmtree(again)
        print(f"{tally.name}: {tally.kills} kills, {tally.compared} runs, {len(tally.faults)} faults", flush=True)
    return tallies


def _finish(server: Any, spec: Spec, out: Path) -> float:  # noqa: ANN401
    """Run without a disturbance; seconds taken."""
    start = time.monotonic()
    process = server.Process(target=attempt, args=(spec, out))
    process.start()
    process.join(PATIENCE)
    if process.exitcode != 0:
        process.kill()
        raise RuntimeError(f"an undisturbed run of {spec.name} must end - its exit status is {process.exitcode}")
    return time.monotonic() - start


def _disturb(
    server: Any,  # noqa: ANN401
    spec: Spec,
    out: Path,
    tally: Tally,
    *,
    random: Random,
    duration: float,
    most: int,
) -> None:
    """Kill a run at random moments, up to `most` times, until it has ended."""
    kills = 0
    while True:
        process = server.Process(target=attempt, args=(spec, out))
        process.start()
        process.join(random.uniform(0, duration) if kills < most else PATIENCE)
        if process.is_alive() and kills < most:
            kills += 1
            tally.kills += 1
            gently = random.random() < TERMINATED
            tally.terminated += gently
            _stop(process, gently=gently, twice=random.random() < 0.5, pause=random.uniform(0, duration / 20))
        if process.exitcode == 0:
            return
        if kills >= most and process.exitcode not in (-signal.SIGKILL, -signal.SIGTERM, 128 + signal.SIGTERM):
            raise RuntimeError(f"a resumed run of {spec.name} must end - its exit status is {process.exitcode}")


def _stop(process: Any, *, gently: bool, twice: bool, pause: float) -> None:  # noqa: ANN401
    """End a process by SIGKILL, or by one or two SIGTERMs."""
    if not gently:
        process.kill()
        process.join(PATIENCE)
        return
    process.terminate()
    if twice:
        time.sleep(pause)
        process.terminate()
    process.join(PATIENCE)
    if process.is_alive():
        process.kill()
        raise RuntimeError(f"a run that is asked to stop must - it did not within {PATIENCE} s")


def _differences(whole: RunFolder, again: RunFolder) -> list[str]:
    """In which respects a run that was killed differs from one that was not."""
    faults = [f"{name} differ" for name, values in _timeless(whole).items() if values != _timeless(again)[name]]
    one, other = read_checkpoint(whole), read_checkpoint(again)
    if one is None or other is None or other.warnings:
        return [*faults, f"no last checkpoint: {other and other.warnings}"]
    if one.state.values != other.state.values or one.state.tensors.keys() != other.state.tensors.keys():
        faults.append("values of the last checkpoint differ")
    else:
        pairs = ((name, value, other.state.tensors[name]) for name, value in one.state.tensors.items())
        faults += [f"{n} differs" for n, a, b in pairs if not torch.equal(a, b) or a.stride() != b.stride()]
    return faults


def _timeless(folder: RunFolder) -> dict[str, object]:
    """Records, warnings and result of a run without its times."""
    events, warnings = records.read_events(folder.records_path)
    result = folder.result()
    times = {"training_seconds", "evaluation_seconds", "cpu_seconds", "seconds"}
    lines = [event.model_dump(exclude=times) for event in events]
    return {"records": lines, "warnings": warnings, "results": result and result.model_dump(exclude={"seconds"})}


def _resumptions(folder: RunFolder) -> int:
    """Attempts that went on from a checkpoint."""
    if not folder.resumptions_path.exists():
        return 0
    return sum(json.loads(line)["epoch"] > 0 for line in folder.resumptions_path.read_text().splitlines())


def main() -> None:
    """Soak, print a summary, and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=240, help="over all cases, at least")
    parser.add_argument("--seconds", type=float, default=1800, help="begin no run after so many")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--cases", nargs="*", default=[], help="some of them by name; all by default")
    parser.add_argument("--summary", type=Path, default=Path("soak.json"))
    options = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as out:
        tallies = soak(cases(options.cases), Path(out), kills=options.kills, seconds=options.seconds, seed=options.seed)
    keys = ("kills", "terminated", "resumed", "compared")
    total = {key: sum(getattr(tally, key) for tally in tallies) for key in keys}
    total |= {"cases": len(tallies), "seconds": round(time.monotonic() - start), "cores": os.cpu_count() or 0}
    faults = [f"{tally.name}: {fault}" for tally in tallies for fault in tally.faults]
    summary = {"total": total, "faults": faults, "cases": [asdict(tally) for tally in tallies]}
    options.summary.write_text(json.dumps(summary, indent=1))
    print(json.dumps(total), *faults, sep="\n")
    sys.exit(1 if faults or total["kills"] < options.kills else 0)


if __name__ == "__main__":
    main()
