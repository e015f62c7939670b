"""Lifelong learning with selective layer transfer.

lasem finds which layers of a network a new task should share with earlier tasks, while the task trains. `learn` trains
a learner on a task stream, and `load` opens a finished run. Everything else is in the packages `benchmarks`, `nn`,
`search`, `learners`, `presets`, `runs`, `sweeps` and `report`.
"""

from importlib.metadata import version

from lasem.lazy import lazy_exports

__version__ = version("lasem")

__getattr__, __dir__ = lazy_exports(__name__)
