"""Sinks that receive the events of a run: the terminal, a CSV file, and experiment trackers."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from lasem.runs._sink import Sink as _Sink
from lasem.runs.sinks._csv import CsvLog as CsvLog
from lasem.runs.sinks._mlflow import MlflowLog as MlflowLog
from lasem.runs.sinks._tensorboard import TensorBoardLog as TensorBoardLog
from lasem.runs.sinks._terminal import ProgressDisplay as ProgressDisplay
from lasem.runs.sinks._tracker import AbstractTracker as AbstractTracker
from lasem.runs.sinks._trackio import TrackioLog as TrackioLog
from lasem.runs.sinks._wandb import WandbLog as WandbLog

TRACKERS: Mapping[str, Callable[[], _Sink]] = MappingProxyType(
    {"csv": CsvLog, "mlflow": MlflowLog, "tensorboard": TensorBoardLog, "trackio": TrackioLog, "wandb": WandbLog}
)
"""Sinks that write numbers, by the names that the command line has for them."""
