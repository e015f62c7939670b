"""Own branches of backbones that were cut out of models: drawn anew, of low rank, of norms, and what they hold."""

import pytest
import torch
from test_cut import ResNet, trained
from torch import nn

from lasem.errors import SpecError
from lasem.learners import SelectiveTransfer, Training
from lasem.nn import Backbone, LibraryNetwork, LoRA
from lasem.search import Fixed
from lasem.testing import learn_task
from toys import shifted_task

STAGES, SHAPE = ["conv1", "layer1", "layer2"], (3, 8, 8)
MODEL = trained(ResNet())


def learned(configuration, **options):
    """Learn two tasks with stages of a trained model, and return the learner and the tasks."""
    backbone = Backbone.of(MODEL, stages=STAGES, shape=SHAPE, **options)
    training = Training(batch_size=6, epochs=2, learning_rate=0.05, keep=1.0)
    learner = SelectiveTransfer(backbone, Fixed(configuration), training=training)
    tasks = [shifted_task(number, shape=SHAPE, identity=number) for number in range(2)]
    for task in tasks:
        learn_task(learner, task)
    return learner, tasks


@pytest.mark.parametrize("own", ["lora", "norms"])
@pytest.mark.parametrize("mechanism", [None, LoRA(rank=1)])
def test_plain_merged_networks_answer_as_the_learner_does(own, mechanism):
    learner, tasks = learned("012", own=own, frozen=True, low_rank=LoRA(rank=1), mechanism=mechanism)
    expected_names = {name for name, _ in MODEL.named_parameters() if not name.startswith("fc")}
    for number, task in enumerate(tasks):
        network = learner.network(number)
        torch.testing.assert_close(network(task.test.images), learner.logits(task.test.images, number))
        names = {name.split(".", 1)[1] for name, _ in network[:-1].named_parameters()}
        assert names == expected_names


def test_own_branches_of_low_rank_and_of_norms_count_far_less_than_copies():
    counts = {}
    for own in ("copy", "lora", "norms"):
        learner, _ = learned("none", own=own, low_rank=LoRA(rank=1))
        head = sum(parameter.numel() for parameter in learner.backbone.heads["0"].parameters())
        counts[own] = learner.parameter_counts().per_task[0] - head
    weights = sum(parameter.numel() for name, parameter in MODEL.named_parameters() if not name.startswith("fc"))
    kernels = [layer.weight for layer in MODEL.modules() if isinstance(layer, nn.Conv2d)]
    thin = sum(kernel.shape[0] + kernel[0].numel() for kernel in kernels)
    norms = sum(2 * layer.num_features for layer in MODEL.modules() if isinstance(layer, nn.BatchNorm2d))
    assert counts == {"copy": weights, "lora": thin, "norms": norms}
    assert max(counts["lora"], counts["norms"]) < counts["copy"] / 3


def test_own_branches_that_are_drawn_anew_have_values_of_their_own_and_the_layers_distribution():
    model = nn.Sequential(nn.Linear(50, 60), nn.ReLU(), nn.Linear(60, 5))
    backbone = Backbone.of(model, stages=["0"], shape=(50,), own="new", seed=1)
    again = Backbone.of(model, stages=["0"], shape=(50,), own="new", seed=1)
    before = torch.get_rng_state()
    for one in (backbone, again):
        for task in range(2):
            one.begin_task(task, classes=5, uses=[(True, True)])
            one.commit([0])
    assert torch.equal(before, torch.get_rng_state())
    first, second = (backbone.stages[0].own[task]["0.weight"].detach() for task in "01")
    assert torch.equal(first, again.stages[0].own["0"]["0.weight"])
    assert torch.equal(backbone.stages[0].shared["0.weight"], model[0].weight)
    for one, other in ((first, second), (first, model[0].weight.detach())):
        assert abs(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1]) < 0.1
    assert first.abs().max() == pytest.approx(50**-0.5, rel=0.01)


class Positioned(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(4, 4)
        self.position = nn.Parameter(torch.zeros(4))
        self.block = nn.Linear(4, 4)

    def forward(self, x):
        return self.block(self.embed(x) + self.position)


def test_values_that_cannot_be_drawn_anew_are_refused_before_any_work():
    with pytest.raises(SpecError, match=r"'new' must draw all.*got 'position' of .* in stage 1.*own = 'copy'"):
        Backbone.of(Positioned(), stages=["embed", "block"], shape=(4,), own="new")
    with pytest.raises(SpecError, match=r"statistics of other weights .*norms = 'frozen'.*norms = 'task'"):
        Backbone.of(MODEL, stages=STAGES, shape=SHAPE, own="new")
    Backbone.of(MODEL, stages=STAGES, shape=SHAPE, own="new", norms="task")


def test_options_of_low_rank_are_read_and_need_low_rank():
    named = {"name": f"{ResNet.__module__}:ResNet", "stages": tuple(STAGES)}
    backbone = LibraryNetwork(**named, own="lora", rank=2, alpha=3.0).build(SHAPE)
    assert [stage.layer.low_rank for stage in backbone.iter_stages()] == [LoRA(rank=2, alpha=3.0)] * 3
    with pytest.raises(SpecError, match=r"rank and alpha must come with own = 'lora' .*got 2, None, 'copy'"):
        LibraryNetwork(**named, rank=2)
