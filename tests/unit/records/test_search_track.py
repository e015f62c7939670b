"""What the records say about how a search came to its decision."""

import pytest

from lasem.records import DecisionRecord, EpochRecord, SearchTrack, close_call


def epoch(number, bits, spread=None, **fields):
    return EpochRecord(
        task=0, epoch=number, task_epoch=number, loss=1.0, valid_accuracy=0.5, configuration=bits, prior=[(0, 1.0)],
        spread=spread, training_seconds=0, evaluation_seconds=0, **fields,
    )  # fmt: skip


def track(*epochs):
    found = SearchTrack()
    for event in epochs:
        found.add(event)
    return found


def test_a_decision_stands_since_the_last_change_of_the_leading_configuration():
    found = track(epoch(1, [1, 1]), epoch(2, [0, 1]), epoch(3, [1, 1]), epoch(4, [1, 1]))
    assert found.sentence() == "unchanged since epoch 3 of 4"


@pytest.mark.parametrize(
    ("spreads", "words"),
    [
        ((4.5, 0.5, 0.2, 0.01), "unchanged since epoch 1 of 4; evidence told candidates apart until epoch 3"),
        ((0.01, 0.01, 0.01, 0.01), "unchanged since epoch 1 of 4; evidence told candidates apart in no epoch"),
        ((4.5, 0.01, 0.01, 0.2), "unchanged since epoch 1 of 4"),
    ],
)
def test_evidence_informs_while_it_spreads(spreads, words):
    assert track(*(epoch(n, [1, 0], spread) for n, spread in enumerate(spreads, start=1))).sentence() == words


def test_nothing_is_said_without_a_search_and_where_candidates_take_turns():
    assert track(epoch(1, [1, 0]).model_copy(update={"prior": None})).sentence() is None
    assert track(epoch(1, [1, 0], candidate=0)).sentence() is None


def test_a_margin_below_a_tenth_of_the_runner_up_is_a_close_call():
    def decided(probability, margin):
        return DecisionRecord(task=2, epoch=1, configuration=[1, 0], probability=probability, margin=margin)

    assert close_call(decided(0.9, 0.85)) is None
    assert close_call(decided(0.26, 0.03)) is None
    assert "task 2 was decided with probability 0.251 against 0.25" in close_call(decided(0.251, 0.001))
    assert close_call(DecisionRecord(task=0, epoch=1, configuration=[1])) is None
