"""What a search takes over any partition of its network: bytes and multiply-adds, counted before any step."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from lasem.benchmarks import Outline
from lasem.configurations import Bits, Partition
from lasem.nn import NETWORKS, Backbone, Network, nested_partitions
from lasem.search import (
    DropoutMasks,
    TreeSize,
    em_multiply_adds,
    node_bytes,
    saved_bytes,
    static_multiply_adds,
    tree_bytes,
    tree_sizes,
)
from lasem.specs import Spec


@dataclass(frozen=True)
class Need:
    """What one step of a search takes.

    Attributes:
        partition: Groups of the network's convolutions.
        candidates: K.
        activation_bytes: Most that a backward pass keeps, with dropout masks and what kernels are generated from.
        bytes: The same with parameters, their gradients, the optimizer's state and the roll-back copy.
        work: Its multiply-adds, in those of one network's step; for brute force the number of networks, K.
        parts: Sub-trees that are evaluated one after another.
        part_bytes: Activations that the largest of them keeps: the least `search.memory` that leads to so many.
    """

    partition: Partition
    candidates: int
    activation_bytes: int
    bytes: int
    work: float
    parts: int = 1
    part_bytes: int = 0


@dataclass(frozen=True)
class Footprint:
    """From what the needs of a search are counted.

    Attributes:
        network: Its layers.
        per_node: (d + 1,) bytes that a node of the tree keeps for a batch; see `node_bytes`.
        per_layer: (d,) multiply-adds of one image.
        kernel_bytes: That generating kernels keeps for the backward pass, once per step.
        model_bytes: Parameters, gradients, optimizer state, roll-back copy.
        features: Values of a leaf's features for a batch, B F.
        keep: Probability by which dropout keeps a feature.
        m_steps: Optimizer steps per posterior.
        memory: Bytes of activations beyond which a tree is divided; None = never.
    """

    network: Network
    per_node: Sequence[int]
    per_layer: Sequence[int]
    kernel_bytes: int
    model_bytes: int
    features: int
    keep: float
    m_steps: int
    memory: int | None

    def need_of(self, spec: Spec, partition: Partition | None = None) -> Need:
        """That of a spec's own search, or of the same one over all candidates of another partition."""
        count = self.need if spec.learner.strategy == "em" else self.alone
        return count(partition_of(spec), candidates_of(spec)) if partition is None else count(partition)

    def need(self, partition: Partition, candidates: Sequence[Bits] | None = None) -> Need:
        """Of an EM step, divided as `search.memory` says; where that holds not even one candidate, of one.

        Args:
            partition: Groups of the network's convolutions.
            candidates: (K, G) bits; None = all of the partition.
        """
        needs = list(self.divisions(partition, candidates))
        return next((one for one in needs if self.memory is None or one.part_bytes <= self.memory), needs[-1])

    def divisions(self, partition: Partition, candidates: Sequence[Bits] | None = None) -> Iterator[Need]:
        """Of an EM step over the whole tree, then over ever smaller sub-trees."""
        groups = self.network.stage_partition(partition)
        for size in tree_sizes(groups, candidates, self.per_node):
            yield self._divided(
                partition, size, candidates=2**groups.num_groups if candidates is None else len(candidates)
            )

    def _divided(self, partition: Partition, size: TreeSize, *, candidates: int) -> Need:
        kept, leaves = tree_bytes(size.widest, self.per_node), size.widest[-1]
        masks = DropoutMasks.held_bytes(candidates, leaves, self.features, keep=self.keep)
        activations = kept + masks + self.kernel_bytes
        work = em_multiply_adds(self.per_layer, size, m_steps=self.m_steps) / static_multiply_adds(self.per_layer)
        return Need(
            partition=partition,
            candidates=candidates,
            activation_bytes=activations,
            bytes=self.model_bytes + activations,
            work=work,
            parts=size.parts,
            part_bytes=kept,
        )

    def alone(self, partition: Partition, candidates: Sequence[Bits] | None = None) -> Need:
        """Of brute force: one network at a time, K of them."""
        kept = tree_bytes([1] * len(self.per_layer), self.per_node) + self.kernel_bytes
        number = 2**partition.num_groups if candidates is None else len(candidates)
        return Need(partition, number, activation_bytes=kept, bytes=self.model_bytes + kept, work=number)


def footprint(spec: Spec, backbone: Backbone, outline: Outline) -> Footprint:
    """Measure one path through a network on two images, with a task open that is dropped again.

    Args:
        spec: Of the search.
        backbone: Its network, without an open task; in the end as it was.
        outline: Of the stream.
    """
    uses = [(True, True)] * len(backbone.stages)
    task = 1 + max(backbone.configurations, default=-1)
    backbone.begin_task(task, classes=max(outline.classes), uses=uses)
    try:
        parameters = backbone.task_parameters(task)
        images = torch.zeros(2, *outline.shape, device=parameters[0].device)
        of_two, (_, kernels) = node_bytes(backbone, images, task), saved_bytes(lambda: backbone.forks(task))
        trial = [p for stage in backbone.iter_stages() if stage.trial for p in stage.trial.parameters()]
        trained, aside = (sum(p.numel() for p in part) for part in (parameters, trial))
    finally:
        backbone.abandon()
    network, batch = NETWORKS[spec.network.name], spec.training.batch_size
    return Footprint(
        network=network,
        per_node=[size * batch // 2 for size in of_two],
        per_layer=network.layer_multiply_adds(outline.shape),
        kernel_bytes=kernels,
        model_bytes=4 * (3 * trained + aside),
        features=batch * backbone.num_features,
        keep=spec.training.keep,
        m_steps=spec.search.m_steps,
        memory=None if spec.search.memory is None else spec.search.memory * 2**20,
    )


def partition_of(spec: Spec) -> Partition:
    """Groups of the network's convolutions that decide together; by default every stage for itself."""
    text = spec.search.partition
    return nested_partitions(NETWORKS[spec.network.name])[-1] if text is None else Partition.parse(text)


def candidates_of(spec: Spec) -> tuple[Bits, ...] | None:
    """Those that a spec lists; None = all."""
    listed = spec.search.candidates
    return None if listed is None else tuple(tuple(map(int, bits)) for bits in listed)
