"""What holds on every device; on a GPU also that the host does not wait for it."""

from contextlib import contextmanager

import pytest
import torch

from lasem.benchmarks import TaskStream
from lasem.errors import RunError
from lasem.learners import SelectiveTransfer, TakesTurns, Training
from lasem.optimizers import OPTIMIZERS
from lasem.runs import arithmetic, build_learner, resolve
from lasem.search import EM

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch can use")
DEVICES = [torch.device("cpu"), pytest.param(torch.device("cuda"), marks=gpu)]
EVERYWHERE = pytest.mark.parametrize("device", DEVICES, ids=["cpu", "cuda"])
NAMES = (
    "lasem-hps",
    "lasem-tf",
    "lasem-dfcnn",
    "darts-hps",
    "brute-force-hps",
    "snn",
    "prognn",
    "den",
    "apd",
    "ewc",
    "gating",
)


@contextmanager
def no_waiting(device):
    """Within it, whatever makes the host wait for a GPU is an error."""
    if device.type != "cuda":
        yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.fixture
def task(make_task):
    return make_task(train=16)


def opened(make_backbone, task, device, *, optimizer="rmsprop-tf", **options):
    training = Training(batch_size=4, learning_rate=1e-2, epochs=3, keep=1.0, optimizer=optimizer)
    learner = SelectiveTransfer(
        make_backbone().to(device), EM(**options.pop("search", {})), training=training, **options
    )
    learner.begin_task(task.to(device))
    return learner


@EVERYWHERE
@pytest.mark.parametrize("search", [{}, {"prior": "counts"}, {"epsilon": 0.01}], ids=str)
def test_steps_do_not_wait_for_a_gpu(make_backbone, task, device, search):
    learner = opened(make_backbone, task, device, search=search)
    images, labels = learner.task.task.train.images[:4], learner.task.task.train.labels[:4]
    learner.begin_epoch()
    for _ in range(2):
        learner.train_step(images, labels)
    with no_waiting(device):
        for _ in range(3):
            learner.train_step(images, labels)
    assert learner.status().effort.steps == 5


@EVERYWHERE
def test_a_device_learns_what_the_host_learns(make_backbone, task, device):
    here, there = opened(make_backbone, task, torch.device("cpu")), opened(make_backbone, task, device)
    images, labels = task.train.images[:4], task.train.labels[:4]
    here.begin_epoch()
    there.begin_epoch()
    with arithmetic("float32", device):
        for _ in range(3):
            losses = here.train_step(images, labels), there.train_step(images.to(device), labels.to(device))
            torch.testing.assert_close(losses[0], losses[1].cpu(), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(here.posterior(), there.posterior().cpu(), rtol=1e-2, atol=1e-3)


@EVERYWHERE
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_after_a_loss_that_is_not_finite_parameters_stay_until_the_epoch_tells(
    make_backbone, task, device, values_of, optimizer
):
    learner = opened(make_backbone, task, device, optimizer=optimizer)
    learner.task._opened.steps.on_host = False  # on the CPU, do as on a device
    losses, before = [], {}
    for number, (images, labels) in enumerate(learner.task.batches(), start=1):
        losses.append(learner.train_step(images * (float("nan") if number == 3 else 1), labels))
        if number == 2:
            before = values_of(learner.backbone)
    assert number == 4
    assert all(torch.equal(value, before[name]) for name, value in values_of(learner.backbone).items())
    with pytest.raises(RunError, match=r"got nan in task 0 .*epoch 1 of the task, batch 3"):
        learner.task.end_epoch(losses)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_on_the_host_a_loss_that_is_not_finite_is_told_at_once(make_backbone, task, values_of, optimizer):
    learner = opened(make_backbone, task, torch.device("cpu"), optimizer=optimizer)
    images, labels = task.train.images[:4], task.train.labels[:4]
    learner.begin_epoch()
    learner.train_step(images, labels)
    before = values_of(learner.backbone)
    with pytest.raises(RunError, match="got nan"):
        learner.train_step(images * float("nan"), labels)
    assert all(torch.equal(value, before[name]) for name, value in values_of(learner.backbone).items())


@gpu
def test_captured_on_a_gpu_steps_are_the_same(make_backbone, task):
    device = torch.device("cuda")
    plain, captured = (opened(make_backbone, task, device, capture=capture) for capture in (False, True))
    with arithmetic("float32", device):
        for _ in range(6):
            assert plain.train_epoch() == pytest.approx(captured.train_epoch(), rel=1e-3)


@gpu
@pytest.mark.parametrize("name", NAMES)
def test_every_learner_learns_on_a_gpu(name, make_task):
    device = torch.device("cuda")
    tasks = [make_task(seed=seed, shape=(1, 8, 8)).to(device) for seed in (0, 1)]
    spec = resolve(f"digits/{name}", ["training.batch_size=4", "training.epochs=2"])
    stream = TaskStream.of(tasks)
    learner = build_learner(spec, stream.outline, device=device)
    for number, task in enumerate(tasks):
        learner.begin_task(task)
        turns = learner.turns() if isinstance(learner, TakesTurns) else None
        for turn in range(len(turns or "1")):
            losses = [learner.train_epoch() for _ in range(2)]
            if isinstance(learner, TakesTurns):
                learner.end_turn(turn % 3 / 3)
            assert all(0 < loss < 100 for loss in losses)
        learner.end_task()
        assert learner.logits(task.test.images, number).isfinite().all()
