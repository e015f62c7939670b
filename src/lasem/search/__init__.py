"""Search over transfer configurations: the tree, the evidence, the prior, and the strategies built on them."""

from lasem.registry import Registry
from lasem.search._capture import LeafFeatures as LeafFeatures
from lasem.search._capture import capture as capture
from lasem.search._cost import TreeSize as TreeSize
from lasem.search._cost import em_multiply_adds as em_multiply_adds
from lasem.search._cost import static_multiply_adds as static_multiply_adds
from lasem.search._cost import tree_bytes as tree_bytes
from lasem.search._cost import tree_nodes as tree_nodes
from lasem.search._cost import tree_sizes as tree_sizes
from lasem.search._darts import DARTS as DARTS
from lasem.search._darts import DARTSSearch as DARTSSearch
from lasem.search._decision import CommitAt as CommitAt
from lasem.search._decision import Decision as Decision
from lasem.search._decision import Schedule as Schedule
from lasem.search._decision import SearchProgress as SearchProgress
from lasem.search._dropout import DropoutMasks as DropoutMasks
from lasem.search._em import EM as EM
from lasem.search._em import EMSearch as EMSearch
from lasem.search._evidence import EVIDENCE as EVIDENCE
from lasem.search._evidence import cross_entropies as cross_entropies
from lasem.search._evidence import log_likelihoods as log_likelihoods
from lasem.search._evidence import log_mean as log_mean
from lasem.search._evidence import log_posterior as log_posterior
from lasem.search._evidence import log_product as log_product
from lasem.search._fixed import Fixed as Fixed
from lasem.search._fixed import FixedSearch as FixedSearch
from lasem.search._fixed import InTurn as InTurn
from lasem.search._open_task import AbstractOpenTask as AbstractOpenTask
from lasem.search._open_task import Batch as Batch
from lasem.search._parts import node_bytes as node_bytes
from lasem.search._parts import saved_bytes as saved_bytes
from lasem.search._prior import AbstractPrior as AbstractPrior
from lasem.search._prior import Counts as Counts
from lasem.search._prior import RunningMean as RunningMean
from lasem.search._prior import preferred as preferred
from lasem.search._retention import Quadratic as Quadratic
from lasem.search._retention import RetentionPenalty as RetentionPenalty
from lasem.search._retention import shared_knowledge as shared_knowledge
from lasem.search._skipping import Effort as Effort
from lasem.search._strategy import AbstractSearch as AbstractSearch
from lasem.search._strategy import AbstractStrategy as AbstractStrategy
from lasem.search._task_network import TaskNetwork as TaskNetwork
from lasem.search._tree import Plan as Plan
from lasem.search._tree import leaf_features as leaf_features
from lasem.search._tree import plan as plan

STRATEGIES: Registry[type[AbstractStrategy]] = Registry(
    "strategy",
    group="lasem.strategies",
    builtin={"fixed": Fixed, "em": EM, "darts": DARTS, "brute-force": InTurn},
    base=AbstractStrategy,
)
"""Registry of search strategies, by the name that a spec gives as ``learner.strategy``."""
