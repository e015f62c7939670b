import tomllib
from importlib import resources
from itertools import pairwise

import pytest

from lasem.configurations import Partition
from lasem.nn import NETWORKS, nested_partitions


@pytest.mark.parametrize("name", NETWORKS)
def test_each_partition_divides_one_group_of_the_one_before(name):
    found = nested_partitions(NETWORKS[name])
    depth = len(NETWORKS[name].layers)
    assert [partition.num_groups for partition in found] == list(range(1, depth + 1))
    for coarse, fine in pairwise(found):
        whole = {*coarse.groups}
        assert len(whole - {*fine.groups}) == 1
        assert all(any({*group} <= {*other} for other in whole) for group in fine.groups)


@pytest.mark.parametrize("name", NETWORKS)
def test_all_are_partitions_of_the_stages(name):
    network = NETWORKS[name]
    found = [network.stage_partition(partition) for partition in nested_partitions(network)]
    assert found[-1] == Partition.single(len(network.layers))


@pytest.mark.parametrize("name", ["resnet-18", "resnet-18-bn"])
def test_those_of_a_residual_network_are_the_authors(name):
    text = (resources.files("lasem.presets") / "networks" / f"{name}.toml").read_text(encoding="utf-8")
    named = {Partition.parse(groups) for groups in tomllib.loads(text)["partitions"].values()}
    assert len(named) == 4
    assert named <= {*nested_partitions(NETWORKS[name])}


def test_blocks_are_divided_only_once_all_are_apart():
    partitions = nested_partitions(NETWORKS["resnet-18"])
    assert Partition.parse("{1},{2,3},{4,5},{6,7},{8,9},{10,11},{12,13},{14,15},{16,17}") in partitions
    assert Partition.parse("{1-3},{4-6},{7-9}") in nested_partitions(NETWORKS["stl-9"])
