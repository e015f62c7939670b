"""Lifelong learning with selective layer transfer.

lasem finds which layers of a network a new task should share with earlier tasks, while the task trains. `learn` trains
a learner on a task stream, and `load` opens a finished run. Everything else is in the packages `benchmarks`, `nn`,
`search`, `learners`, `presets`, `runs`, `sweeps` and `report`.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lasem.runs import learn as learn
    from lasem.runs import load as load

__version__ = version("lasem")

_LAZY = {"learn": "lasem.runs", "load": "lasem.runs"}


def __getattr__(name: str) -> object:
    """Import `learn` and `load` when they are first used, because they need torch, which takes seconds."""
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'lasem' has no attribute {name!r}")
