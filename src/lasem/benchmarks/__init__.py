"""Benchmarks: named constructors of task streams, and the streams themselves.

`BENCHMARKS` maps the name of a benchmark to its class, whose fields are the options. `TaskStream.of` makes a stream
from tasks that are already in memory.
"""

from lasem.lazy import lazy_exports

__getattr__, __dir__ = lazy_exports(__name__)
