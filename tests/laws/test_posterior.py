"""The posterior is a distribution whatever the evidence, and knows no order of the candidates."""

import pytest
import torch

from lasem.search import EVIDENCE, RunningMean, log_likelihoods, log_posterior


@pytest.mark.parametrize("evidence", list(EVIDENCE))
@pytest.mark.parametrize("size", [1, 10, 512])
def test_posterior_sums_to_one_when_one_image_is_confidently_wrong(evidence: str, size: int):
    logits = torch.randn(16, size, 3, generator=torch.Generator().manual_seed(0))
    logits[:, 0, 0] = 1000.0
    labels = torch.full((size,), 1)
    log_q = log_posterior(torch.full((16,), 1 / 16).log(), EVIDENCE[evidence](log_likelihoods(logits, labels)))
    assert log_q.isfinite().all()
    assert abs(float(log_q.exp().sum()) - 1) < 1e-12


@pytest.mark.parametrize("evidence", list(EVIDENCE))
def test_posterior_permutes_with_the_space(evidence: str):
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(8, 6, 4, generator=generator), torch.tensor([0, 1, 2, 3, 0, 1])
    prior = torch.rand(8, generator=generator, dtype=torch.float64).log()
    order = torch.randperm(8, generator=generator)
    q = log_posterior(prior, EVIDENCE[evidence](log_likelihoods(logits, labels)))
    permuted = log_posterior(prior[order], EVIDENCE[evidence](log_likelihoods(logits[order], labels)))
    torch.testing.assert_close(permuted, q[order], rtol=1e-12, atol=1e-12)


def test_product_evidence_is_the_product_and_mean_evidence_the_mean():
    logits = torch.tensor([[[0.0, 0.0], [2.0, 0.0]]], dtype=torch.float64)
    likelihoods = [0.5, 1 / (1 + torch.e**2)]
    log_likelihood = log_likelihoods(logits, torch.tensor([1, 1]))
    assert EVIDENCE["product"](log_likelihood).exp().item() == pytest.approx(likelihoods[0] * likelihoods[1])
    assert EVIDENCE["mean"](log_likelihood).exp().item() == pytest.approx(sum(likelihoods) / 2)


def test_no_candidate_is_ever_removed():
    prior = RunningMean(2, device=torch.device("cpu"))
    hopeless = log_posterior(prior.log_prior, torch.tensor([0.0, -5000.0], dtype=torch.float64))
    assert hopeless.exp()[1] == 0
    prior.update(hopeless)
    for _ in range(3):
        prior.update(log_posterior(prior.log_prior, torch.tensor([-9000.0, 0.0], dtype=torch.float64)))
    assert prior.log_prior.isfinite().all()
    assert prior.log_prior.exp()[1] == pytest.approx(0.75)
