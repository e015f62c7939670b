"""The experiment as typed, frozen data; TOML in and out.

A spec says everything that determines a run's result. What does not (where to write, where data lies, the device, how
often to checkpoint) is no part of it, so the hash of a spec names its result.
"""

from lasem.specs._learners import ApdSpec, DartsSpec, DenSpec, EwcSpec, GatingSpec, PrognnSpec
from lasem.specs._sections import (
    BenchmarkSpec,
    CommitAtSpec,
    EvaluationSpec,
    LearnerSpec,
    NetworkSpec,
    Precision,
    SearchSpec,
    SeedsSpec,
    TrainingSpec,
)
from lasem.specs._spec import Spec, read_spec
from lasem.tables import Table, merge, parse_assignment, read_toml

__all__ = [
    "ApdSpec",
    "BenchmarkSpec",
    "CommitAtSpec",
    "DartsSpec",
    "DenSpec",
    "EvaluationSpec",
    "EwcSpec",
    "GatingSpec",
    "LearnerSpec",
    "NetworkSpec",
    "Precision",
    "PrognnSpec",
    "SearchSpec",
    "SeedsSpec",
    "Spec",
    "Table",
    "TrainingSpec",
    "merge",
    "parse_assignment",
    "read_spec",
    "read_toml",
]
