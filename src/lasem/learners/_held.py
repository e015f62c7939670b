"""Names that moved to `lasem.training`; learners that import them from here move on soon."""

from lasem.training import add_prefix as named
from lasem.training import load_values as restore_values
from lasem.training import strip_prefix as part

__all__ = ["named", "part", "restore_values"]
