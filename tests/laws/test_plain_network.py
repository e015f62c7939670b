"""A plain network computes what a backbone's own branches compute."""

import pytest
import torch

from lasem.errors import SpecError
from lasem.learners import PlainNetwork
from lasem.nn import NETWORKS, Conv, Network

SKIPPING = Network((Conv(3, 4, pool=2), Conv(3, 4), Conv(3, 4, pool=3, skip=2), Conv(5, 6, pool=2)), hidden=(5,))
NETWORKS_AND_SHAPES = {
    "digits-3": (NETWORKS["digits-3"], (1, 8, 8)),
    "cifar-4": (NETWORKS["cifar-4"], (3, 32, 32)),
    "skipping": (SKIPPING, (2, 13, 11)),
}


@pytest.mark.parametrize(("network", "shape"), NETWORKS_AND_SHAPES.values(), ids=NETWORKS_AND_SHAPES.keys())
def test_a_plain_network_answers_as_a_task_with_own_branches_only(network, shape):
    backbone = network.build(shape, seed=3)
    backbone.begin_task(7, classes=4, uses=[(True, False)] * len(network.layers))
    backbone.commit([0] * len(network.layers))
    plain = PlainNetwork(network, shape=shape, seed=3)
    kernels = plain.new_kernels(7, classes=4)
    images = torch.rand(3, *shape, generator=torch.Generator().manual_seed(0))
    expected = backbone.path_logits(images, 7)
    torch.testing.assert_close(plain.logits(images, kernels), expected)
    torch.testing.assert_close(plain.new_head(7, 4)(plain.features(images, kernels)), expected)
    torch.testing.assert_close(plain.module(kernels)(images), expected)
    assert plain.num_features == backbone.num_features


def test_networks_with_batch_norm_are_refused():
    with pytest.raises(SpecError, match=r"must have .* without batch norm \(got 9 layers .*\); choose another network"):
        PlainNetwork(NETWORKS["resnet-18-bn"], shape=(3, 32, 32))
