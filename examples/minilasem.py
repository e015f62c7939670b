"""LASEM in one file: expectation-maximization over which layers of a network a task shares.

Hard parameter sharing, plain loops, one network per configuration: slow, and short enough to read at once. The library
computes the same; its tests hold it against this file. Run it to learn three tasks on scikit-learn's digits:

    python examples/minilasem.py

Source: Lee, Behpour & Eaton, Sharing Less is More: Lifelong Learning in Deep Networks with Selective Layer Transfer,
ICML 2021.
"""

from itertools import pairwise, product

import torch
import torch.nn.functional as F

CHANNELS, CLASSES, BATCH, EPOCHS, RATE = (1, 8, 16), 3, 10, 40, 2e-3
CONFIGURATIONS = list(product((0, 1), repeat=len(CHANNELS) - 1))  # one bit per layer, 1 = shared


def new_layers():
    """A weight and a bias per layer."""
    shapes = [(o, i, 3, 3) for i, o in pairwise(CHANNELS)]
    return [[torch.randn(shape) * 0.05, torch.full(shape[:1], 0.2)] for shape in shapes]


def new_head():
    """A linear layer on 2x2 positions of the last layer's channels."""
    return [torch.randn(CLASSES, 4 * CHANNELS[-1]) * 0.05, torch.full((CLASSES,), 0.2)]


def features(images, layers):
    """Convolutions with ReLU and pooling: (B, 1, 8, 8) -> (B, F), positions first, then channels."""
    for weight, bias in layers:
        images = F.max_pool2d(F.conv2d(images, weight, bias, padding=1).relu(), 2)
    return images.movedim(1, -1).flatten(1)


def pick(configuration, own, shared):
    """Take each layer from the shared ones or from the task's own."""
    return [shared[layer] if bit else own[layer] for layer, bit in enumerate(configuration)]


def posterior(prior, log_likelihoods):
    """E-step: q(c) proportional to prior(c) times the likelihood of the batch under c."""
    return (prior.log() + log_likelihoods).softmax(0)


def rmsprop(parameters, squares, rate):
    """One step in TensorFlow's form: epsilon inside the root, squares start at one."""
    for parameter, square in zip(parameters, squares, strict=True):
        square.mul_(0.9).addcmul_(parameter.grad, parameter.grad, value=0.1)
        parameter.data.addcdiv_(parameter.grad, (square + 1e-10).sqrt(), value=-rate)
        parameter.grad = None


def em_step(batch, labels, own, shared, head, prior, keep=1.0):
    """Posterior of the configurations, and gradients of the posterior-weighted loss."""
    networks = [features(batch, pick(c, own, shared)) for c in CONFIGURATIONS]
    with torch.no_grad():
        q = posterior(
            prior, torch.stack([-F.cross_entropy(F.linear(x, *head), labels, reduction="sum") for x in networks])
        )
    masks = [torch.bernoulli(torch.full_like(x, keep)) / keep for x in networks]
    losses = [F.cross_entropy(F.linear(x * m, *head), labels) for x, m in zip(networks, masks, strict=True)]
    loss = (q * torch.stack(losses)).sum()
    loss.backward()
    return q, loss.detach()


def learn(images, labels, shared):
    """Learn a task: its configuration, its layers and head. Layers that it does not share are put back as they were."""
    before = [[tensor.clone() for tensor in layer] for layer in shared]
    own, head, total, steps = new_layers(), new_head(), torch.zeros(len(CONFIGURATIONS)), 0
    prior = torch.full((len(CONFIGURATIONS),), 1 / len(CONFIGURATIONS))
    parameters = [tensor.requires_grad_() for layer in [*own, *shared, head] for tensor in layer]
    squares = [torch.ones_like(parameter) for parameter in parameters]
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(labels))[: len(labels) // BATCH * BATCH].split(BATCH):
            q, _ = em_step(images[rows], labels[rows], own, shared, head, prior, keep=0.5)
            rmsprop(parameters, squares, RATE)
            total, steps = total + q, steps + 1
            prior = total / steps
    chosen = CONFIGURATIONS[int(prior.argmax())]
    for layer, bit in enumerate(chosen):
        shared[layer] = [tensor.detach() for tensor in (shared[layer] if bit else before[layer])]
    return chosen, [[tensor.detach() for tensor in layer] for layer in own], [tensor.detach() for tensor in head], prior


def main():
    """Three tasks of three digits each, and what they answer after all of them."""
    from sklearn.datasets import load_digits

    torch.manual_seed(0)
    digits = load_digits()
    images, labels = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16, torch.tensor(digits.target)
    shared, tasks = new_layers(), []
    for first in (0, 3, 6):
        rows = ((labels >= first) & (labels < first + CLASSES)).nonzero()[:, 0]
        train, test = rows[:120], rows[120:]
        chosen, own, head, prior = learn(images[train], labels[train] - first, shared)
        tasks.append((first, test, chosen, own, head))
        print(f"digits {first}-{first + 2}: prior {[round(p, 3) for p in prior.tolist()]}, shares {chosen}")
    for first, test, chosen, own, head in tasks:
        answers = F.linear(features(images[test], pick(chosen, own, shared)), *head).argmax(1)
        print(f"digits {first}-{first + 2}: test accuracy {(answers == labels[test] - first).float().mean():.1%}")


if __name__ == "__main__":
    main()
