"""Sweeps: many runs from one file, made by processes of this machine or on a cluster, with failed ones repeated."""

from lasem.lazy import lazy_exports

__getattr__, __dir__ = lazy_exports(__name__)
