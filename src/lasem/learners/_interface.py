"""STUB until the real one lands."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch

from lasem.benchmarks import Outline
from lasem.learners._learner import AbstractLearner, Training
from lasem.nn import AbstractMechanism, Backbone, Network
from lasem.search import AbstractStrategy
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class Setup:
    """x"""

    network: Network
    outline: Outline
    mechanism: AbstractMechanism
    strategy: AbstractStrategy
    training: Training
    seed: int = 0
    device: torch.device = torch.device("cpu")
    capture: bool = False

    def backbone(self) -> Backbone:
        backbone = self.network.build(self.outline.shape, mechanism=self.mechanism, seed=self.seed)
        backbone.to(self.device)
        return backbone


class AbstractLearnerOptions(ABC):
    """Options of a kind of learner; they build it."""

    reads: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def build(self, setup: Setup) -> AbstractLearner:
        """x"""
