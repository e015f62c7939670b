"""Training: batches, optimizer steps and their bookkeeping, for all learners."""

from lasem.training._batches import Batches as Batches
from lasem.training._batches import HeldOut as HeldOut
from lasem.training._batches import least_images as least_images
from lasem.training._fit import require_fit as require_fit
from lasem.training._fit import require_images as require_images
from lasem.training._fit import require_trained as require_trained
from lasem.training._head import fit_head as fit_head
from lasem.training._options import Training as Training
from lasem.training._proximal import group_soft_threshold as group_soft_threshold
from lasem.training._proximal import soft_threshold as soft_threshold
from lasem.training._proximal import sparse_group_threshold as sparse_group_threshold
from lasem.training._proximal import step_sizes as step_sizes
from lasem.training._task_training import TaskTraining as TaskTraining
from lasem.training._task_training import TrainingState as TrainingState
from lasem.training._tensors import NamedTensors as NamedTensors
from lasem.training._tensors import add_prefix as add_prefix
from lasem.training._tensors import copy_values as copy_values
from lasem.training._tensors import load_values as load_values
from lasem.training._tensors import strip_prefix as strip_prefix
