"""Search over transfer configurations: the tree, the evidence, the prior, and the strategies built on them."""

from lasem.lazy import lazy_exports

__getattr__, __dir__ = lazy_exports(__name__)
