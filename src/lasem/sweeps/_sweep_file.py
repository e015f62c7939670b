"""The file of a sweep: a grid or a list of presets, checked as far as no run needs to be built for it."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from lasem.errors import SpecError, nearest
from lasem.options import Table, merge, parse_assignment, read_toml

PLAIN = ("benchmark", "learner", "seeds")
"""Keys of a grid that are not settings. A benchmark and a learner together name a preset."""

LARGEST_SWEEP = 10_000
"""Largest number of combinations, each of which is checked before the first run."""


def _folder_name(name: str) -> str:
    """Return the name of a sweep if a folder can have it.

    Raises:
        ValueError: It has a slash, a character that cannot be printed, or a dot in front.
    """
    if not name.strip() or name.startswith(".") or not name.isprintable() or {"/", "\\"} & {*name}:
        raise ValueError("it must be printable text without slashes that does not begin with a dot")
    return name


class SweepSpec(BaseModel):
    """Content of a sweep's file: every combination of the grid's values, with every preset if there are presets."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    name: Annotated[str, Field(max_length=100), AfterValidator(_folder_name)]
    """Name of the sweep's own folder."""
    presets: Annotated[list[str], Field(min_length=1)] | None = None
    """Presets or TOML files of specs, if the grid has no benchmark and learner."""
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}
    """Values by key: "benchmark", "learner", "seeds", or any setting, such as "training.learning_rate"."""
    set: Table = {}
    """Settings of all runs; those of the grid override them."""
    exclude: list[Table] = []
    """Combinations to leave out: those that have all the values of one of these tables."""

    def combinations(self) -> Iterator[Table]:
        """Yield every combination that is not excluded, in the order of the file; the last key varies fastest."""
        for point in _points(self):
            if not any(_matches(point, excluded) for excluded in self.exclude):
                yield point


def read_sweep_file(path: Path, settings: Sequence[str] = ()) -> SweepSpec:
    """Read a TOML file, and check what needs no run to be built.

    Args:
        path: The file.
        settings: Settings such as "training.epochs=20", which override those of the file.

    Raises:
        SpecError: The file breaks a rule; the message lists all faults.
    """
    table = read_toml(path, what="a sweep")
    for key in ("grid", "set"):
        if isinstance(table.get(key), Mapping):
            table[key] = _flat(table[key])
    above = _flat(merge(*(parse_assignment(text) for text in settings)))
    try:
        spec = SweepSpec.model_validate({"name": path.stem} | table)
    except ValidationError as error:
        faults = [_fault(dict(item)) for item in error.errors()]
    else:
        spec = spec.model_copy(update={"set": spec.set | above, "exclude": [_flat(item) for item in spec.exclude]})
        if not (faults := list(_rules(spec))):
            return spec
    raise SpecError(f"{path}: " + "\n  ".join(faults))


def target_of(point: Table) -> str:
    """Return the preset or file of a combination, as the sweep's file has it."""
    return point.get("preset") or f"{point['benchmark']}/{point['learner']}"


def beside(path: Path, target: str) -> str:
    """Return a target of a sweep as `resolve` takes it: files lie beside the sweep's file."""
    return str(path.parent / target) if target.endswith(".toml") else target


def _flat(table: Mapping[str, Any], above: str = "") -> Table:
    """Return nested tables as one table with dotted keys."""
    flat: Table = {}
    for key, value in table.items():
        flat |= _flat(value, f"{above}{key}.") if isinstance(value, Mapping) else {above + key: value}
    return flat


def _fault(item: Table) -> str:
    where = ".".join(map(str, item["loc"]))
    if item["type"] == "extra_forbidden":
        return f"unknown key {where!r} of a sweep; {nearest(where, SweepSpec.model_fields)}"
    remedy = f"; list its values: [{item['input']!r}]" if item["loc"][0] == "grid" else ""
    return f"{where} must be right: {item['msg'][0].lower()}{item['msg'][1:]} (got {item['input']!r}){remedy}"


def _rules(spec: SweepSpec) -> Iterator[str]:
    """Yield what is wrong with a sweep as such, before any combination is checked."""
    pair = [key for key in ("benchmark", "learner") if key in spec.grid]
    if spec.presets and pair:
        yield f"a sweep must have either presets or grid.{pair[0]} (got both); leave one of them out"
    elif not spec.presets and len(pair) < 2:
        yield (
            "a sweep must have presets, or a grid with benchmark and learner (got"
            f" {'grid.' + pair[0] + ' alone' if pair else 'neither'}); add what is missing"
        )
    known = (*PLAIN, "profile")
    for key in spec.grid:
        if "." not in key and key not in known:
            yield f"unknown key 'grid.{key}'; {nearest(key, known)}, or a setting such as 'training.epochs'"
    for key in spec.grid.keys() & spec.set.keys():
        yield f"a key must have one value or several (got {key!r} in both set and grid); leave one of them out"
    if "seeds" in spec.grid:
        both = {"seeds.data", "seeds.training"} & {*spec.grid, *spec.set}
        if both:
            yield f"grid.seeds must be the only setting of seeds (got {min(both)!r} as well); leave one of them out"
        if not all(type(seed) is int and seed >= 0 for seed in spec.grid["seeds"]):
            yield f"grid.seeds must list whole numbers from 0 (got {spec.grid['seeds']}); write for example [0, 1, 2]"
    for key in ("benchmark", "learner"):
        if not all(isinstance(value, str) for value in spec.grid.get(key, [])):
            yield f"grid.{key} must list names (got {spec.grid[key]}); see lasem list"
    number = math.prod(len(values) for values in _axes(spec).values())
    if number > LARGEST_SWEEP:
        yield f"a sweep must have at most {LARGEST_SWEEP:,} combinations (got {number:,}); make several sweeps of it"
    else:
        yield from _unused(spec)


def _unused(spec: SweepSpec) -> Iterator[str]:
    """Yield a fault for every exclusion that leaves nothing out, which is surely a mistake."""
    for excluded in spec.exclude:
        if not any(_matches(point, excluded) for point in _points(spec)):
            yield f"an exclusion must leave something out (got {excluded}, which no combination has); correct it"


def _axes(spec: SweepSpec) -> dict[str, list[Any]]:
    """Return the values of every key that the combinations differ in."""
    return ({"preset": spec.presets} if spec.presets else {}) | spec.grid


def _points(spec: SweepSpec) -> Iterator[Table]:
    """Yield every combination by key, in the order of the file; the last key varies fastest."""
    axes = _axes(spec)
    for values in itertools.product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


def _matches(point: Table, excluded: Table) -> bool:
    """Return whether a combination has all the values of an exclusion."""
    return all(key in point and point[key] == value for key, value in excluded.items())
