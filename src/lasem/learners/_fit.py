"""Names that moved to `lasem.training`; learners that import them from here move on soon."""

from lasem.training import require_fit as require_fit
