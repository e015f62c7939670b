"""Names that moved to `lasem.training`; learners that import them from here move on soon."""

from lasem.search import Batch as Batch
from lasem.training import Batches as Batches
from lasem.training import HeldOut as HeldOut
