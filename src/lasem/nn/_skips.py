"""Identity skips, which may go around several stages that decide differently, and the walk through the stages."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from lasem.errors import require
from lasem.nn._pooling import same_max_pool


@lru_cache(maxsize=256)
def indices(values: tuple[int, ...], device: torch.device) -> Tensor:
    """Return whole numbers as a tensor on a device, copied there once: (N,) -> (N,)."""
    return torch.tensor(values, device=device)


@dataclass(frozen=True)
class Skip:
    """An identity connection around adjacent stages, counted from 0.

    The activation before stage `start` is added to the result of stage `end`, after its ReLU; the pool follows.

    Attributes:
        start: First stage that it goes around.
        end: Last stage that it goes around.
        pool: Window and stride of the max-pool after the sum; 1 for none.
    """

    start: int
    end: int
    pool: int = 1

    def join(self, result: Tensor, source: Tensor, *, ancestors: tuple[int, ...] | None = None) -> Tensor:
        """Add the source and pool: (N, B, C, H, W), (M, B, C, H, W) -> (N, B, C, H', W').

        Args:
            result: Result of stage `end`.
            source: The activation before stage `start`.
            ancestors: (N,) the node of the source that each node of the result descends from; the same by default.
        """
        nodes = len(source)
        # The common cases need no indexing, whose backward pass would fill and add a tensor of the source's size.
        if ancestors is None or ancestors == tuple(range(nodes)):
            total = result + source
        elif ancestors == tuple(range(nodes)) * (len(ancestors) // nodes):
            total = (result.unflatten(0, (-1, nodes)) + source).flatten(0, 1)
        else:
            total = result + source[indices(ancestors, source.device)]
        return total if self.pool == 1 else same_max_pool(total.flatten(0, 1), self.pool).unflatten(0, result.shape[:2])

    def output_shape(self, result: tuple[int, ...], *, source: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape after the sum and the pool; shapes are without the axes of nodes and batch.

        Raises:
            SpecError: The two ends have different shapes.
        """
        require(
            result == source,
            "both ends of an identity skip must have one shape, here the input of layer"
            f" {self.start + 1} and the output of layer {self.end + 1}",
            remedy="let the skip go around layers that do not change the shape",
            input=source,
            output=result,
        )
        channels, *sizes = result
        return (channels, *(-(-size // self.pool) for size in sizes))


def walk(
    x: Tensor,
    step: Callable[[int, Tensor], Tensor],
    *,
    stages: int,
    skips: Sequence[Skip],
    ancestors: Callable[[Skip], tuple[int, ...]] | None = None,
    start: int = 0,
) -> Tensor:
    """Carry an activation through the stages, around which skips go.

    Args:
        x: Input of the first stage that is applied.
        step: Applies one stage, given its number from 0 and its input.
        stages: Number of stages.
        skips: Identity skips; at most one may end at a stage.
        ancestors: See `Skip.join`.
        start: First stage that is applied; no skip may go around it from before.
    """
    ends, starts = {skip.end: skip for skip in skips}, {skip.start for skip in skips}
    sources: dict[int, Tensor] = {}
    for number in range(start, stages):
        if number in starts:
            sources[number] = x
        x = step(number, x)
        if number in ends:
            skip = ends[number]
            x = skip.join(x, sources[skip.start], ancestors=ancestors(skip) if ancestors else None)
    return x


class SkipSequential(nn.Sequential):
    """Modules in sequence with identity skips around some of them, for one network.

    Args:
        modules: Modules in the order in which they are applied.
        skips: Identity skips, which count these modules from 0.
    """

    def __init__(self, *modules: nn.Module, skips: Sequence[Skip]) -> None:
        super().__init__(*modules)
        self.skips = tuple(skips)

    def forward(self, input: Tensor) -> Tensor:
        """Apply all modules and skips: (B, C, H, W) -> the output of the last module."""
        return walk(input, lambda number, x: self[number](x), stages=len(self), skips=self.skips)
