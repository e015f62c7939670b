"""The loop's own bookkeeping: it counts, and neither its time nor its memory grows with what has been."""

import time
import tracemalloc

import pytest
import torch

from lasem.benchmarks import TaskStream
from lasem.learners import AbstractLearner, LearnerState, ParameterCounts, Training
from lasem.records import EpochRecord, EvaluationRecord, History, TaskRecord
from lasem.runs._loop import Loop

LONG = 300_000


class Idle(AbstractLearner):
    """A learner that does nothing, quickly."""

    training = Training(batch_size=1)

    def begin_task(self, task):
        self.classes = task.classes

    def train_epoch(self):
        return 0.0

    def end_task(self):
        pass

    def logits(self, images, task, *, trial=False):
        return torch.zeros(len(images), self.classes)

    def configuration(self, task):
        return None

    def network(self, task):
        return torch.nn.Identity()

    def parameter_counts(self):
        return ParameterCounts(shared=0, per_task=[], search=0, rollback=0)

    def state(self):
        return LearnerState()

    def restore(self, state, *, task):
        pass


def epochs(first, last, *, task=0):
    """Records of epochs of one task; equal but for their numbers."""
    record = EpochRecord(
        task=task, epoch=first, task_epoch=first, loss=0.0, valid_accuracy=0.5, configuration=[0, 1] * 4,
        prior=[(index, 1 / 64) for index in range(64)], training_seconds=1.0, evaluation_seconds=1.0,
    )  # fmt: skip
    return (record.model_copy(update={"epoch": n, "task_epoch": n}) for n in range(first, last + 1))


@pytest.fixture
def stream(make_task):
    return TaskStream.of([make_task(seed=seed, name=f"t{seed}") for seed in range(2)])


def begun(stream):
    """The event with which the first task of a stream begins."""
    return next(event for event in Loop(Idle(), stream, epochs=1).run() if isinstance(event, TaskRecord))


def test_epochs_after_hundreds_of_thousands_take_as_long_as_the_first_ones(stream):
    history = History([begun(stream)], keep_epochs=False)
    start = time.process_time()
    for event in epochs(1, LONG):
        history.add(event)
    assert time.process_time() - start < 30  # some 3 s on a machine that does nothing else

    learner = Idle()
    learner.begin_task(stream[0])
    loop = Loop(learner, stream, epochs=LONG + 500, history=history)
    start = time.process_time()
    for event in loop.run():
        assert not loop.ended or isinstance(event, EvaluationRecord)
        if history.num_epochs == LONG + 500:
            break
    # a scan of the events, once per epoch, would take over ten seconds
    assert time.process_time() - start < 5
    assert history.position == 0
    assert history.tasks[0].num_epochs == LONG + 500
    assert loop.total == 2 * (LONG + 500)


def test_the_history_of_a_run_takes_no_more_than_the_numbers_of_its_learning_curve(stream):
    loop = Loop(Idle(), stream, epochs=2000)
    events = loop.run()
    for _ in range(100):
        next(events)
    tracemalloc.start()
    try:
        for event in events:
            if event.task == 1:
                break
        del event
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown < 2000 * 32 + 100_000  # two numbers per epoch, and the next task


def test_a_loop_goes_on_where_its_history_ends(stream):
    whole = list(Loop(Idle(), stream, epochs=3).run())
    kinds = [(type(event), event.task) for event in whole]
    for cut in range(1, len(whole)):
        if not isinstance(whole[cut - 1], EpochRecord | EvaluationRecord):
            continue
        history = History(whole[:cut], keep_epochs=False)
        learner = Idle()
        learner.begin_task(stream[0])
        rest = list(Loop(learner, stream, epochs=3, history=history).run())
        assert kinds == [(type(event), event.task) for event in [*whole[:cut], *rest]]
        assert [event.epoch for event in rest if isinstance(event, EpochRecord)] == list(
            range(1 + sum(isinstance(event, EpochRecord) for event in whole[:cut]), 7)
        )
