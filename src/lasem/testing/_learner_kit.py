"""What the contract of learners builds on: a stream of three tiny tasks, and new learners for it."""

import copy
from abc import ABC, abstractmethod
from typing import ClassVar

import pytest
from torch import Tensor

from lasem.benchmarks import TaskStream
from lasem.learners import AbstractLearner, LearnerState, Setup
from lasem.nn import NETWORKS, AbstractMechanism, HardParameterSharing, Network
from lasem.search import EM, AbstractStrategy
from lasem.testing._toys import SMALL_TRAINING, learn_task, make_task
from lasem.training import Training

CLASSES = (3, 2, 4)
"""Number of classes of each task of the stream."""


class AbstractLearnerKit(ABC):
    """Builds what claims about a learner need.

    `LearnerContract` describes the attributes.
    """

    shape: tuple[int, int, int] = (1, 8, 8)
    network: Network = NETWORKS["digits-3"]
    mechanism: AbstractMechanism = HardParameterSharing()
    strategy: AbstractStrategy = EM()
    training: Training = SMALL_TRAINING
    reads_untrained: bool = False

    _trained: ClassVar[dict[tuple[str, int], AbstractLearner]] = {}
    """Learners that `learned` copies, by the parameters of the test and the number of tasks."""

    @abstractmethod
    def make(self, setup: Setup) -> AbstractLearner:
        """Build a new learner from a setup: equal setups must give equal learners."""

    @pytest.fixture(autouse=True)
    def _parameters_of_the_test(self, request: pytest.FixtureRequest) -> None:
        parameters = request.node.callspec.params if hasattr(request.node, "callspec") else {}
        self._case = f"{type(self).__qualname__} {sorted(parameters.items())}"

    def learned(self, tasks: int) -> AbstractLearner:
        """Return a learner that has learned the first tasks of `new_stream`.

        It is a copy, so that the claims of the kit train a learner once instead of once per claim.
        """
        key = (self._case, tasks)
        if key not in self._trained:
            learner = self.learned(tasks - 1) if tasks else self.new_learner()
            if tasks:
                learn_task(learner, self.new_stream()[tasks - 1])
            self._trained[key] = learner
        return copy.deepcopy(self._trained[key])

    def new_learner(self) -> AbstractLearner:
        """Build a learner for the tasks of `new_stream`, from the attributes of the class."""
        return self.make(
            Setup(
                network=self.network,
                outline=self.new_stream().outline,
                mechanism=self.mechanism,
                strategy=self.strategy,
                training=self.training,
            )
        )

    def new_stream(self) -> TaskStream:
        """Make a stream of three tasks with different numbers of classes; each call makes new tensors."""
        return TaskStream.of(
            [
                make_task(seed=seed, classes=classes, shape=self.shape, name=f"t{seed}")
                for seed, classes in enumerate(CLASSES)
            ]
        )


def stored(state: LearnerState, *prefixes: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with a prefix; all, for a learner that names its tensors differently."""
    return {name: value for name, value in state.tensors.items() if name.startswith(prefixes)} or state.tensors
