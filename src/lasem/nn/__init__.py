"""Networks whose stages have two branches: the task's own, and one that reads shared knowledge."""

from lasem.lazy import lazy_exports

__getattr__, __dir__ = lazy_exports(__name__)
