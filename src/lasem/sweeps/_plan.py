"""Plan of a sweep: the combinations of its file, made into specs that are all checked before the first one runs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import tomli_w

from lasem.errors import SpecError
from lasem.options import Table
from lasem.runs import Spec, check, resolve
from lasem.sweeps._plan_file import ListedRun, SweepPlan, fingerprint
from lasem.sweeps._sweep_file import PLAIN, SweepSpec, beside, read_sweep_file, target_of


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep.

    Attributes:
        spec: The experiment with its seed.
        values: The settings that the grid gives it, besides benchmark, learner and seed.
    """

    spec: Spec
    values: tuple[tuple[str, object], ...] = ()

    @property
    def title(self) -> str:
        """The preset with the run's own values of the grid, which is the same for all seeds."""
        return " ".join([self.spec.name, *(f"{key}={value}" for key, value in self.values)])

    @property
    def label(self) -> str:
        """The title of the run, followed by its seed."""
        return f"{self.title} seed {self.spec.seeds.training}"

    @property
    def listed(self) -> ListedRun:
        """The run as a list of runs names it."""
        return ListedRun(folder=self.spec.folder, label=self.label, epochs=self.spec.training.epochs)


@dataclass(frozen=True)
class Sweep:
    """A named set of runs, each of which is made once.

    Attributes:
        name: Name of the sweep's own folder.
        runs: The runs.
        fingerprint: Hash of everything that decides the runs; None if that is not known.
    """

    name: str
    runs: tuple[PlannedRun, ...]
    fingerprint: str | None = None

    @property
    def plan(self) -> SweepPlan:
        """The runs by name, as a sweep writes them."""
        return SweepPlan(name=self.name, fingerprint=self.fingerprint, runs=[run.listed for run in self.runs])


def read_sweep(path: Path | str, settings: Sequence[str] = ()) -> Sweep:
    """Read a TOML file, and check every run that it describes.

    Args:
        path: The file. Specs that it names by file are looked for in the same folder.
        settings: Settings such as "training.epochs=20", which override those of the file.

    Raises:
        SpecError: The file breaks a rule, or a combination does not exist; the message lists all faults.
    """
    file = Path(path)
    spec = read_sweep_file(file, settings)
    return Sweep(name=spec.name, runs=_plan(spec, file), fingerprint=fingerprint(spec, file))


def _plan(spec: SweepSpec, path: Path) -> tuple[PlannedRun, ...]:
    """Return the runs; combinations that mean the same spec are one run.

    Raises:
        SpecError: Combinations are impossible. The message lists every fault once, with the combinations that have it.
    """
    runs: dict[str, PlannedRun] = {}
    faults: dict[str, list[str]] = {}
    for point in spec.combinations():
        target = target_of(point)
        place = beside(path, target)
        try:
            run = _run(spec, point, place)
            runs.setdefault(run.spec.folder, run)
        except SpecError as error:
            for text in dict.fromkeys([*_texts(error, place), *_own_faults(place)]):
                faults.setdefault(text, []).append(target)
    if faults:
        raise SpecError(f"{path}: " + "\n  ".join(f"{text} ({_in(places)})" for text, places in faults.items()))
    if not runs:
        raise SpecError(
            f"a sweep must have runs (got none in {path}, which excludes every combination); remove an exclusion"
        )
    return tuple(runs.values())


def _own_faults(target: str) -> list[str]:
    """Return what is wrong with a preset or file without any setting, which a wrong setting would hide."""
    try:
        check(resolve(target))
    except SpecError as error:
        return _texts(error, target)
    return []


def _texts(error: SpecError, target: str) -> list[str]:
    """Return the faults that a message lists."""
    return str(error).removeprefix(f"{target}: ").split("\n  ")


def _run(spec: SweepSpec, point: Table, target: str) -> PlannedRun:
    """Return the run of one combination, after a check.

    Raises:
        SpecError: The combination is impossible.
    """
    values = {key: value for key, value in point.items() if key not in (*PLAIN, "preset")}
    found = resolve(target, [_assignment(key, value) for key, value in (spec.set | values).items()])
    if "seeds" in point:
        found = found.with_seed(point["seeds"])
    check(found)
    return PlannedRun(found, tuple(values.items()))


def _assignment(key: str, value: object) -> str:
    """Write a setting as the command line has it."""
    return f"{key}={_inline(value)}"


def _inline(value: object) -> str:
    """Write a value as TOML on one line, in which tables are in braces."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)} = {_inline(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    return tomli_w.dumps({"value": value}).partition("=")[2].strip()


def _in(places: Sequence[str]) -> str:
    """Return in words which combinations have a fault: the first three, and how many more."""
    named = list(dict.fromkeys(places))
    more = f" and {len(named) - 3} more" if len(named) > 3 else ""
    return f"in {', '.join(named[:3])}{more}"
