"""A tree evaluated in sub-trees computes the same in less memory."""

import pytest
import torch
from quarters import opened

from lasem.configurations import ConfigurationSpace, Partition
from lasem.errors import LasemError
from lasem.search import EM
from lasem.search._parts import Part, kept_bytes, node_bytes


def needed(learner) -> int:
    """Bytes that the whole tree keeps for a batch."""
    images, _ = next(learner.task.batches())
    per_node = node_bytes(learner.backbone, images, 0)
    return kept_bytes(Part(learner.space, tuple(range(len(learner.space)))).layout, per_node)


def whole_budget() -> int:
    learner = opened(EM())
    return needed(learner)


@pytest.mark.parametrize("share", [1.0, 0.6, 0.3])
@pytest.mark.parametrize(
    "options", [{}, {"m_steps": 2}, {"epsilon": 0.01}, {"partition": Partition.parse("{1,3},{2}")}]
)
def test_sub_trees_give_the_result_of_the_whole_tree(share, options):
    whole, divided = opened(EM(**options)), opened(EM(**options, memory=share * whole_budget() / 2**20))
    for _ in range(3):
        losses = [learner.train_epoch() for learner in (whole, divided)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)
        torch.testing.assert_close(whole.posterior(), divided.posterior(), rtol=1e-3, atol=1e-5)
    for one, other in zip(whole.backbone.parameters(), divided.backbone.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_a_backward_pass_keeps_no_more_than_the_budget():
    learner = opened(EM(memory=whole_budget() / 2**21))
    images, labels = next(learner.task.batches())
    learner.train_step(images, labels)
    parts = learner.search._budget._divided(tuple(range(8)))
    assert len(parts) > 1
    kept: dict[int, int] = {}
    own = {p.untyped_storage().data_ptr() for p in learner.backbone.parameters()}

    def note(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    from lasem.search import leaf_features

    for part in parts:
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            features = leaf_features(learner.backbone, images, 0, layout=part.layout)
        assert features.requires_grad
        assert 0 < sum(kept.values()) <= whole_budget() // 2


def test_the_estimate_of_a_tree_is_what_autograd_keeps():
    learner = opened(EM())
    images, _ = next(learner.task.batches())
    per_node = node_bytes(learner.backbone, images, 0)
    # conv 2 -> 6 channels on 6x6 keeps its input and its output (for ReLU), in float32, for six images
    assert per_node[0] == 6 * 4 * (2 + 6) * 36
    assert len(per_node) == 4


def test_a_budget_below_one_candidate_is_refused_with_what_one_takes():
    learner = opened(EM(memory=10 / 2**20))
    message = r"search.memory must be enough for .* one candidate, .* MiB here \(got .* MiB\)"
    with pytest.raises(LasemError, match=message):
        learner.train_epoch()


def test_parts_hold_every_candidate_once():
    space = ConfigurationSpace.full(Partition.single(4))
    part = Part(space, (1, 4, 5, 9))
    assert sorted(part.by_leaf) == [1, 4, 5, 9]
    assert [space.candidates[index] for index in part.by_leaf] == [
        part.space.candidates[row] for row in part.layout.candidates
    ]
