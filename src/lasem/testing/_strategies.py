"""The contract of strategies: what a learner relies on while a search runs, and when it ends."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from lasem.benchmarks import Task, TaskStream
from lasem.configurations import ConfigurationSpace
from lasem.learners import LEARNERS, LearnerState, Searches, Setup
from lasem.nn import AbstractMechanism, Backbone, HardParameterSharing, Network
from lasem.search import AbstractSearch, AbstractStrategy, Schedule, TaskNetwork
from lasem.testing._toys import SMALL_NETWORKS, SMALL_TRAINING, assert_same_state, learn_task, make_task
from lasem.training import TaskTraining, Training

SHAPE = (1, 6, 6)


@dataclass
class _Opened:
    """A search of task 0, with the network and the training that it drives."""

    backbone: Backbone
    training: TaskTraining
    search: AbstractSearch

    def train(self, epochs: int) -> list[Tensor]:
        """Train for some epochs and return the loss of every step."""
        losses: list[Tensor] = []
        for _ in range(epochs):
            self.search.start_epoch()
            found = [self.search.step(self.training, images, labels) for images, labels in self.training.batches()]
            self.training.end_epoch(found)
            losses += found
        return losses

    def restore_from(self, other: "_Opened") -> None:
        """Take over parameters, search and optimizer of another one, as a learner does that is restored."""
        self.backbone.load_state_dict(other.backbone.state_dict())
        for name, value in self.search.state().items():
            value.copy_(other.search.state()[name])
        self.training.restore(other.training.values())
        self.training.order.append(0)
        self.training.resume(other.training.values(), other.training.tensors())


class StrategyContract(ABC):
    """Claims about a strategy and its searches, on a small network and a tiny task.

    Derive a class and fill in `make`::

        class TestMyStrategy(StrategyContract):
            def make(self):
                return MyStrategy(temperature=0.5)

    Attributes:
        network: Network on which tasks are searched.
        mechanism: Mechanism of its shared branches.
        training: How a task is trained; the kit trains epochs of two batches.
        trains_all: Whether every parameter that a candidate uses is trained within two epochs. Set it to False for a
            strategy that leaves candidates out.
    """

    network: Network = SMALL_NETWORKS["plain"]
    mechanism: AbstractMechanism = HardParameterSharing()
    training: Training = SMALL_TRAINING
    trains_all: bool = True

    @abstractmethod
    def make(self) -> AbstractStrategy:
        """Return the strategy; every call must return an equal one."""

    def candidates(self, strategy: AbstractStrategy) -> ConfigurationSpace:
        """Return the space that a search is opened with; by default the strategy's own."""
        return strategy.space(len(self.network.layers), branches=self.network.branches)

    def open(self, task: Task | None = None) -> _Opened:
        """Open a task on a new network, and begin its search."""
        strategy, task = self.make(), task or make_task(shape=SHAPE)
        space, backbone = self.candidates(strategy), self.network.build(SHAPE, mechanism=self.mechanism)
        training = TaskTraining(self.training, seed=0, shape=SHAPE, like=next(backbone.parameters()))
        backbone.begin_task(0, classes=task.classes, uses=space.uses)
        training.begin(task, backbone.task_parameters(0), held_out=strategy.held_out)
        schedule = Schedule(batches=training.batches_per_epoch, epochs=self.training.epochs)
        network = TaskNetwork(backbone, 0)
        return _Opened(backbone, training, strategy.search(space, network=network, schedule=schedule))

    # Candidates

    def test_its_candidates_have_a_bit_per_stage_and_are_always_the_same(self) -> None:
        """Two calls give equal spaces, whose candidates have one digit per stage."""
        branches = self.network.branches
        for layers in (1, 2, 3):
            space = self.make().space(layers, branches=branches)
            assert space == self.make().space(layers, branches=branches)
            assert len(space) >= 1
            assert all(len(digits) == layers for digits in space.layer_digits)

    def test_a_search_has_the_candidates_that_it_was_opened_with(self) -> None:
        """The space of a search is the space that the strategy was given."""
        search = self.open().search
        if search.redraws:
            pytest.skip("this strategy draws its candidates")
        assert search.space == self.candidates(self.make())

    # Steps

    def test_a_step_returns_a_detached_finite_scalar(self) -> None:
        """The loss of a step is a finite number without a graph."""
        for loss in self.open().train(2):
            assert loss.shape == ()
            assert loss.isfinite()
            assert loss.grad_fn is None
            assert not loss.requires_grad

    def test_a_step_changes_parameters_of_the_open_task_only(self) -> None:
        """Training moves what the task may train, and nothing else in the network."""
        opened = self.open()
        trained = {id(parameter) for parameter in opened.backbone.task_parameters(0)}
        before = {name: value.detach().clone() for name, value in opened.backbone.named_parameters()}
        opened.train(1)
        moved = {name for name, value in opened.backbone.named_parameters() if not torch.equal(value, before[name])}
        assert moved
        assert moved <= {name for name, value in opened.backbone.named_parameters() if id(value) in trained}

    def test_everything_that_a_candidate_uses_is_trained(self) -> None:
        """After two epochs all that the branches of every stage train, and the head, have moved: none was left out."""
        if not self.trains_all:
            pytest.skip("this strategy leaves candidates out")
        opened = self.open()
        before = {name: value.detach().clone() for name, value in opened.backbone.named_parameters()}
        opened.train(2)
        trained = {id(parameter) for parameter in opened.backbone.task_parameters(0)}
        for name, value in opened.backbone.named_parameters():
            assert id(value) not in trained or not torch.equal(value, before[name]), name

    def test_a_search_is_a_function_of_its_seed(self) -> None:
        """Two searches of equal tasks make the same steps, whatever the global generator of torch has drawn."""
        runs: list[list[Tensor]] = []
        for seed in (0, 1):
            torch.manual_seed(seed)
            runs.append(self.open().train(2))
        assert all(map(torch.equal, *runs))

    # Outcome

    def test_the_leader_is_always_a_candidate(self) -> None:
        """Before, during and after training the leader is the index of a candidate, and asking changes nothing."""
        opened = self.open()
        for _ in range(3):
            leader = opened.search.leader()
            assert isinstance(leader, int)
            assert 0 <= leader < len(opened.search.space)
            assert opened.search.leader() == leader
            opened.train(1)

    def test_probabilities_are_normalized_or_none(self) -> None:
        """Prior and posterior are log-probabilities of all candidates, and marginals of all branches, or None."""
        opened = self.open()
        for _ in range(3):
            for found in (opened.search.log_prior(), opened.search.log_posterior):
                if found is not None:
                    assert found.shape == (len(opened.search.space),)
                    assert not found.requires_grad
                    assert float(found.logsumexp(0)) == pytest.approx(0, abs=1e-6)
            if (marginals := opened.search.marginals()) is not None:
                assert marginals.shape == (opened.search.space.partition.num_groups, self.network.branches)
                torch.testing.assert_close(marginals.sum(1), torch.ones_like(marginals[:, 0]))
            opened.train(1)

    def test_a_decision_is_one_of_the_candidates(self) -> None:
        """A search that says that it has stopped names a candidate, which is its leader, and the number of steps."""
        opened = self.open()
        opened.train(2)
        decision = opened.search.decision
        assert decision.certain is None or decision.certain >= 0
        assert (decision.settled is None) == (decision.candidate is None)
        if decision.candidate is not None:
            assert decision.candidate == opened.search.leader()

    # State

    def test_its_state_is_live(self) -> None:
        """Writing into the state of a search restores it: its leader and its prior are then those of the other one."""
        one, other = self.open(), self.open()
        one.train(1)
        for name, value in other.search.state().items():
            value.copy_(one.search.state()[name])
        _assert_same_search(one.search, other.search)

    def test_restored_between_two_epochs_it_goes_on_bit_for_bit(self) -> None:
        """A new search that gets parameters and state makes the same steps as the one it came from."""
        one, other = self.open(), self.open()
        one.train(1)
        other.restore_from(one)
        assert all(map(torch.equal, one.train(1), other.train(1)))
        _assert_same_search(one.search, other.search)
        same = zip(one.backbone.parameters(), other.backbone.parameters(), strict=True)
        assert all(torch.equal(value, restored) for value, restored in same)

    def test_a_learner_commits_the_leader(self) -> None:
        """Selective transfer learns two tasks with the strategy, and commits candidates of its space."""
        strategy, tasks = self.make(), [make_task(seed=seed, shape=SHAPE) for seed in (0, 1)]
        setup = Setup(
            network=self.network,
            outline=TaskStream.of(tasks).outline,
            mechanism=self.mechanism,
            strategy=strategy,
            training=self.training,
        )
        learner = LEARNERS["selective"]().build(setup)
        assert isinstance(learner, Searches)
        for task in tasks:
            learn_task(learner, task)
        digits = strategy.space(len(self.network.layers), branches=self.network.branches).layer_digits
        drawn = self.open().search.redraws
        assert all(drawn or learner.configuration(task) in digits for task in (0, 1))


def _assert_same_search(one: AbstractSearch, other: AbstractSearch) -> None:
    """Assert that two searches have the same state and the same outcome."""
    assert_same_state(LearnerState(tensors=one.state()), LearnerState(tensors=other.state()))
    assert one.leader() == other.leader()
    prior, restored = one.log_prior(), other.log_prior()
    assert (prior is None) == (restored is None)
    assert prior is None or restored is None or torch.equal(prior, restored)
