"""Names that moved to `lasem.learners._interface`; learners that import them from here move on soon."""

from lasem.learners._interface import AbstractLearner as AbstractLearner
from lasem.learners._interface import LearnerState as LearnerState
from lasem.learners._status import Growth as Growth
from lasem.learners._status import ParameterCounts as ParameterCounts
from lasem.learners._status import SearchStatus as SearchStatus
from lasem.training import Training as Training
