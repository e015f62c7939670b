"""Reports about runs: from run folders to tables, figures, a page and tidy data, without torch."""

from lasem.lazy import lazy_exports

__getattr__, __dir__ = lazy_exports(__name__)
