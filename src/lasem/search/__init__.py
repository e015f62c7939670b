"""Search over transfer configurations: the tree, the evidence, the prior, and the strategies built on them."""

from lasem.search._architecture import ARCHITECTURE_OPTIMIZERS as ARCHITECTURE_OPTIMIZERS
from lasem.search._architecture import AbstractArchitectureOptimizer as AbstractArchitectureOptimizer
from lasem.search._darts import DARTS as DARTS
from lasem.search._darts import DARTSSearch as DARTSSearch
from lasem.search._em import EM as EM
from lasem.search._em import EMSearch as EMSearch
from lasem.search._evidence import EVIDENCE as EVIDENCE
from lasem.search._evidence import cross_entropies as cross_entropies
from lasem.search._evidence import log_likelihoods as log_likelihoods
from lasem.search._evidence import log_mean as log_mean
from lasem.search._evidence import log_posterior as log_posterior
from lasem.search._evidence import log_product as log_product
from lasem.search._prior import AbstractPrior as AbstractPrior
from lasem.search._prior import Counts as Counts
from lasem.search._prior import RunningMean as RunningMean
from lasem.search._prior import preferred as preferred
from lasem.search._strategy import AbstractSearch as AbstractSearch
from lasem.search._strategy import AbstractStrategy as AbstractStrategy
from lasem.search._strategy import Fixed as Fixed
from lasem.search._strategy import OpenTask as OpenTask
from lasem.search._strategy import candidate_logits as candidate_logits
from lasem.search._strategy import configuration_logits as configuration_logits
from lasem.search._strategy import dropout_mask as dropout_mask
from lasem.search._tree import Plan as Plan
from lasem.search._tree import leaf_features as leaf_features
from lasem.search._tree import plan as plan
