"""Export of networks to formats that other programs read, with preprocessing and names of classes inside."""

from lasem.lazy import lazy_exports

__getattr__, __dir__ = lazy_exports(__name__)
