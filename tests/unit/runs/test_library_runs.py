"""Runs on networks that are cut out of a model: resumed alike, loaded without their weights, and refused in words."""

import json

import pytest
import torch
from torch import nn

from lasem.errors import RunStopped, SpecError
from lasem.runs import RunFolder, RunOptions, load, resolve, run


def small():
    """A network of one's own with batch norm, which specs name as "test_library_runs:small"."""
    first, second = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU()), nn.Conv2d(4, 5, 3)
    return nn.Sequential(first, second, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 2))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    model = small()
    model[0][1].running_mean.fill_(0.2)
    path = tmp_path_factory.mktemp("weights") / "small.pt"
    torch.save(model.state_dict(), path)
    return path


def spec_of(weights, learner="lasem-hps", **changes):
    """A spec of two tasks and two epochs on the network, whose own branches are of low rank."""
    network = {
        "name": f"{__name__}:small",
        "stages": ["0", "1"],
        "weights": str(weights),
        "own": "lora",
        "frozen": True,
    }
    settings = [f"network.{key}={json.dumps(value)}" for key, value in (network | changes).items()]
    sizes = ["benchmark.first_tasks=2", "benchmark.train_per_class=10", "benchmark.max_test=30", "training.epochs=2"]
    return resolve(f"digits/{learner}", [*settings, "network.rank=1", *sizes])


def state_of(folder):
    return load(folder.path).learner.state().tensors


def test_a_run_is_resumed_alike_and_loaded_without_its_weights(weights, tmp_path):
    spec, folders = spec_of(weights), []
    for out, stops in ((tmp_path / "whole", []), (tmp_path / "stopped", [False, False, True])):
        place = RunOptions(out=out, device="cpu", checkpoint_every=1)
        if stops:
            with pytest.raises(RunStopped):
                run(spec, place, stop=iter(stops).__next__)
        run(spec, place)
        folders.append(RunFolder.of(spec, out))
    kept = weights.read_bytes()
    weights.unlink()
    one, other = map(state_of, folders)
    weights.write_bytes(kept)
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    assert any(".initial." in name and value.eq(0.2).all() for name, value in one.items())


def test_weights_that_changed_since_a_run_began_are_refused(weights, tmp_path):
    spec, place = spec_of(weights, "hps"), RunOptions(out=tmp_path, device="cpu")
    with pytest.raises(RunStopped):
        run(spec, place, stop=iter([False, True]).__next__)
    kept = weights.read_bytes()
    torch.save(small().state_dict(), weights)
    with pytest.raises(SpecError, match="must have the SHA-256 of the spec"):
        run(RunFolder.of(spec, tmp_path).read_spec(), place)
    weights.write_bytes(kept)


def test_learners_without_a_table_of_layers_learn_and_the_others_say_why_not(weights, tmp_path):
    for learner in ("snn", "ewc", "brute-force-hps", "darts-hps", "lasem-lora"):
        spec = spec_of(weights, learner, norms="task", own="lora")
        run(spec, RunOptions(out=tmp_path, device="cpu"))
        assert load(RunFolder.of(spec, tmp_path).path).num_tasks == 2
    for learner, reason in (("prognn", "table"), ("den", "table"), ("apd", "table"), ("tf", "pretrained weights")):
        with pytest.raises(SpecError, match=rf"{learner}.*not offered on .*small.*{reason}"):
            run(spec_of(weights, learner), RunOptions(out=tmp_path, device="cpu"))
