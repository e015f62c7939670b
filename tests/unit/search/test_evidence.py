import math

import pytest
import torch
from torch.nn import functional as F

from lasem.search import EVIDENCE, cross_entropies, log_likelihoods, log_mean, log_posterior, log_product


@pytest.fixture
def logits():
    return torch.randn(5, 7, 4, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def labels():
    return torch.tensor([0, 3, 1, 1, 2, 0, 3])


def likelihoods(logits, labels):
    """p(y | x, c) by the definition, in plain floats: lists (K, B)."""
    table = []
    for candidate in logits.double().tolist():
        powers = [[math.exp(value) for value in row] for row in candidate]
        table.append([row[label] / sum(row) for row, label in zip(powers, labels.tolist(), strict=True)])
    return table


def test_log_likelihoods_are_logarithms_of_the_softmax_at_the_label_in_double(logits, labels):
    found = log_likelihoods(logits, labels)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found.exp(), torch.tensor(likelihoods(logits, labels), dtype=torch.float64))


def test_product_evidence_equals_the_product_of_likelihoods(logits, labels):
    expected = [math.prod(row) for row in likelihoods(logits, labels)]
    found = log_product(log_likelihoods(logits, labels)).exp()
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


def test_mean_evidence_equals_the_mean_of_likelihoods(logits, labels):
    expected = [sum(row) / len(row) for row in likelihoods(logits, labels)]
    found = log_mean(log_likelihoods(logits, labels)).exp()
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("kind", EVIDENCE)
def test_of_one_instance_evidence_is_its_likelihood(kind):
    log_likelihood = torch.tensor([[-0.5], [-3.0]], dtype=torch.float64)
    torch.testing.assert_close(EVIDENCE[kind](log_likelihood), log_likelihood[:, 0])


@pytest.mark.parametrize("kind", EVIDENCE)
def test_evidence_does_not_depend_on_the_order_of_instances(kind, logits, labels):
    order = torch.tensor([3, 0, 6, 1, 5, 2, 4])
    found = EVIDENCE[kind](log_likelihoods(logits[:, order], labels[order]))
    torch.testing.assert_close(found, EVIDENCE[kind](log_likelihoods(logits, labels)))


def test_mean_of_equal_tiny_likelihoods_is_that_likelihood():
    log_likelihood = torch.full((2, 512), -1000.0, dtype=torch.float64)
    torch.testing.assert_close(log_mean(log_likelihood), log_likelihood[:, 0])


def test_posterior_equals_bayes_rule_for_numbers_that_fit(logits, labels):
    prior = [0.1, 0.2, 0.3, 0.15, 0.25]
    weights = [p * math.prod(row) for p, row in zip(prior, likelihoods(logits, labels), strict=True)]
    log_evidence = log_product(log_likelihoods(logits, labels))
    found = log_posterior(torch.tensor(prior, dtype=torch.float64).log(), log_evidence).exp()
    torch.testing.assert_close(found, torch.tensor([w / sum(weights) for w in weights], dtype=torch.float64))


@pytest.mark.parametrize("kind", EVIDENCE)
@pytest.mark.parametrize("batch", [1, 10, 512])
def test_posterior_sums_to_one_with_one_confidently_wrong_instance(kind, batch):
    logits = torch.randn(4, batch, 3, generator=torch.Generator().manual_seed(batch))
    logits[:, 0] = torch.tensor([0.0, 1000.0, 0.0])
    labels = torch.zeros(batch, dtype=torch.int64)
    q = log_posterior(torch.full((4,), -math.log(4)).double(), EVIDENCE[kind](log_likelihoods(logits, labels))).exp()
    assert q.isfinite().all()
    assert abs(float(q.sum()) - 1) < 1e-12


def test_cross_entropies_equal_torchs_own_per_candidate(logits, labels):
    expected = torch.stack([F.cross_entropy(candidate, labels) for candidate in logits])
    torch.testing.assert_close(cross_entropies(logits, labels), expected)


def test_cross_entropy_is_the_product_evidence_per_instance(logits, labels):
    log_evidence = log_product(log_likelihoods(logits, labels))
    torch.testing.assert_close(cross_entropies(logits.double(), labels), -log_evidence / len(labels))


def test_gradients_of_cross_entropies_are_right(labels):
    logits = torch.randn(2, 7, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: cross_entropies(x, labels), logits)
