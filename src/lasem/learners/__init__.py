"""Learners: they learn tasks in order and keep answering for the earlier ones."""

from lasem.learners._brute_force import BruteForce as BruteForce
from lasem.learners._ewc import ElasticWeightConsolidation as ElasticWeightConsolidation
from lasem.learners._layers import PlainNetwork as PlainNetwork
from lasem.learners._learner import AbstractLearner as AbstractLearner
from lasem.learners._learner import Growth as Growth
from lasem.learners._learner import LearnerState as LearnerState
from lasem.learners._learner import ParameterCounts as ParameterCounts
from lasem.learners._learner import SearchStatus as SearchStatus
from lasem.learners._learner import Training as Training
from lasem.learners._optimizers import OPTIMIZERS as OPTIMIZERS
from lasem.learners._optimizers import TFRMSprop as TFRMSprop
from lasem.learners._selective import SelectiveTransfer as SelectiveTransfer
from lasem.learners._single import SingleNetwork as SingleNetwork
from lasem.learners.apd import APD as APD
from lasem.learners.apd import APDOptions as APDOptions
from lasem.learners.den import DEN as DEN
from lasem.learners.den import DENOptions as DENOptions
from lasem.learners.gating import ChannelGating as ChannelGating
from lasem.learners.gating import GatingOptions as GatingOptions
from lasem.learners.prognn import ProgNNOptions as ProgNNOptions
from lasem.learners.prognn import ProgressiveNetworks as ProgressiveNetworks
