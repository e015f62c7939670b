"""Heads that are fitted to features before a task is trained."""

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from test_training_options import OUTLINE
from torch import nn

from lasem.errors import SpecError
from lasem.learners import SelectiveTransfer, Training
from lasem.runs import build_learner, resolve
from lasem.search import EM, Fixed
from lasem.training import fit_head
from toys import assert_same, make_backbone, make_task, through_disk

PENALTY = 0.05
TRAINING = Training(batch_size=4, learning_rate=0.01, optimizer="sgd", keep=1.0, head_penalty=PENALTY)


def regression(features, labels):
    """The weights that scikit-learn finds; its factor C counts the sum of losses instead of their mean."""
    found = LogisticRegression(C=1 / (PENALTY * len(labels)), tol=1e-8, max_iter=10_000).fit(features, labels)
    return torch.tensor(found.coef_, dtype=torch.float32)


def test_a_fitted_head_is_the_logistic_regression_of_scikit_learn():
    source = torch.Generator().manual_seed(0)
    features, labels = torch.randn(40, 6, generator=source), torch.arange(40) % 3
    features += labels[:, None] * torch.linspace(-1, 1, 6)
    torch.manual_seed(0)
    head = nn.Linear(6, 3)
    fit_head(head, features, labels, penalty=PENALTY)
    torch.testing.assert_close(head.weight.detach(), regression(features, labels), rtol=1e-2, atol=1e-3)
    assert head.weight.grad is None


@pytest.mark.parametrize("strategy", [Fixed("all"), EM(), Fixed("none")], ids=["all", "em", "none"])
def test_a_new_task_begins_with_a_head_fitted_to_what_is_known(strategy):
    """Where the search may share all layers, the features are those of shared knowledge."""
    learner, task = SelectiveTransfer(make_backbone(), strategy, training=TRAINING), make_task()
    learner.begin_task(task)
    digits = learner.space.layer_digits[-1 if len(learner.space) > 1 else 0]
    with torch.no_grad():
        features = learner.backbone.path_features(task.train.images, 0, digits=digits)
    weight = learner.backbone.heads["0"][-1].weight.detach()
    torch.testing.assert_close(weight, regression(features, task.train.labels), rtol=1e-2, atol=1e-3)


def test_the_head_of_a_first_task_that_shares_all_layers_is_fitted_too():
    learner, task = SelectiveTransfer(make_backbone(), EM(first_task="shared"), training=TRAINING), make_task()
    learner.begin_task(task)
    with torch.no_grad():
        features = learner.backbone.path_features(task.train.images, 0, digits=learner.configuration(0))
    weight = learner.backbone.heads["0"][-1].weight.detach()
    torch.testing.assert_close(weight, regression(features, task.train.labels), rtol=1e-2, atol=1e-3)


def test_a_task_that_comes_back_keeps_its_head():
    learner, task = SelectiveTransfer(make_backbone(), Fixed("all"), training=TRAINING), make_task()
    learner.begin_task(task)
    learner.train_epoch()
    learner.end_task()
    before = learner.backbone.heads["0"][-1].weight.detach().clone()
    learner.begin_task(task)
    assert torch.equal(learner.backbone.heads["0"][-1].weight, before)


def test_a_task_is_resumed_with_the_head_that_it_had(monkeypatch):
    """The head is not fitted anew in the middle of a task."""

    def learner():
        return SelectiveTransfer(make_backbone(), EM(), training=TRAINING)

    undisturbed, task = learner(), make_task()
    undisturbed.begin_task(task)
    undisturbed.train_epoch()
    resumed = learner()
    monkeypatch.setattr("lasem.learners._selective.fit_head", lambda *_, **__: pytest.fail("a head is fitted again"))
    resumed.restore(through_disk(undisturbed.state()), task=task)
    undisturbed.train_epoch()
    resumed.train_epoch()
    assert_same(undisturbed, resumed)


@pytest.mark.parametrize("name", ["prognn", "den", "apd", "gating"])
def test_learners_without_fitted_heads_refuse_a_penalty(name):
    spec = resolve(f"digits/{name}", ["training.head_penalty=0.1"])
    with pytest.raises(SpecError, match="head_penalty must be left out for a learner without fitted heads"):
        build_learner(spec, OUTLINE, device=torch.device("cpu"))
