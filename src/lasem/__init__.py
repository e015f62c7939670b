"""lasem: lifelong learning with selective layer transfer.

Which layers of a network a new task takes from shared knowledge, found while it trains. `load` opens what a run
learned; the rest is in the packages `benchmarks`, `nn`, `search`, `learners`, `runs`, `presets`, `sweeps` and `report`.
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
    """Import what needs torch when it is first used."""
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'lasem' has no attribute {name!r}")
