"""The precision of a run: what is computed in which type, and that nothing of it outlives the run."""

import pytest
import torch
from torch.nn.functional import linear

from lasem.learners import SelectiveTransfer, Training
from lasem.runs import arithmetic
from lasem.runs._environment import require_precision
from lasem.search import EM
from toys import tree_logits

CPU = torch.device("cpu")


def settings():
    """What `arithmetic` may change."""
    convolutions, products = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    return convolutions, products, torch.is_autocast_enabled("cpu"), torch.is_autocast_cache_enabled()


@pytest.mark.parametrize(("precision", "tf32"), [("float32", False), ("tf32", True), ("bfloat16", False)])
def test_it_holds_inside_only(precision, tf32):
    before = settings()
    with arithmetic(precision, CPU):
        assert settings()[:2] == (tf32, tf32)
        assert torch.is_autocast_enabled("cpu") == (precision == "bfloat16")
    assert settings() == before


def test_a_changed_parameter_is_read_anew():
    weight = torch.nn.Parameter(torch.ones(1, 1))
    with arithmetic("bfloat16", CPU):
        linear(torch.ones(1, 1), weight)
        with torch.no_grad():
            weight.fill_(3)
        assert linear(torch.ones(1, 1), weight).item() == 3


def test_tf32_needs_a_gpu():
    require_precision("tf32", torch.device("cuda"))
    with pytest.raises(Exception, match=r"must be an NVIDIA GPU for training\.precision"):
        require_precision("tf32", CPU)


@pytest.fixture
def learner(make_task, make_backbone):
    opened = SelectiveTransfer(make_backbone(), EM(), training=Training(batch_size=4, keep=1.0, learning_rate=1e-2))
    opened.begin_task(make_task())
    return opened


def test_bfloat16_keeps_parameters_and_posterior_precise(learner):
    images = learner.task.task.test.images
    exact = tree_logits(learner.backbone, images, 0, space=learner.space)
    learner.begin_epoch()
    with arithmetic("bfloat16", CPU):
        rounded = tree_logits(learner.backbone, images, 0, space=learner.space)
        loss = learner.train_step(images[:4], learner.task.task.test.labels[:4])
    assert rounded.dtype == torch.bfloat16
    assert not torch.equal(rounded.float(), exact)
    torch.testing.assert_close(rounded.float(), exact, rtol=0.05, atol=0.05)
    assert loss.dtype == torch.float32
    assert learner.posterior().dtype == torch.float64
    assert {parameter.dtype for parameter in learner.backbone.parameters()} == {torch.float32}
