"""The table "the paper says, here": each claim against the paired difference of two rows, or the value of one."""

import fnmatch
import tomllib
from collections.abc import Callable, Sequence
from math import isnan
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from book_records import Label, Records, Trial
from book_tables import LEAST_PAIRS, Line, grouped, interval, paired
from lasem.metrics import distinguishable, spread


class Claim(BaseModel):
    """A claim of the paper that a measurement can support or contradict."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    source: str
    """Where the paper makes it, such as "figure 9"."""
    says: str
    """The claim in our own words."""
    sweeps: Annotated[list[str], Field(min_length=1)]
    """Names of sweeps, in which * stands for anything; rows are compared within a sweep."""
    row: str
    than: str | None = None
    """Row that is subtracted; of a pattern such as "hps*" the row that learns best, by mean peak or else own end."""
    measure: Literal["peak", "end", "own_end", "forgetting_ratio", "upper_layers", "no_tree"]
    expects: Literal["more", "less"] = "more"
    """Whether the value or difference is above 0, by the claim, or below it."""


class Elsewhere(BaseModel):
    """A claim of the paper that no run of the book can test.

    Attributes:
        source: Where the paper makes it.
        says: The claim in our own words.
        verdict: "cannot be tested here", or what another check says, such as "agrees, by the tests".
        why: Reason, or what was checked instead.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    source: str
    says: str
    verdict: str
    why: str


def _upper_layers(trial: Trial) -> float:
    """Return how many more tasks share the last layer than the first one, in percent of the tasks."""
    chosen = [row["configuration"] for row in trial.rows if row["configuration"]]
    return 100 * sum((digits[-1] == "1") - (digits[0] == "1") for digits in chosen) / len(chosen)


def _no_tree(trial: Trial) -> float:
    """Return the percentage of later tasks that share a layer above one of their own, less that of a random choice.

    A tree of tasks has d + 1 of the 2^d configurations of d layers, those that share the first layers only. Before
    the first task nothing is shared, so it does not count.
    """
    chosen = [row["configuration"] for row in trial.rows[1:] if row["configuration"]]
    layers = len(chosen[0])
    return 100 * (sum("01" in digits for digits in chosen) / len(chosen) - 1 + (layers + 1) / 2**layers)


def _learned(trial: Trial) -> float:
    """Return the mean peak accuracy; at own end where no peak was measured."""
    peak = trial.mean("peak")
    return trial.mean("own_end") if isnan(peak) else peak


MEASURES: dict[str, tuple[str, Callable[[Trial], float]]] = {
    "peak": ("peak accuracy, points", lambda trial: 100 * trial.mean("peak")),
    "end": ("accuracy at the end, points", lambda trial: 100 * trial.mean("end")),
    "own_end": ("accuracy at own end, points", lambda trial: 100 * trial.mean("own_end")),
    "forgetting_ratio": ("forgetting ratio", lambda trial: trial.mean("forgetting_ratio")),
    "upper_layers": ("share of tasks that share the last layer less that of the first, points", _upper_layers),
    "no_tree": ("later tasks that share a layer above one of their own, less those by chance, points", _no_tree),
}
"""What is compared: title, and value of a run."""


def read_claims(path: Path) -> list[Claim]:
    """Read the claims that runs can test from a TOML file."""
    return [Claim.model_validate(table) for table in tomllib.loads(path.read_text(encoding="utf-8"))["claim"]]


def read_elsewhere(path: Path) -> list[Line]:
    """Read the claims that no run can test from a TOML file, as lines of a table."""
    tables = tomllib.loads(path.read_text(encoding="utf-8")).get("elsewhere", [])
    claims = [Elsewhere.model_validate(table) for table in tables]
    return [
        {"source": claim.source, "the paper says": claim.says, "verdict": claim.verdict, "why": claim.why}
        for claim in claims
    ]


def claims_table(claims: Sequence[Claim], records: Sequence[Records]) -> list[Line]:
    """Compare the claims with what was measured; a claim whose rows are not recorded has a line that says so."""
    lines: list[Line] = []
    for claim in claims:
        sources = (one for one in records if any(fnmatch.fnmatch(one.path.stem, name) for name in claim.sweeps))
        found = [line for source in sources for part in _by_stream(source) if (line := _line(claim, part))]
        missing = {"source": claim.source, "the paper says": claim.says, "verdict": "not measured yet"}
        lines += found or [missing]
    return lines


def _by_stream(source: Records) -> list[dict[Label, list[Trial]]]:
    """Return the rows of a sweep, stream by stream."""
    groups = dict(grouped(source.trials))
    streams = dict.fromkeys(label.stream for label in groups)
    return [{label: groups[label] for label in groups if label.stream == stream} for stream in streams]


def _line(claim: Claim, groups: dict[Label, list[Trial]]) -> Line | None:
    """Return the line of a claim for the rows of one stream; None where a row is missing."""
    title, measure = MEASURES[claim.measure]
    ours = next((group for label, group in groups.items() if label.row == claim.row), None)
    rivals = {
        label.row: group
        for label, group in groups.items()
        if claim.than and fnmatch.fnmatch(label.row, claim.than) and label.row != claim.row
    }
    if not ours or (claim.than and not rivals):
        return None
    name = max(rivals, key=lambda row: spread([_learned(trial) for trial in rivals[row]]).mean, default=None)
    values = [measure(trial) for trial in ours] if name is None else paired(ours, rivals[name], measure)
    first, digits = ours[0], 3 if claim.measure == "forgetting_ratio" else 1
    place = [f"{first['benchmark']}, {first['network']}", first["stream"]]
    place += [f"{len(first.rows)} tasks", f"{first['epochs']} epochs"]
    return {
        "source": claim.source,
        "the paper says": claim.says,
        "compared": f"`{claim.row}`" + (f" less `{name}`" if name else "") + f": {title}",
        "on": ", ".join(filter(None, place)),
        "here": interval(spread(values), digits=digits, sign="+" if name else ""),
        "seeds": str(len(values)),
        "verdict": _verdict(values, claim.expects),
    }


def _verdict(values: Sequence[float], expects: str) -> str:
    """Say whether values are above or below 0 as expected, by a t test at 95%."""
    if len(values) < LEAST_PAIRS:
        return "too few seeds"
    if not distinguishable(list(values)):
        return "no significant difference"
    return "agrees" if (spread(values).mean > 0) == (expects == "more") else "disagrees"
