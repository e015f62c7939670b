"""Default stages of networks of timm: they end where the resolution changes; blocks of one resolution are divided."""

import pytest

from lasem.errors import SpecError
from lasem.nn import LibraryNetwork, timm_defaults
from toys import import_timm


@pytest.fixture(scope="module", autouse=True)
def timm():
    return import_timm()


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("resnet18", [("conv1", "bn1", "act1"), ("layer1",), ("layer2",), ("layer3",), ("layer4",)]),
        ("convnext_atto", [("stem", "stages.0"), ("stages.1",), ("stages.2",), ("stages.3", "head.norm")]),
        (
            "tf_efficientnet_lite0",
            [
                ("conv_stem", "bn1", "blocks.0"),
                ("blocks.1",),
                ("blocks.2",),
                ("blocks.3", "blocks.4"),
                ("blocks.5", "blocks.6", "conv_head", "bn2"),
            ],
        ),
    ],
)
def test_stages_end_where_the_resolution_changes(name, stages):
    assert list(timm_defaults(name).stages) == stages


def test_blocks_of_one_resolution_are_divided_evenly():
    found = timm_defaults("vit_tiny_patch16_224")
    assert [stage[-1] for stage in found.stages] == ["blocks.2", "blocks.5", "blocks.8", "norm"]
    assert found.stages[0][0] == "patch_embed"
    assert found.size == 224


def test_a_network_is_cut_into_its_default_stages():
    found = timm_defaults("resnet18")
    network = LibraryNetwork(name="timm:resnet18", stages=found.stages, mean=found.mean, deviation=found.deviation)
    assert len(network.build((3, 32, 32)).stages) == 5


def test_unknown_networks_and_those_without_stages_are_refused(timm, monkeypatch):
    with pytest.raises(SpecError, match=r"must name what can be made .*nosuchnet"):
        timm_defaults("nosuchnet")
    made = timm.create_model

    def bare(name, **options):
        model = made(name, **options)
        model.feature_info = []
        return model

    monkeypatch.setattr(timm, "create_model", bare)
    with pytest.raises(SpecError, match="--stages, of conv1, bn1"):
        timm_defaults("resnet18")
