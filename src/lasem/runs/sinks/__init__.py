"""Sinks that receive the events of a run: the terminal and TensorBoard."""

from lasem.runs.sinks._tensorboard import TensorBoardLog as TensorBoardLog
from lasem.runs.sinks._terminal import ProgressDisplay as ProgressDisplay
