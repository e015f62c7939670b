import json

import pytest
import torch

from lasem.configurations import Partition
from lasem.errors import SpecError
from lasem.nn import MECHANISMS, NETWORKS, Skip

BOTH = (True, True)


def opened(name, shape, classes):
    backbone = NETWORKS[name].build(shape)
    backbone.begin_task(0, classes=classes, uses=[BOTH] * len(backbone.stages))
    return backbone


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("name", "shape", "classes", "convolutions", "head"),
    [
        ("cifar-4", (3, 32, 32), 10, 65_568, 262_858),
        ("office-home-4", (3, 128, 128), 13, 1_613_312, 1_066_125),
        ("stl-6", (3, 96, 96), 3, 287_008, 264_387),
        ("stl-9", (3, 96, 96), 5, 480_768, 264_421),
        ("resnet-18", (3, 32, 32), 10, 10_998_784, 2_059_010),
    ],
)
def test_parameter_counts_of_the_papers_networks(name, shape, classes, convolutions, head):
    backbone = opened(name, shape, classes)
    assert sum(count(stage.shared) for stage in backbone.stages) == convolutions
    assert sum(count(stage.own["0"]) for stage in backbone.stages) == convolutions
    assert count(backbone.heads["0"]) == head


@pytest.mark.parametrize(
    ("name", "shape", "features"),
    [
        ("cifar-4", (3, 32, 32), 4096),
        ("office-home-4", (3, 128, 128), 4096),
        ("stl-6", (3, 96, 96), 2048),
        ("stl-9", (3, 96, 96), 2048),
        ("resnet-18", (3, 32, 32), 2048),
    ],
)
def test_flattened_features_of_the_papers_networks(name, shape, features):
    assert NETWORKS[name].build(shape).num_features == features


def test_office_home_pools_128_to_43_to_15_to_8_to_4():
    backbone = NETWORKS["office-home-4"].build((3, 128, 128))
    shape = (3, 128, 128)
    heights = []
    for stage in backbone.stages:
        shape = stage.output_shape(shape)
        heights.append(shape[1])
    assert heights == [43, 15, 8, 4]


@pytest.mark.parametrize(("name", "shape"), [(name, (3, 24, 24)) for name in NETWORKS])
@pytest.mark.parametrize("bit", [0, 1])
def test_every_network_answers_with_both_branches(name, shape, bit):
    backbone = opened(name, shape, 4)
    images = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    logits = backbone.path_logits(images, 0, digits=[bit] * len(backbone.stages))
    assert logits.shape == (2, 4)
    assert logits.isfinite().all()


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_networks_layers_read_kernels_by_the_given_mechanism(mechanism):
    backbone = NETWORKS["digits-3"].build((1, 8, 8), mechanism=MECHANISMS[mechanism]())
    assert all(type(stage.layer.mechanism) is MECHANISMS[mechanism] for stage in backbone.stages)


def test_a_summary_names_channels_kernels_pools_and_hidden_units():
    assert NETWORKS["cifar-4"].summary == "32@3x3, 32@3x3 /2, 64@3x3, 64@3x3 /2; head 64, classes"


def test_resnet_18_has_the_skips_and_pools_of_the_release():
    network = NETWORKS["resnet-18"]
    around = [tuple(range(skip.start + 1, skip.end + 2)) for skip in network.skips]
    assert around == [(2, 3), (4, 5), (8, 9), (12, 13), (16, 17)]
    assert [number for number, row in enumerate(network.layers, 1) if row.pool == 2] == [1, 6, 10, 14]
    assert len(network.layers) == 17


def test_resnet_18_with_batch_norm_has_the_parameters_of_the_standard_one():
    backbone = opened("resnet-18-bn", (3, 32, 32), 10)
    assert sum(count(stage.shared) for stage in backbone.stages) + count(backbone.heads["0"]) == 11_173_962
    assert (len(backbone.stages), backbone.num_features) == (9, 512)
    backbone.commit([1] * 9)
    network = backbone.network(0)
    assert sum(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules()) == 20
    assert count(network) == 11_173_962


