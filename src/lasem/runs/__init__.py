"""Runs: the loop over a task stream, run folders that can be resumed, and what a finished run has learned."""

from lasem.lazy import lazy_exports

__getattr__, __dir__ = lazy_exports(__name__)
