"""Specs that ask which layers to freeze, share or tune: composed from a preset, for images and networks of a user."""

import re

import pytest

from lasem.errors import DataError, SpecError
from lasem.runs import LayerQuestion, check, resolve, rivals
from lasem.runs._layer_search import PRESET, _fitting
from toys import import_timm, write_photos

STAGES = ["conv_stem,bn1", "blocks.[0-3]", "blocks.[4-6],conv_head,bn2"]


@pytest.fixture(scope="module", autouse=True)
def timm():
    return import_timm()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    for name in ("pets", "birds"):
        write_photos(root / name, ["a", "b", "c"], images=6, size=(8, 8))
    return [str(root / "pets"), str(root / "birds")]


def test_folders_are_tasks_of_the_preset_with_few_candidates(folders):
    spec, preset = LayerQuestion(images=folders, epochs=4).spec(None), resolve(PRESET, ["benchmark.source=own"])
    assert spec.sections["benchmark"]["source"] == folders
    assert spec.training.epochs == 4
    assert spec.name == PRESET
    assert spec.sections["network"] == preset.sections["network"]
    assert {**spec.sections["training"], "epochs": 0} == {**preset.sections["training"], "epochs": 0}
    assert spec.sections["search"] == preset.sections["search"]
    check(spec)


def test_a_single_task_has_nobody_to_share_with(folders):
    candidates = LayerQuestion(images=folders[:1]).spec(None).sections["search"]["candidates"]
    assert not any("1" in candidate for candidate in candidates)
    assert {"22222", "00000"} <= set(candidates)


def test_settings_win_over_everything(folders):
    settings = ['search.candidates=["000", "222"]', "benchmark.max_train=9", "training.epochs=3", "benchmark.size=32"]
    question = LayerQuestion(images=folders, stages=STAGES, epochs=4, settings=settings)
    spec = question.spec(None)
    assert spec.sections["search"]["candidates"] == ["000", "222"]
    assert spec.sections["benchmark"]["max_train"] == 9
    assert spec.sections["benchmark"]["size"] == 32
    assert spec.training.epochs == 3
    assert len(spec.network.options.layers) == 3


def test_a_network_of_timm_gets_stages_and_has_no_weights_by_default(folders):
    network = LayerQuestion(images=folders, network="timm:resnet18").spec(None).sections["network"]
    assert network["stages"][0] == ["conv1", "bn1", "act1"]
    assert network["mean"] == [0.485, 0.456, 0.406]
    assert not {"weights", "weights_sha256", "norms"} & network.keys()
    assert (network["own"], network["frozen"]) == ("initial", True)
    size = LayerQuestion(images=folders, network="timm:vit_tiny_patch16_224").spec(None).sections["benchmark"]["size"]
    assert size == 224  # its positions are for images of one size


def test_stages_of_ones_own_leave_the_images_as_the_weights_of_timm_expect_them(folders):
    stages = ["conv1,bn1,act1,maxpool,layer1", "layer2,layer3,layer4"]
    network = LayerQuestion(images=folders, network="timm:resnet18", stages=stages).spec(None).sections["network"]
    assert network["stages"] == [text.split(",") for text in stages]
    assert (network["mean"], network["deviation"]) == ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    vit = LayerQuestion(images=folders, network="timm:vit_tiny_patch16_224", stages=["patch_embed", "blocks.*,norm"])
    assert vit.spec(None).sections["benchmark"]["size"] == 224


@pytest.mark.parametrize(
    ("search", "stages", "tasks", "expected"),
    [
        ({}, 3, 2, "ordered"),
        ({"candidates": "ordered"}, 9, 2, "ordered"),
        ({"candidates": "ordered"}, 3, 1, ["222", "220", "200", "000"]),
        ({"candidates": ["012", "210"]}, 3, 2, ["012", "210"]),
        ({"candidates": ["012", "200"]}, 3, 1, ["200"]),
        ({"candidates": ["01"]}, 3, 2, "ordered"),  # listed for another network
        ({"partition": "{1,2},{3}"}, 3, 1, ["22", "20", "00"]),
        ({"partition": "{1,2},{3}", "candidates": "ordered"}, 2, 2, "ordered"),
        ({"partition": "{1,2},{3}", "candidates": ["01", "22"]}, 3, 2, ["01", "22"]),
    ],
)
def test_candidates_of_the_preset_are_taken_where_they_fit(search, stages, tasks, expected):
    found = _fitting(search, stages, tasks)
    assert found["candidates"] == expected
    assert found["partition"] == ("{1,2},{3}" if stages == 3 and "partition" in search else None)


def test_a_warm_up_that_is_set_stays_as_it_is(folders):
    question = LayerQuestion(images=folders, epochs=24, settings=["search.evidence_from=3"])
    assert question.spec(None).sections["search"]["evidence_from"] == 3


def test_rivals_are_the_same_spec_with_static_configurations(folders):
    spec = LayerQuestion(images=folders, stages=STAGES).spec(None)
    found = rivals(spec)
    configurations = {name: rival.strategy.options.configuration for name, rival in found.items()}
    assert configurations == {
        "full": "none",
        "linear": "frozen",
        "last-1": "220",
        "last-2": "200",
        "auto-rgn": "none",
        "own-norms": "none",
        "own-lora": "none",
    }
    assert {name: rival.network.options.own for name, rival in found.items() if name.startswith("own")} == {
        "own-norms": "norms",
        "own-lora": "lora",
    }
    assert (
        found["own-norms"].training.learning_rate == resolve("pacs/efficientnet-lite0/own-norms").training.learning_rate
    )
    assert [name for name, rival in found.items() if rival.training.relative_rates] == ["auto-rgn"]
    for name, rival in found.items():
        check(rival)
        assert rival.sections["benchmark"] == spec.sections["benchmark"]
        assert rival.name == f"images/efficientnet-lite0/{name}"
    assert len({rival.folder for rival in found.values()}) == len(found)


def test_only_networks_of_libraries_have_rivals():
    with pytest.raises(SpecError, match="--baselines must come with a network of a library"):
        rivals(resolve("digits/lasem-hps"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": "resnet18"}, "--network must be efficientnet-lite0 or name a library (got 'resnet18')"),
        ({"network": "timm:nosuchnet"}, "network.name must name what can be made (got 'timm:nosuchnet'"),
        ({"network": "timm:resnet81"}, "Unknown model (resnet81)); did you mean 'resnet"),
        ({"network": "tim:resnet18"}, "a module that can be imported (got 'tim:resnet18'); did you mean 'timm'?"),
        ({"network": "transformers:vit"}, "--stages must be given for a network that is not of timm"),
        ({"stages": ["block.*"]}, "did you mean 'blocks.*'"),
        ({"weights": "nowhere.pt"}, "weights must be a file or \"library\" (got 'nowhere.pt'"),
        ({"settings": ["training.epoch=2"]}, "epoch is not an option of [training]"),
        ({"settings": ["benchmark.max_train=0"]}, "max_train must be at least 1"),
    ],
)
def test_what_cannot_be_searched_is_refused(folders, changes, message):
    with pytest.raises(SpecError, match=re.escape(message)):
        check(LayerQuestion(images=folders, **changes).spec(None))


def test_a_folder_that_cannot_be_understood_is_refused(tmp_path):
    write_photos(tmp_path, ["only"], images=6, size=(8, 8))
    with pytest.raises(DataError, match="images must lie in at least two folders, one for each class"):
        LayerQuestion(images=[str(tmp_path)]).spec(None)
