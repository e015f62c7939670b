"""What watches a run: the terminal, TensorBoard."""

from lasem.runs.sinks._tensorboard import TensorBoardLog as TensorBoardLog
from lasem.runs.sinks._terminal import ProgressDisplay as ProgressDisplay
