"""The contract of networks: what their table promises, and that the backbone they build can be searched."""

import json
from abc import ABC, abstractmethod

import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from lasem.configurations import OWN, SHARED, ConfigurationSpace, Partition
from lasem.nn import MECHANISMS, Backbone, Network
from lasem.testing._toys import tree_logits

CLASSES = 3


class NetworkContract(ABC):
    """Claims about a network and the backbone that it builds, with every mechanism that runs on it.

    Derive a class and fill in `make`::

        class TestMyNetwork(NetworkContract):
            shape = (3, 32, 32)

            def make(self):
                return Network((Conv(5, 8, pool=2), Conv(3, 16)), hidden=(32,))

    Attributes:
        shape: Shape of the images, (C, H, W).
    """

    shape: tuple[int, int, int] = (1, 8, 8)

    @abstractmethod
    def make(self) -> Network:
        """Return the network; every call must return an equal one."""

    def images(self, number: int = 4) -> Tensor:
        """Make a batch of normal noise: (number, C, H, W)."""
        return torch.randn(number, *self.shape, generator=_source(1))

    def open(self, mechanism: str = "hps", *, seed: int = 0) -> Backbone:
        """Build the backbone and open task 0, with all branches of every stage."""
        backbone = self.make().build(self.shape, mechanism=MECHANISMS[mechanism](), seed=seed)
        backbone.begin_task(0, classes=CLASSES, uses=_all_branches(backbone))
        return backbone

    # The table

    def test_its_table_of_layers_is_json_and_its_summary_a_line(self) -> None:
        """The table comes back from JSON as it was, with a line per stage and per hidden layer."""
        network = self.make()
        table = network.layers_table()
        assert json.loads(json.dumps(table)) == table
        assert len(table) == len(network.layers) + len(network.hidden)
        assert all("kind" in layer for layer in table)
        assert network.summary
        assert "\n" not in network.summary

    def test_it_has_a_stage_per_layer_of_its_table(self) -> None:
        """Stages, layers of the table and counts of multiply-adds are equally many."""
        network = self.make()
        backbone = network.build(self.shape)
        assert len(backbone.stages) == len(network.layers) >= 1
        counts = network.layer_multiply_adds(self.shape)
        assert len(counts) == len(network.layers)
        assert min(counts) > 0

    def test_one_group_of_all_its_convolutions_is_one_of_all_its_stages(self) -> None:
        """A partition of the convolutions, as a spec writes it, becomes one of the stages."""
        network = self.make()
        convolutions = sum(layer.convolutions for layer in network.layers)
        together = Partition((tuple(range(1, convolutions + 1)),))
        assert network.stage_partition(together).groups == (tuple(range(1, len(network.layers) + 1)),)

    # Values

    def test_initial_values_are_a_function_of_the_seed(self) -> None:
        """Equal seeds give equal values whatever the global generator of torch has drawn; other seeds give others."""
        one = self.open().state_dict()
        torch.manual_seed(123)
        again, other = self.open().state_dict(), self.open(seed=5).state_dict()
        assert one.keys() == again.keys() == other.keys()
        assert all(torch.equal(value, again[name]) for name, value in one.items())
        assert any(not torch.equal(value, other[name]) for name, value in one.items())

    def test_own_and_shared_branches_have_no_tensor_in_common(self) -> None:
        """What a task trains of its own is stored apart from the shared knowledge and from its trial copy."""
        backbone = self.open()
        places = [value.data_ptr() for value in backbone.parameters() if value.numel()]
        assert len(set(places)) == len(places)

    def test_abandoning_a_task_leaves_the_state_as_it_was(self) -> None:
        """Names and values of the state after `abandon` are those before the task, on a new network and a used one."""
        backbone = self.make().build(self.shape)
        uses = _all_branches(backbone)
        for task in (0, 1):
            before = {name: value.clone() for name, value in backbone.state_dict().items()}
            backbone.begin_task(task, classes=CLASSES, uses=uses)
            with torch.no_grad():
                for parameter in backbone.task_parameters(task):
                    parameter.add_(1)
            backbone.estimate_statistics([self.images()], task, digits=[1] * len(uses))
            backbone.abandon()
            after = backbone.state_dict()
            assert after.keys() == before.keys()
            assert all(torch.equal(value, before[name]) for name, value in after.items())
            backbone.begin_task(task, classes=CLASSES, uses=uses)
            backbone.commit([task] * len(uses))

    # Answers

    @pytest.mark.parametrize("mechanism", MECHANISMS)
    def test_every_branch_of_every_stage_runs_and_is_trained(self, mechanism: str) -> None:
        """Features have the announced size, and gradients reach everything that an open task trains."""
        if mechanism in self.make().excludes:
            pytest.skip(f"this network excludes {mechanism}")
        backbone = self.open(mechanism)
        loss = torch.zeros(())
        for digit in range(backbone.branches):
            branches = [fork.branch(digit) for fork in backbone.forks(0)]
            features = backbone.walk(self.images(), lambda stage, hidden, used=branches: used[stage](hidden))
            assert features.shape == (1, 4, backbone.num_features)
            logits = backbone.heads["0"](features).squeeze(0)
            loss = loss + F.cross_entropy(logits, torch.arange(4) % CLASSES)
        loss.backward()
        for parameter in backbone.task_parameters(0):
            assert parameter.grad is not None
            assert parameter.grad.isfinite().all()

    @pytest.mark.parametrize("mechanism", MECHANISMS)
    def test_all_candidates_in_one_tree_answer_as_each_alone(self, mechanism: str) -> None:
        """A tree over all configurations gives every candidate the logits that its own path gives."""
        if mechanism in self.make().excludes:
            pytest.skip(f"this network excludes {mechanism}")
        backbone = self.open(mechanism)
        space = _few_candidates(backbone)
        together = tree_logits(backbone, self.images(), 0, space=space)
        for logits, digits in zip(together, space.layer_digits, strict=True):
            alone = backbone.path_logits(self.images(), 0, digits=digits)
            torch.testing.assert_close(logits, alone, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("digit", [0, 1, 2])
    def test_answers_repeat_do_not_depend_on_the_batch_and_are_those_of_the_plain_network(self, digit: int) -> None:
        """Logits of a committed task are equal when asked twice, image by image, and from `Backbone.network`."""
        backbone, images = self.open(), self.images()
        if digit >= backbone.branches:
            pytest.skip("this network has no frozen branch")
        digits = [digit] * len(backbone.stages)
        backbone.estimate_statistics([images, images.flip(0)], 0, digits=digits)
        backbone.commit(digits)
        with torch.no_grad():
            logits = backbone.path_logits(images, 0, running=True)
            assert torch.equal(backbone.path_logits(images, 0, running=True), logits)
            alone = torch.cat([backbone.path_logits(image[None], 0, running=True) for image in images])
            torch.testing.assert_close(alone, logits, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(backbone.network(0)(images), logits, rtol=1e-4, atol=1e-5)

    def test_a_second_task_reads_the_knowledge_that_the_first_has_shared(self) -> None:
        """Shared knowledge that a task commits changes the next task's shared branches, their copies, and no others."""
        used, new = self.open(), self.open()
        changed = {SHARED, OWN} if self.make().own == "copy" else {SHARED}
        digits = [1] * len(used.stages)
        with torch.no_grad():
            for parameter in used.task_parameters(0):
                parameter.mul_(1.5)
        for backbone in (used, new):
            backbone.commit(digits)
            backbone.begin_task(1, classes=CLASSES, uses=_all_branches(backbone))
        for digit in range(used.branches):
            one, other = (
                backbone.path_logits(self.images(), 1, digits=[digit] * len(digits)) for backbone in (used, new)
            )
            assert torch.equal(one, other) == (digit not in changed)


def _all_branches(backbone: Backbone) -> list[tuple[bool, ...]]:
    """Let a task take every branch of every stage."""
    return [(True,) * backbone.branches] * len(backbone.stages)


def _few_candidates(backbone: Backbone) -> ConfigurationSpace:
    """Return all configurations of a small network; of a large one those of one branch, and alternating ones."""
    layers, branches = len(backbone.stages), backbone.branches
    if layers <= 3:
        return ConfigurationSpace.full(Partition.single(layers), branches=branches)
    alternating = [tuple((stage + first) % branches for stage in range(layers)) for first in range(branches)]
    alike = [(digit,) * layers for digit in range(branches)]
    return ConfigurationSpace(Partition.single(layers), (*alike, *alternating), branches)


def _source(seed: int) -> Generator:
    return torch.Generator().manual_seed(seed)
