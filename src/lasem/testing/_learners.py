"""The contract of learners: what a runner, a checkpoint and a reader of results rely on."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lasem.benchmarks import Split
from lasem.errors import DataError, RunError
from lasem.learners import (
    AbstractLearner,
    AnswersOnTrial,
    CountsParameters,
    Searches,
    SelectiveTransfer,
    TellsUnaffected,
)
from lasem.runs import arithmetic
from lasem.testing._learner_kit import CLASSES, stored
from lasem.testing._learner_state import AbstractStateClaims
from lasem.testing._toys import answers, assert_same_state, learn_task, make_task


class LearnerContract(AbstractStateClaims):
    """Claims about a learner on a stream of three tiny tasks.

    A learner that does not search, count parameters or answer on trial skips the claims about that. Derive a class,
    fill in `make`, and set the attributes that your learner needs to be different::

        class TestMyLearner(LearnerContract):
            network = SMALL_NETWORKS["skips"]

            def make(self, setup):
                return MyLearnerOptions(decay=0.9).build(setup)

    Attributes:
        shape: Shape of the images, (C, H, W).
        network: Network that learners are built on.
        mechanism: Mechanism of their shared branches.
        strategy: Strategy of their searches.
        training: How a task is trained; the kit trains two epochs in two batches of six images.
        reads_untrained: Whether a task's network reads parameters that earlier tasks trained and that it only reads,
            as in progressive networks.
    """

    # Learning and answering

    def test_it_learns_tasks_in_order_and_keeps_answering_for_earlier_ones(self) -> None:
        """Losses are numbers, and every task so far is answered with finite logits without a graph."""
        learner, stream = self.new_learner(), self.new_stream()
        for number, task in enumerate(stream):
            losses = learn_task(learner, task)
            assert all(isinstance(loss, float) and 0 < loss < 100 for loss in losses)
            for earlier, logits in enumerate(answers(learner, stream, number + 1)):
                assert logits.shape == (9, CLASSES[earlier])
                assert logits.isfinite().all()
                assert not logits.requires_grad

    def test_it_learns_in_bfloat16(self) -> None:
        """It runs in the arithmetic of bfloat16, and what it stores stays in float32 or float64."""
        learner, stream = self.new_learner(), self.new_stream()
        with arithmetic("bfloat16", torch.device("cpu")):
            losses = learn_task(learner, stream[0])
            logits = learner.logits(stream[0].test.images, 0)
        assert all(0 < loss < 100 for loss in losses)
        assert logits.dtype == torch.bfloat16
        tensors = [tensor for tensor in learner.state().tensors.values() if tensor.is_floating_point()]
        assert {tensor.dtype for tensor in tensors} <= {torch.float32, torch.float64}

    def test_it_answers_for_the_open_task(self) -> None:
        """A task can be answered before it ends, and training changes the answers."""
        learner, stream = self.new_learner(), self.new_stream()
        learner.begin_task(stream[0])
        untrained = learner.logits(stream[0].test.images, 0)
        learner.train_epoch()
        assert untrained.shape == (9, CLASSES[0])
        assert not torch.equal(learner.logits(stream[0].test.images, 0), untrained)

    def test_answering_changes_nothing(self) -> None:
        """A learner that is asked everything learns the same as one that is asked nothing."""
        stream = self.new_stream()
        asked, silent = self.new_learner(), self.new_learner()
        for learner in (asked, silent):
            learner.begin_task(stream[0])
            for _ in range(2):
                learner.train_epoch()
                if learner is asked:
                    _ask_everything(learner, stream[0].test.images)
            learner.end_task()
        assert torch.equal(*(learner.logits(stream[0].test.images, 0) for learner in (asked, silent)))

    def test_it_is_a_function_of_its_seed(self) -> None:
        """Two learners with equal setups answer alike, whatever the global generator of torch has drawn."""
        stream, one, other = self.new_stream(), self.learned(3), self.new_learner()
        torch.manual_seed(torch.initial_seed() + 1)
        for task in stream:
            learn_task(other, task)
        assert all(map(torch.equal, answers(one, stream, 3), answers(other, stream, 3)))

    def test_two_answers_for_the_same_images_are_equal(self) -> None:
        """Asking twice gives the same bits, for the open task and for one that has ended."""
        learner, stream = self.learned(1), self.new_stream()
        learner.begin_task(stream[1])
        learner.train_epoch()
        assert all(map(torch.equal, answers(learner, stream, 2), answers(learner, stream, 2)))

    def test_the_answer_for_an_image_does_not_depend_on_its_batch(self) -> None:
        """Images answered one by one get the same logits as in one batch, to rounding."""
        learner, stream = self.learned(1), self.new_stream()
        images = stream[0].test.images
        alone = torch.cat([learner.logits(image.unsqueeze(0), 0) for image in images])
        torch.testing.assert_close(learner.logits(images, 0), alone)

    def test_the_network_of_a_task_is_a_plain_module_with_equal_logits(self) -> None:
        """The network of a task answers as the learner does, and has its own copies of the values."""
        learner, stream = self.learned(3), self.new_stream()
        for task, logits in enumerate(answers(learner, stream, 3)):
            network = learner.network(task)
            images = stream[task].test.images
            torch.testing.assert_close(network(images), logits)
            with torch.no_grad():
                for parameter in network.parameters():
                    parameter.zero_()
            assert torch.equal(learner.logits(images, task), logits)

    # Data

    def test_a_task_that_does_not_fit_the_network_is_refused_and_changes_nothing(self) -> None:
        """Images of another shape or dtype raise a DataError that names the task, and the learner stays as it was."""
        learner, other, stream = self.new_learner(), self.new_learner(), self.new_stream()
        channels, height, width = self.shape
        fitting = make_task(shape=self.shape)
        doubled = Split(images=fitting.train.images.double(), labels=fitting.train.labels)
        for fault, unfit in (
            ("shape", make_task(shape=(channels, height, width + 1))),
            ("dtype", replace(fitting, train=doubled, valid=doubled, test=doubled)),
        ):
            with pytest.raises(DataError, match=f"have the {fault} that the network was built for.* in task 'toy'"):
                learner.begin_task(unfit)
        assert_same_state(learner.state(), other.state(), layouts=True)
        assert learn_task(learner, stream[0]) == learn_task(other, stream[0])

    def test_a_number_that_is_not_finite_is_told_with_its_place_and_leaves_parameters_finite(self) -> None:
        """A loss that is not finite raises a RunError that says where, and the step is not made."""
        learner, stream = self.new_learner(), self.new_stream()
        learner.begin_task(stream[0])
        learner.train_epoch()
        images, before = stream[0].train.images, stream[0].train.images.clone()
        images[:] = torch.nan  # a split refuses them, but cannot watch over its tensors
        place = r"got nan in task 0 \('t0'\), epoch 2 of the task, batch 1\); lower training"
        with pytest.raises(RunError, match=place):
            learner.train_epoch()
        images[:] = before
        learner.end_task()
        found = stored(learner.state(), "backbone")
        assert all(value.isfinite().all() for name, value in found.items() if ".running_" not in name)

    def test_only_the_training_split_is_read_and_validation_by_those_that_say_so(self) -> None:
        """A learner whose attribute or strategy does not say `held_out = "valid"` reads training images only."""
        one, other = self.new_learner(), self.new_learner()
        held_out = getattr(getattr(one, "strategy", one), "held_out", "none")
        tasks = [make_task(shape=self.shape, valid=6, test=9) for _ in range(2)]
        if held_out != "valid":
            tasks[1].valid.images.fill_(float("nan"))
        tasks[1].test.images.fill_(float("nan"))
        for learner, task in zip((one, other), tasks, strict=True):
            learn_task(learner, task)
        images = tasks[0].train.images
        assert torch.equal(one.logits(images, 0), other.logits(images, 0))

    def test_a_task_that_comes_back_goes_on_with_its_network(self) -> None:
        """A second visit of a task is one more position of the stream, but adds no parameters."""
        tasks = [make_task(seed=seed, classes=2, shape=self.shape, identity=seed) for seed in range(2)]
        learner = self.new_learner()
        for task in (tasks[0], tasks[1], tasks[0]):
            learn_task(learner, task)
        assert learner.logits(tasks[0].test.images, 0).shape == (9, 2)
        if isinstance(learner, CountsParameters):
            assert len(learner.parameter_counts().per_task) == 3
            assert learner.parameter_counts().per_task[2] == 0

    # What only some learners can do

    def test_parameters_counted_are_those_of_the_tasks_networks(self) -> None:
        """Counts lie between the largest network and all networks, and below what the state contains."""
        learner = self.learned(3)
        if not isinstance(learner, CountsParameters):
            pytest.skip("this learner does not count parameters")
        counts = learner.parameter_counts()
        sizes = [sum(p.numel() for p in learner.network(task).parameters()) for task in range(3)]
        assert len(counts.per_task) == 3
        total = counts.shared + sum(counts.per_task)
        found = stored(learner.state(), "backbone.")
        # mappings may exceed the kernels that are read by them
        mappings = sum(value.numel() for name, value in found.items() if ".mapping." in name)
        assert max(sizes) <= total <= sum(sizes) + counts.shared + mappings
        assert total <= sum(value.numel() for value in found.values())
        assert counts.search >= max(counts.per_task)
        assert self.reads_untrained or counts.search >= max(sizes) - counts.shared

    def test_a_committed_configuration_has_a_digit_per_stage(self) -> None:
        """Every task that has ended has one digit per stage: 0, 1, or 2 where the network offers the frozen branch."""
        learner = self.learned(3)
        if not isinstance(learner, Searches):
            pytest.skip("this learner has no configurations")
        for task in range(3):
            digits = learner.configuration(task)
            assert len(digits) == len(self.network.layers)
            assert set(digits) <= {*range(self.network.branches)}

    def test_the_status_is_a_distribution_or_none(self) -> None:
        """The prior of a search is positive and sums to one, and marginals lie between 0 and 1."""
        learner, stream = self.new_learner(), self.new_stream()
        if not isinstance(learner, Searches):
            pytest.skip("this learner has no search")
        learner.begin_task(stream[0])
        for _ in range(2):
            status = learner.status()
            if status is not None:
                assert status.prior.shape == (len(status.names),)
                assert status.prior.sum() == pytest.approx(1)
                assert status.prior.min() > 0
                assert ((status.marginals >= 0) & (status.marginals <= 1 + 1e-12)).all()
            learner.train_epoch()

    def test_earlier_tasks_do_not_read_what_the_open_task_changes_until_it_ends(self) -> None:
        """Answers for an earlier task stay bit for bit while a task trains; those on trial show what would change."""
        learner, stream = self.learned(1), self.new_stream()
        if not isinstance(learner, AnswersOnTrial):
            pytest.skip("no layers of this learner wait for the end of a task")
        before = learner.logits(stream[0].test.images, 0)
        learner.begin_task(stream[1])
        learner.train_epoch()
        assert torch.equal(learner.logits(stream[0].test.images, 0), before)
        if isinstance(learner, SelectiveTransfer):
            trial = learner.trial_logits(stream[0].test.images, 0)
            first, opened = learner.configuration(0), learner.space.uses
            touched = any(digit == 1 and used[1] for digit, used in zip(first, opened, strict=True))
            assert torch.equal(trial, before) != touched

    def test_a_task_said_to_be_unaffected_answers_as_before(self) -> None:
        """Answers for an earlier task stay bit for bit at the end of the next one if the learner says so."""
        learner, stream = self.learned(1), self.new_stream()
        if not isinstance(learner, TellsUnaffected):
            pytest.skip("this learner does not tell which tasks are unaffected")
        before = learner.logits(stream[0].test.images, 0)
        learner.begin_task(stream[1])
        learner.train_epoch()
        learner.end_task()
        same = torch.equal(learner.logits(stream[0].test.images, 0), before)
        if isinstance(learner, SelectiveTransfer):
            assert same == learner.unaffected(0, by=1)
        assert same or not learner.unaffected(0, by=1)
        assert not learner.unaffected(1, by=1)


def _ask_everything(learner: AbstractLearner, images: Tensor) -> None:
    """Call every method of a learner that only answers."""
    learner.logits(images, 0)
    learner.state()
    if isinstance(learner, AnswersOnTrial):
        learner.trial_logits(images, 0)
    if isinstance(learner, Searches):
        learner.status()
        learner.configuration(0)
    if isinstance(learner, CountsParameters):
        learner.parameter_counts()
