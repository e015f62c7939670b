import pytest
import torch

from lasem.nn import Conv, HardParameterSharing, Stage


@pytest.fixture
def stage():
    stage = Stage(Conv(3, 2).build(1, HardParameterSharing()), index=0, seed=0)
    stage.own["5"] = stage.new_own(5)
    stage.mapping["5"] = stage.new_mapping(5)
    stage.open_trial()
    return stage


def test_a_trial_is_a_copy_of_the_knowledge(stage):
    with torch.no_grad():
        stage.trial["weight"].add_(1)
    assert (stage.trial["weight"] - stage.shared["weight"]).min() > 0.9


@pytest.mark.parametrize("share", [True, False])
def test_a_commit_ends_the_trial_and_keeps_it_only_where_shared(stage, share):
    trial, before = stage.trial, stage.shared
    stage.commit(5, int(share))
    assert stage.shared is (trial if share else before)
    assert stage.trial is None
    assert ("5" in stage.own, "5" in stage.mapping) == (not share, share)


def test_a_commit_leaves_other_tasks_alone(stage):
    stage.own["4"] = stage.new_own(4)
    stage.mapping["3"] = stage.new_mapping(3)
    stage.commit(5, 1)
    assert (set(stage.own), set(stage.mapping)) == ({"4"}, {"3", "5"})


def test_a_stage_without_a_trial_reads_its_knowledge(stage):
    image = torch.rand(1, 1, 1, 4, 4)
    expected = stage.fork(5, trial=False).branch(1)(image)
    stage.trial = None
    assert torch.equal(stage.fork(5, trial=True).branch(1)(image), expected)


def test_own_versions_of_different_tasks_and_stages_start_differently(stage):
    other = Stage(stage.layer, index=1, seed=0)
    starts = [stage.new_own(0), stage.new_own(1), other.new_own(0), stage.shared, other.shared, stage.redraw_shared(0)]
    assert len({tuple(start["weight"].flatten().tolist()) for start in starts}) == len(starts)
    assert torch.equal(stage.new_own(0)["weight"], stage.new_own(0)["weight"])
