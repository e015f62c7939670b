"""The history of a run, against plain scans of its events."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lasem.records import (
    DecisionRecord,
    EpochRecord,
    EvaluationRecord,
    EventReader,
    History,
    HistoryReader,
    InterruptedRecord,
    NoteRecord,
    TaskRecord,
    line,
    measures_of,
    read_events,
)


def task_of(task, identity=None, **more):
    return TaskRecord(
        task=task, identity=task if identity is None else identity, name=f"t{task}", classes=2, images={}, **more
    )


def epoch_of(task_epoch, valid=0.5, *, task=0, epoch=1, test=None, **more):
    return EpochRecord(
        task=task, epoch=epoch, task_epoch=task_epoch, loss=0.0, valid_accuracy=valid, test_accuracy=test,
        training_seconds=2.0, evaluation_seconds=0.5, **more,
    )  # fmt: skip


def evaluation_of(task, accuracy, epoch=1):
    return EvaluationRecord(task=task, epoch=epoch, accuracy=accuracy, seconds=0.25)


def turns(*rows):
    """Epochs of candidates that take turns: (candidate, task epoch, validation accuracy) each."""
    return [epoch_of(e, valid, candidate=k, epoch=n) for n, (k, e, valid) in enumerate(rows, start=1)]


IN_TURN = turns((0, 1, 0.5), (0, 2, 0.1), (1, 1, 0.5), (1, 2, 0.3))


def test_of_candidates_in_turn_the_chosen_ones_epochs_count():
    decided = History([*IN_TURN, DecisionRecord(task=0, epoch=4, candidate=1)]).tasks[0]
    assert decided.chosen == IN_TURN[2:]
    np.testing.assert_array_equal(decided.curve.valid, [0.5, 0.3])


def test_while_candidates_take_turns_the_one_that_validates_best_leads_and_the_first_of_several():
    leading = History(IN_TURN).tasks[0]
    assert leading.chosen == IN_TURN[:2]
    np.testing.assert_array_equal(leading.curve.valid, [0.5, 0.1])


def test_without_turns_all_epochs_are_the_tasks_own():
    plain = [epoch_of(1, 0.1), epoch_of(2, 0.9)]
    assert History(plain).tasks[0].chosen == plain
    assert History([*plain, DecisionRecord(task=0, epoch=2)]).tasks[0].chosen == plain
    assert History([task_of(0)]).tasks[0].chosen == []
    assert len(History([task_of(0)]).tasks[0].curve.valid) == 0


def test_a_later_change_of_the_configuration_does_not_change_which_candidate_was_trained():
    revised = [DecisionRecord(task=0, epoch=4, candidate=1), DecisionRecord(task=0, epoch=9, configuration=[1])]
    history = History([*IN_TURN, *revised])
    assert history.tasks[0].chosen == IN_TURN[2:]
    assert history.configurations == [[1]]


def test_of_an_epoch_that_was_written_twice_the_later_record_counts():
    again = epoch_of(2, 0.7, test=0.6)
    found = History([epoch_of(1), epoch_of(2, 0.1), again]).tasks[0]
    assert found.epochs == (epoch_of(1), again)
    assert (found.curve.valid[1], found.curve.test[1]) == (0.7, 0.6)


def test_cpu_time_adds_up_and_is_unknown_where_an_epoch_of_an_old_version_lacks_it():
    timed = [epoch_of(1, cpu_seconds=1.5), epoch_of(2, cpu_seconds=0.25)]
    assert History(timed).cpu_seconds == 1.75
    assert History([*timed, epoch_of(3)]).cpu_seconds is None


def test_gaps_in_the_records_are_undefined_in_the_curve():
    curve = History([epoch_of(1), epoch_of(3)]).tasks[0].curve
    np.testing.assert_array_equal(curve.valid, [0.5, np.nan, 0.5])
    assert np.isnan(curve.test).all()


@pytest.mark.parametrize("keep_epochs", [True, False])
def test_a_history_counts_as_a_scan_of_its_events_does(keep_epochs):
    events = [
        NoteRecord(text="look"), task_of(0), epoch_of(1), epoch_of(2, epoch=2),
        DecisionRecord(task=0, epoch=2, configuration=[0, 1]), evaluation_of(0, [0.5]),
        task_of(1), epoch_of(1, task=1, epoch=3, marginals=[0.5, 0.5]),
    ]  # fmt: skip
    history = History(keep_epochs=keep_epochs)
    assert not history
    for number, event in enumerate(events, start=1):
        history.add(event)
        past = events[:number]
        epochs = [event for event in past if isinstance(event, EpochRecord)]
        assert history.position == sum(isinstance(event, EvaluationRecord) for event in past)
        assert len(history.tasks) == sum(isinstance(event, TaskRecord) for event in past)
        assert (history.open_task is not None) == (len(history.tasks) > history.position)
        assert history.num_epochs == max((event.epoch for event in epochs), default=0)
        assert history.latest_epoch == (epochs[-1] if epochs else None)
        assert history.training_seconds == 2.0 * len(epochs)
        assert history.evaluation_seconds == 0.5 * len(epochs) + 0.25 * history.position
    assert history.notes == ["look"]
    assert history.configurations == [[0, 1], None]
    assert history.tasks[1].candidate(2) == "10"
    assert len(history.tasks[0].epochs) == (2 if keep_epochs else 0)


def test_an_interruption_is_told_until_the_run_goes_on():
    stop = InterruptedRecord(reason="stopped", text="stopped", task=0, epoch=1)
    assert History([epoch_of(1), stop]).interruption == stop
    assert History([epoch_of(1), stop, epoch_of(2, epoch=2)]).interruption is None


@given(st.lists(st.tuples(st.floats(0, 1), st.none() | st.floats(0, 1)), min_size=1, max_size=6))
def test_measures_are_the_same_whether_epochs_are_stored_or_only_counted(pairs):
    epochs = [epoch_of(n, valid, epoch=n, test=test) for n, (valid, test) in enumerate(pairs, start=1)]
    events = [task_of(0), *epochs, DecisionRecord(task=0, epoch=len(pairs)), evaluation_of(0, [0.5]), task_of(1)]
    stored, counted = measures_of(History(events)), measures_of(History(events, keep_epochs=False))
    assert stored == counted
    best = max((test for _, test in pairs if test is not None), default=None)
    assert counted.peak_accuracy.test.per_task == [best, None]


def test_a_repeated_visit_is_one_task():
    events = [task_of(0, 7), evaluation_of(0, [0.5]), task_of(1, 7), evaluation_of(1, [0.7, 0.7])]
    assert measures_of(History(events)).final_accuracy == 0.7
    assert measures_of(History(events)).backward_transfer is None


def test_a_counting_history_takes_a_few_bytes_per_epoch():
    history = History([task_of(0)], keep_epochs=False)
    epoch = epoch_of(1, prior=[(index, 1 / 64) for index in range(64)])
    history.add(epoch)
    tracemalloc.start()
    try:
        for number in range(2, 20_002):
            history.add(epoch.model_copy(update={"task_epoch": number, "epoch": number}))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 20_000 * 24  # two numbers of eight bytes each, and what lists grow ahead


# Readers


def test_a_reader_yields_what_is_new_and_leaves_a_line_that_is_being_written(tmp_path):
    path = tmp_path / "records.jsonl"
    reader = EventReader(path)
    assert list(reader.new_events()) == []
    first, second = line(epoch_of(1)), line(epoch_of(2))
    path.write_text(first + second[:20], encoding="utf-8")
    assert list(reader.new_events()) == [epoch_of(1)]
    assert list(reader.new_events()) == []
    with path.open("a", encoding="utf-8") as file:
        file.write(second[20:])
    assert list(reader.new_events()) == [epoch_of(2)]
    assert reader.warnings == []
    assert read_events(path) == ([epoch_of(1), epoch_of(2)], [])


def test_lines_are_numbered_through_over_several_looks(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text(line(epoch_of(1)), encoding="utf-8")
    reader = EventReader(path)
    list(reader.new_events())
    with path.open("a", encoding="utf-8") as file:
        file.write("\ngarbage\n")
    assert list(reader.new_events()) == []
    assert len(reader.warnings) == 1
    assert "line 3" in reader.warnings[0]


@pytest.mark.parametrize("later", [[], [epoch_of(2, 0.9)], [epoch_of(2, 0.9), epoch_of(3), epoch_of(4)]])
def test_a_history_is_read_anew_once_the_records_were_cut(tmp_path, later):
    path = tmp_path / "records.jsonl"
    path.write_text(line(epoch_of(1)) + line(epoch_of(2)), encoding="utf-8")
    reader = HistoryReader(path)
    history = reader.read()
    assert reader.read() is history
    path.write_text(line(epoch_of(1)) + "".join(map(line, later)), encoding="utf-8")
    assert reader.read().tasks[0].epochs == (epoch_of(1), *later)


def test_a_history_of_records_that_were_deleted_is_empty(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text(line(epoch_of(1)), encoding="utf-8")
    reader = HistoryReader(path)
    reader.read()
    path.unlink()
    assert not reader.read()
