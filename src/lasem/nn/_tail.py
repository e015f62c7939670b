"""Heads of a backbone that was cut out of a model: what follows the last stage, and a classifier per task."""

import copy
from math import prod

import torch
from torch import Generator, Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from lasem.nn._initializers import MakeHead, mlp
from lasem.nn._template import BATCH


def linear_head(features: int, classes: int, source: Generator) -> nn.Module:
    """Make one linear layer: (..., features) -> (..., classes)."""
    return mlp((features, classes), source=source)


class TailHeads:
    """Builds heads: a copy of the tail, if there is one, and a classifier.

    Args:
        shape: Shape of the last stage's result, without the batch axis.
        tail: What follows the last stage; None for nothing.
        classifier: Builds the last layers.
    """

    def __init__(self, shape: tuple[int, ...], tail: nn.Module | None, classifier: MakeHead) -> None:
        self._shape, self._tail, self._classifier = shape, tail, classifier
        self._features = prod(shape)
        if tail is not None:
            with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
                self._features = prod(tail(torch.empty(BATCH, *shape)).shape[1:])

    def __call__(self, features: int, classes: int, source: Generator) -> nn.Module:
        """Build a head: (..., features) -> (..., classes)."""
        del features
        classifier = self._classifier(self._features, classes, source)
        return classifier if self._tail is None else _TailHead(self._shape, copy.deepcopy(self._tail), classifier)


class _TailHead(nn.Module):
    """A head that begins with what follows the last stage, such as a norm and a pool."""

    def __init__(self, shape: tuple[int, ...], tail: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.shape, self.tail, self.classifier = shape, tail, classifier

    def forward(self, features: Tensor) -> Tensor:
        """Classify features, flattened positions first: (..., F) -> (..., classes)."""
        hidden = features.reshape(-1, *self.shape[1:], self.shape[0]).movedim(-1, 1)
        return self.classifier(self.tail(hidden).flatten(1)).unflatten(0, features.shape[:-1])
