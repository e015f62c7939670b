"""Names that moved to `lasem.optimizers`; learners that import them from here move on soon."""

from lasem.optimizers import OPTIMIZERS as OPTIMIZERS
from lasem.optimizers import TFRMSprop as TFRMSprop
from lasem.optimizers import optimizer_tensors as optimizer_tensors
from lasem.optimizers import restore_optimizer as restore_optimizer
