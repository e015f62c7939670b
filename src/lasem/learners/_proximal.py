"""Names that moved to `lasem.training`; learners that import them from here move on soon."""

from lasem.training import group_soft_threshold as group_soft_threshold
from lasem.training import soft_threshold as soft_threshold
from lasem.training import sparse_group_threshold as sparse_group_threshold
from lasem.training import step_sizes as step_sizes
