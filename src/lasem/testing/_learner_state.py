"""Claims about a learner's state: checkpoints, copies, and calls that are refused."""

import copy
import json
import pickle
from pathlib import Path
from typing import cast

import pytest
import torch
from torch import Tensor

from lasem.errors import DataError, LasemError, RunError
from lasem.learners import CountsParameters, LearnerState, Searches, TakesTurns
from lasem.runs import Checkpoints, RunFolder, read_checkpoint
from lasem.testing._learner_kit import AbstractLearnerKit
from lasem.testing._toys import answers, assert_same_state, learn_task


class AbstractStateClaims(AbstractLearnerKit):
    """Claims about what a learner is between two epochs, and about what does not change it."""

    def test_restored_inside_a_task_it_goes_on_bit_for_bit(self, tmp_path: Path) -> None:
        """A new learner that gets a state from disk inside a task ends like the one it came from."""
        self._restore_from_disk(tmp_path, inside=True)

    def test_restored_between_two_tasks_it_goes_on_bit_for_bit(self, tmp_path: Path) -> None:
        """A new learner that gets a state from disk between two tasks ends like the one it came from."""
        self._restore_from_disk(tmp_path, inside=False)

    def _restore_from_disk(self, tmp_path: Path, *, inside: bool) -> None:
        """Restore a learner from a checkpoint, and compare how both go on."""
        stream, one, other = self.new_stream(), self.learned(1 if inside else 2), self.new_learner()
        if inside:
            one.begin_task(stream[1])
            one.train_epoch()
        other.restore(_through_disk(one.state(), tmp_path), task=stream[1] if inside else None)
        if isinstance(one, CountsParameters) and isinstance(other, CountsParameters):
            assert other.parameter_counts() == one.parameter_counts()
        assert_same_state(one.state(), other.state(), layouts=True)
        for learner in (one, other):
            if inside:
                assert learner.train_epoch() > 0
                learner.end_task()
            learn_task(learner, stream[2])
        assert all(map(torch.equal, answers(one, stream, 3), answers(other, stream, 3)))
        if isinstance(one, Searches) and isinstance(other, Searches):
            assert [one.configuration(task) for task in range(3)] == [other.configuration(task) for task in range(3)]
        assert_same_state(one.state(), other.state(), layouts=True)

    def test_copies_and_pickles_go_on_bit_for_bit(self) -> None:
        """A deep copy or a pickle, made between two tasks or inside one, ends like the learner it was made from."""
        stream, one = self.new_stream(), self.learned(1)
        other = pickle.loads(pickle.dumps(copy.deepcopy(one)))
        for learner in (one, other):
            learner.begin_task(stream[1])
            learner.train_epoch()
            if isinstance(learner, TakesTurns):
                learner.end_turn(0.5)
        assert one.train_epoch() == other.train_epoch()
        learners = [one, copy.deepcopy(other), pickle.loads(pickle.dumps(other))]
        losses = [learner.train_epoch() for learner in learners]
        assert losses == [losses[0]] * 3
        for learner in learners:
            learner.end_task()
            assert_same_state(learner.state(), one.state(), layouts=True)
            assert all(map(torch.equal, answers(learner, stream, 2), answers(one, stream, 2)))

    def test_the_values_of_a_state_are_json(self) -> None:
        """The values of a state come back from JSON as they were."""
        learner, stream = self.new_learner(), self.new_stream()
        learner.begin_task(stream[0])
        learner.train_epoch()
        values = learner.state().values
        assert json.loads(json.dumps(values)) == values

    def test_misuse_is_told_and_changes_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Wrong images, calls out of order, training without gradients and half an epoch raise errors of lasem."""
        learner, stream = self.new_learner(), self.new_stream()
        for verb in (learner.train_epoch, learner.end_task):
            with pytest.raises(LasemError, match="a task must be open"):
                verb()
        learner.begin_task(stream[0])
        learner.train_epoch()
        before, images = learner.state(), stream[0].test.images
        for unfit in (images.double(), images.byte(), images[0], images[:, :, 1:], images.numpy()):
            with pytest.raises(DataError, match="images must"):
                learner.logits(cast(Tensor, unfit), 0)
        with pytest.raises(LasemError, match=r"trained on a task|committed"):
            learner.logits(images, 7)
        for mode in (torch.no_grad, torch.inference_mode):
            with mode(), pytest.raises(LasemError, match="training must compute gradients"):
                learner.train_epoch()
        with pytest.raises(LasemError, match="one task must end before the next begins"):
            learner.begin_task(stream[1])
        assert_same_state(learner.state(), before)
        with pytest.raises(RunError, match="a state must be restored with the task that was open"):
            self.new_learner().restore(before, task=None)
        for wrong in (LearnerState(values=before.values), LearnerState(tensors=before.tensors)):
            with pytest.raises(RunError, match="a state must"):
                self.new_learner().restore(wrong, task=stream[0])
        with monkeypatch.context() as patch:
            patch.setattr(Tensor, "backward", _interrupt)
            with pytest.raises(KeyboardInterrupt):
                learner.train_epoch()
        with pytest.raises(LasemError, match=r"an epoch must end before .* restore a new learner"):
            learner.train_epoch()
        learner.end_task()
        assert learner.logits(images, 0).isfinite().all()


def _interrupt(*_: object) -> None:
    """Stop a backward pass as Ctrl-C does."""
    raise KeyboardInterrupt


def _through_disk(state: LearnerState, folder: Path) -> LearnerState:
    """Write a state as a checkpoint and read it."""
    run_folder = RunFolder(folder)
    run_folder.checkpoints_path.mkdir()
    Checkpoints(run_folder).write(state, epoch=1)
    checkpoint = read_checkpoint(run_folder)
    assert checkpoint is not None
    return checkpoint.state
