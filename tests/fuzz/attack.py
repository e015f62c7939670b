"""Attack lasem with damaged run folders, odd arguments, specs, records, images and calls, and count what happens.

    python tests/fuzz/attack.py [--attempts 5000] [--seconds 3600] [--seed 0] [--areas folders,specs]

An attempt is an area and a seed, so that one that fails can be repeated: `--areas folders --seed 17 --attempts 1`. An
attempt is clean if it succeeds or ends with an error of lasem (exit status 2 or 75). Any other exception is a traceback
that a user would see, and an attempt that takes more than `SLOW` seconds is a hang.
"""

import argparse
import contextlib
import dataclasses
import io
import os
import random
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from unittest import mock

import torch
from calls import call
from folders import damage, make_runs
from images import read_images
from words import arguments, settings

from lasem import cli
from lasem.errors import LasemError, RunStopped
from lasem.runs import check, load, resolve

SLOW = 30.0
CLEAN = (0, 2, 75)
"""Exit statuses of commands that end as documented."""
READERS = (
    ("show",),
    ("table", "comparison"),
    ("table", "settings"),
    ("table", "comparison", "--format", "csv"),
    ("table", "comparison", "--format", "html"),
    ("export", "--out", "export"),
    ("report", "--out", "report.html"),
    ("figure", "accuracy", "--out", "accuracy.svg"),
)
"""Commands that read runs; the folder of the runs follows the words that name the command."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """An attempt that was not clean: its area and seed, what kind of failure it was, and the details."""

    area: str
    seed: int
    kind: str
    details: str


def lasem(*words: str) -> None:
    """Run a command in this process, silently; raise what a shell would show as a traceback."""
    silent = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with (
        mock.patch.object(sys, "argv", ["lasem", *words]),
        contextlib.redirect_stdout(silent),
        contextlib.redirect_stderr(silent),
    ):
        try:
            cli.main()
        except SystemExit as end:
            if end.code not in (None, *CLEAN):
                raise AssertionError(f"lasem {' '.join(words)!r} ended with status {end.code}") from end


def folders(draw: random.Random, here: Path) -> None:
    """Damage a folder with two runs, then read or continue them."""
    damage(draw, here / "runs")
    choice = draw.randrange(len(READERS) + 3)
    if choice < len(READERS):
        name, *rest = READERS[choice]
        front = rest[:1] if name in ("table", "figure") else []
        lasem(name, *front, "runs", *rest[len(front) :])
    elif choice == len(READERS):
        load(draw.choice(sorted((here / "runs").iterdir()))).network(0)
    else:
        lasem("run", "spec.toml", "--out", "runs", "--quiet")


def specs(draw: random.Random, here: Path) -> None:
    """Start a run with odd settings, or read a damaged spec file; what is accepted is described, not run."""
    words, name = settings(draw)
    if draw.random() < 0.3:
        damage(draw, here, only="spec.toml")
        name = "spec.toml"
    check(resolve(name, words))


def commands(draw: random.Random, here: Path) -> None:
    """Call a command with odd arguments."""
    lasem(*arguments(draw))


def data(draw: random.Random, here: Path) -> None:
    """Read a folder of images with odd names and files."""
    read_images(draw, here)


def calls(draw: random.Random, here: Path) -> None:
    """Call a learner in an odd order, or with odd images."""
    call(draw)


AREAS: Mapping[str, Callable[[random.Random, Path], None]] = {
    "folders": folders,
    "specs": specs,
    "commands": commands,
    "data": data,
    "calls": calls,
}


def attempt(area: str, seed: int, template: Path) -> Finding | None:
    """Make one attempt in a new folder, and return what was wrong with it."""
    draw = random.Random(f"{area}/{seed}")
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        here = make_runs(template, Path(name, "here"))
        os.chdir(here)
        torch.manual_seed(0)
        try:
            AREAS[area](draw, here)
        except (LasemError, RunStopped):
            pass
        except Exception:
            return Finding(area, seed, "traceback", traceback.format_exc(limit=-6))
    seconds = time.perf_counter() - began
    return Finding(area, seed, "hang", f"{seconds:.0f} s") if seconds > SLOW else None


def attack(areas: Iterable[str], seeds: Iterator[int], *, seconds: float) -> tuple[Counter[str], list[Finding]]:
    """Make attempts in all areas in turn until the seeds or the time are used up.

    Returns:
        Number of attempts by area, and what was found.
    """
    counts, findings, areas = Counter[str](), list[Finding](), list(areas)
    with tempfile.TemporaryDirectory() as name:
        template, end = make_runs(None, Path(name)), time.monotonic() + seconds
        for seed in seeds:
            for area in areas:
                if time.monotonic() > end:
                    return counts, findings
                counts[area] += 1
                if found := attempt(area, seed, template):
                    findings.append(found)
    return counts, findings


def main() -> None:
    """Attack from the command line, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attempts", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--areas", default=",".join(AREAS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["HF_HUB_OFFLINE"] = "1"
    areas = options.areas.split(",")
    per_area = -(-options.attempts // len(areas))
    counts, findings = attack(areas, iter(range(options.seed, options.seed + per_area)), seconds=options.seconds)
    for found in findings:
        print(f"--- {found.area} {found.seed}: {found.kind}\n{found.details}")
    for area, count in counts.items():
        kinds = Counter(found.kind for found in findings if found.area == area)
        print(f"{area}: {count} attempts, {kinds['traceback']} tracebacks, {kinds['hang']} hangs")
    sys.exit(bool(findings))


if __name__ == "__main__":
    main()
