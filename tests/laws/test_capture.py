"""Captured steps do what others do, on every mechanism and network."""

import copy
import pickle
import shutil
from functools import partial

import pytest
import torch

from lasem.errors import SpecError
from lasem.learners import SelectiveTransfer, Training
from lasem.nn import MECHANISMS, NETWORKS
from lasem.search import DARTS, EM, CommitAt, leaf_features, plan

compiled = pytest.mark.skipif(
    shutil.which("g++") is None, reason="torch compiles for a CPU with g++, which is not here"
)


@pytest.fixture
def task(make_task):
    return make_task(classes=3)


def opened(make_backbone, task, *, captured, strategy=None):
    """A learner with a task open."""
    training = Training(batch_size=4, learning_rate=1e-2, epochs=4)
    learner = SelectiveTransfer(make_backbone(), strategy or EM(), training=training, capture=captured)
    learner.begin_task(task)
    return learner


@compiled
@pytest.mark.slow
def test_a_compiled_step_is_the_same_step(make_backbone, task):
    plain, captured = (opened(make_backbone, task, captured=captured) for captured in (False, True))
    for _ in range(2):
        assert plain.train_epoch() == pytest.approx(captured.train_epoch(), rel=1e-5)
    torch.testing.assert_close(captured.posterior(), plain.posterior())
    torch.testing.assert_close(captured.logits(task.test.images, 0), plain.logits(task.test.images, 0))


def test_the_tree_and_then_one_path_are_captured_of_every_task(make_backbone, task, monkeypatch):
    graphs = []

    def count(graph, examples):
        graphs.append(len(examples))
        return graph

    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, *, mode, **options: compile_(f, backend=count, **options))
    strategy = EM(commit_at=CommitAt(share=0.5))
    plain, captured = (opened(make_backbone, task, captured=on, strategy=strategy) for on in (False, True))
    for number in (0, 1):
        for _ in range(4):
            assert plain.train_epoch() == pytest.approx(captured.train_epoch(), rel=1e-5)
        assert captured.status().decision.settled == 6
        assert len(graphs) == 2 * (number + 1)
        for learner in (plain, captured):
            learner.end_task()
            if number == 0:
                learner.begin_task(task)
    torch.testing.assert_close(captured.logits(task.test.images, 1), plain.logits(task.test.images, 1))


@pytest.mark.parametrize(
    ("network", "mechanism"), [*(("digits-3", mechanism) for mechanism in MECHANISMS), ("resnet-18-bn", "hps")]
)
def test_the_tree_is_one_graph(network, mechanism):
    backbone = NETWORKS[network].build((1, 16, 16), mechanism=MECHANISMS[mechanism]())
    layers = len(backbone.stages)
    space = EM(candidates=((0,) * layers, (0, 1) * (layers // 2) + (1,) * (layers % 2), (1,) * layers)).space(layers)
    backbone.begin_task(0, classes=2, uses=space.uses)
    images = torch.rand(2, 1, 16, 16)
    torch.compiler.reset()
    whole = torch.compile(leaf_features, backend="eager", fullgraph=True, dynamic=False)
    found = whole(backbone, images, 0, layout=plan(space))
    torch.testing.assert_close(found, leaf_features(backbone, images, 0, layout=plan(space)))


@pytest.mark.parametrize("captured", [True, False])
def test_the_compiler_is_told_of_captured_steps_only(make_backbone, task, monkeypatch, captured):
    """Telling it takes seconds the first time, and 100 MiB."""
    told = []
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: told.append(1))
    monkeypatch.setattr(torch, "compile", lambda function, **_: partial(function))
    opened(make_backbone, task, captured=captured).train_epoch()
    assert len(told) == 3 * captured


@pytest.mark.parametrize("strategy", [EM(epsilon=0.1), EM(memory=1), DARTS()])
def test_steps_that_differ_are_not_captured(make_backbone, strategy):
    with pytest.raises(SpecError, match="all steps must run the same candidates in one tree to be captured"):
        SelectiveTransfer(make_backbone(), strategy, capture=True)


def test_capturing_many_tasks_leaves_what_users_compiled_compiled(make_backbone, make_task, monkeypatch):
    compile_, compiled_by_user, captured = torch.compile, [], []

    def backend(graphs):
        def count(graph, examples):
            graphs.append(len(examples))
            return graph

        return count

    double = compile_(lambda x: 2 * x, backend=backend(compiled_by_user))
    double(torch.ones(3))
    monkeypatch.setattr(
        torch, "compile", lambda f, *, mode, **options: compile_(f, backend=backend(captured), **options)
    )
    training = Training(batch_size=4, learning_rate=1e-2)
    learner = SelectiveTransfer(make_backbone(), EM(), training=training, capture=True)
    tasks = 1 + torch._dynamo.config.recompile_limit
    for _ in range(tasks):
        learner.begin_task(make_task(classes=3))
        learner.train_epoch()
        learner.end_task()
    double(torch.ones(3))
    assert len(captured) == tasks
    assert len(compiled_by_user) == 1


def test_a_captured_learner_can_be_copied_and_pickled_inside_a_task(make_backbone, task, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda f, **options: f)
    original = opened(make_backbone, task, captured=True)
    original.train_epoch()
    copies = [copy.deepcopy(original), pickle.loads(pickle.dumps(original))]
    assert [other.train_epoch() for other in copies] == [original.train_epoch()] * 2
