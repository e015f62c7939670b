"""Networks whose stages have two branches: the task's own, and one that reads shared knowledge."""

from lasem.nn._backbone import Backbone as Backbone
from lasem.nn._conv import PooledConv2d as PooledConv2d
from lasem.nn._deconvolution import DeconvolutionalFactorization as DeconvolutionalFactorization
from lasem.nn._features import FlattenPositionsFirst as FlattenPositionsFirst
from lasem.nn._features import flatten_features as flatten_features
from lasem.nn._initializers import constant_bias as constant_bias
from lasem.nn._initializers import generator as generator
from lasem.nn._initializers import mlp as mlp
from lasem.nn._initializers import truncated_normal as truncated_normal
from lasem.nn._mechanisms import AbstractMechanism as AbstractMechanism
from lasem.nn._mechanisms import HardParameterSharing as HardParameterSharing
from lasem.nn._nested import nested_partitions as nested_partitions
from lasem.nn._networks import NETWORKS as NETWORKS
from lasem.nn._networks import Network as Network
from lasem.nn._norm import Statistics as Statistics
from lasem.nn._parameters import ParameterSet as ParameterSet
from lasem.nn._parameters import tensors_of as tensors_of
from lasem.nn._pooling import SameMaxPool2d as SameMaxPool2d
from lasem.nn._pooling import same_max_pool as same_max_pool
from lasem.nn._rows import BasicBlock as BasicBlock
from lasem.nn._rows import Conv as Conv
from lasem.nn._rows import NormConv as NormConv
from lasem.nn._skips import Skip as Skip
from lasem.nn._skips import SkipSequential as SkipSequential
from lasem.nn._skips import indices as indices
from lasem.nn._skips import walk as walk
from lasem.nn._stage import AbstractBranch as AbstractBranch
from lasem.nn._stage import Fork as Fork
from lasem.nn._stage import OwnStart as OwnStart
from lasem.nn._stage import Stage as Stage
from lasem.nn._stage import TransferModule as TransferModule
from lasem.nn._tensor_factorization import TensorFactorization as TensorFactorization
from lasem.registry import Registry

MECHANISMS: Registry[type[AbstractMechanism]] = Registry(
    "mechanism",
    group="lasem.mechanisms",
    builtin={"hps": HardParameterSharing, "tf": TensorFactorization, "dfcnn": DeconvolutionalFactorization},
    base=AbstractMechanism,
)
"""Registry of mechanisms: ways in which a stage reads shared knowledge, by name."""
