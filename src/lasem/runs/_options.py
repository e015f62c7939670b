"""The execution options of a run."""

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from lasem.errors import require


def most_threads() -> int:
    """Return how many threads a run may use at most: four for each core, and 64 on a small machine.

    Many more threads than cores are slow, and some ten thousand end the process from inside a library.
    """
    return max(64, 4 * (os.cpu_count() or 1))


@dataclass(frozen=True)
class RunOptions:
    """Execution options. They affect where and how fast a run executes, never its result (up to rounding).

    Attributes:
        out: Folder that contains the run folders.
        data: Folder that contains one folder per data set; None loads data sets from the Hugging Face hub.
        device: Device of all tensors: "cpu", "cuda", "cuda:N" or "auto".
        checkpoint_every: Number of epochs, or time, between checkpoints; 0 writes them as often as costs under 3% of
            the time.
        threads: Number of CPU threads; 0 uses as many as the run began with, and for a new run one for small networks,
            otherwise all. Another number may change the last bits of a result.
        capture: Whether to compile the steps of every task, on a GPU as CUDA graphs; may change last bits, too.

    Raises:
        SpecError: The number of threads is impossible on this machine.
    """

    out: Path = Path("runs")
    data: Path | None = None
    device: str = "auto"
    checkpoint_every: int | timedelta = 0
    threads: int = 0
    capture: bool = False

    def __post_init__(self) -> None:
        for name, path in (("out", self.out), ("data", self.data)):
            object.__setattr__(self, name, None if path is None else Path(path))  # a text is a path, too
        require(
            0 <= self.threads <= most_threads(),
            f"threads must be from 1 to {most_threads()} on this machine, or 0 for a number that suits the run",
            remedy=f"set it to the number of cores, {os.cpu_count() or 1}, or less",
            threads=self.threads,
        )
