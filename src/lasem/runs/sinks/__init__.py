"""Sinks that receive the events of a run: the terminal, TensorBoard, and a CSV file."""

from lasem.runs.sinks._csv import CsvLog as CsvLog
from lasem.runs.sinks._tensorboard import TensorBoardLog as TensorBoardLog
from lasem.runs.sinks._terminal import ProgressDisplay as ProgressDisplay