def test_a_partition_of_layers_becomes_one_of_blocks():
    network = NETWORKS["resnet-18-bn"]
    assert str(network.stage_partition(Partition.parse("{1-5},{6-9},{10-13},{14-17}"))) == "{1,2,3},{4,5},{6,7},{8,9}"
    assert str(network.stage_partition(Partition.parse("{1,4,5},{2,3},{6-17}"))) == "{1,3},{2},{4,5,6,7,8,9}"
    plain = Partition.parse("{1,3},{2,4}")
    assert NETWORKS["cifar-4"].stage_partition(plain) == plain


@pytest.mark.parametrize("text", ["{1,2},{3-17}", "{1-9},{10},{11-17}", "{1-16},{17}"])
def test_a_partition_that_divides_a_block_is_refused_with_its_layers(text):
    with pytest.raises(
        SpecError, match=r"a block with batch norm decides as one.*; put layers (\d+) and (\d+) into one"
    ):
        NETWORKS["resnet-18-bn"].stage_partition(Partition.parse(text))


def test_df_cnn_on_resnet_18_would_hold_690_million_contraction_parameters():
    network = NETWORKS["resnet-18"]
    inputs = (3, *(row.channels for row in network.layers))
    pairs = [(size, row.channels) for size, row in zip(inputs, network.layers, strict=False)]
    contraction = sum(round(2 * (size + outputs) / 3) * size * outputs for size, outputs in pairs)
    assert contraction // 10**6 == 690
    assert "690 million" in network.excludes["dfcnn"]


def test_a_shape_without_all_three_sizes_is_refused():
    with pytest.raises(SpecError, match=r"must be \(channels, height, width\).*got \(3, 8\)"):
        NETWORKS["cifar-4"].build((3, 8))


def test_the_reason_for_an_excluded_learner_says_what_the_network_has():
    assert "with batch norm, which this network has" in NETWORKS["resnet-18-bn"].excludes["den"]


def test_the_table_of_layers_is_json_and_follows_the_layers():
    table = NETWORKS["cifar-4"].layers_table()
    assert json.loads(json.dumps(table)) == table
    assert [layer["kind"] for layer in table] == ["convolution"] * 4 + ["linear"]
    assert [layer["divides"] for layer in table[:4]] == [1, 2, 1, 2]
    for name, network in NETWORKS.items():
        layers = [layer for layer in network.layers_table() if layer["kind"] != "linear"]
        shapes = network.build((3, 24, 24)).output_shapes()
        for layer, before, after in zip(layers, shapes, shapes[1:], strict=False):
            assert layer["channels"] == after[0], name
            assert after[1] == (-(-before[1] // layer["divides"]) if layer["divides"] else 1), name


def test_multiply_adds_are_those_of_the_convolutions_by_hand():
    assert NETWORKS["synthetic-2"].layer_multiply_adds((3, 8, 6)) == [8 * 6 * 9 * 3 * 32, 4 * 3 * 9 * 32 * 32]
    counts = NETWORKS["resnet-18-bn"].layer_multiply_adds((3, 8, 8))
    assert counts[:2] == [64 * 9 * 3 * 64, 2 * 64 * 9 * 64 * 64]
    assert counts[3] == 16 * 128 * (9 * (64 + 128) + 64)  # stride 2, with a projection


def test_an_irregular_list_of_nodes_is_put_on_the_device_once(monkeypatch):
    skip = Skip(start=0, end=0)
    result, source = torch.ones(3, 1, 2, 4, 4), torch.rand(2, 1, 2, 4, 4)
    expected = result + source[[0, 1, 1]]
    assert torch.equal(skip.join(result, source, ancestors=(0, 1, 1)), expected)
    monkeypatch.setattr(torch, "tensor", lambda *_, **__: pytest.fail("made a tensor in a later step"))
    assert torch.equal(skip.join(result, source, ancestors=(0, 1, 1)), expected)
