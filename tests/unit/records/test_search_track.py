"""What the records say about how a search came to its decision."""

import pytest

from lasem.records import DecisionRecord, EpochRecord, SearchTrack, close_call, power_once


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
    assert "task 2 was decided for a candidate 1.00 times as probable as the runner-up" in close_call(
        decided(0.251, 0.001)
    )
    assert close_call(DecisionRecord(task=0, epoch=1, configuration=[1])) is None


IMAGES = {"train": 70, "valid": 35, "test": 350}


def test_a_summed_product_counts_every_training_image_once_by_default():
    """With temper = 1 / epochs, an image adds its log-likelihood once, however many epochs there are."""
    for epochs in (1, 12):
        assert power_once({"prior": "sum"}, epochs=epochs, batch_size=10, images=IMAGES) == pytest.approx(1)
    assert power_once({"prior": "running-mean"}, epochs=12, batch_size=10, images=IMAGES) == 1


@pytest.mark.parametrize("evidence_from", [3, 0.25])
def test_a_power_makes_a_tempered_sum_what_the_judging_images_say(evidence_from):
    """35 validation images, seen in batches of 10 with evidence 0.3 nats per image for one of two candidates."""
    search = {"prior": "sum", "evidence": "mean", "held_out": "valid", "evidence_from": evidence_from, "temper": 0.05}
    settled, batches = 42, 7
    log_prior = search["temper"] * 0.3 * (settled - 3 * batches)
    power = power_once(search, epochs=12, batch_size=10, images=IMAGES, settled=settled)
    assert power * log_prior == pytest.approx(35 * 0.3)


def test_of_an_odd_number_of_images_the_smaller_half_judges():
    """Of 41 images, 20 judge, and the weights learn from 21 in 3 batches of 7, as `lasem.training` divides them."""
    search = {"prior": "sum", "evidence": "mean", "held_out": "half"}
    images = {"train": 41, "valid": 5}
    assert power_once(search, epochs=4, batch_size=7, images=images) == pytest.approx(20 * 4 / (4 * 3))


def test_no_image_judges_before_evidence_counts():
    search = {"prior": "sum", "evidence_from": 3}
    assert power_once(search, epochs=12, batch_size=10, images=IMAGES, settled=5) == 1


def test_a_flat_prior_is_no_close_call_where_many_images_judge():
    decision = DecisionRecord(task=2, epoch=1, configuration=[1], probability=0.0708, margin=0.0009)
    assert close_call(decision) is not None
    assert close_call(decision, power=20.0) is None
