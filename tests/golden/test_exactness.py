"""Five EM steps of every mechanism equal a separate implementation: one network per configuration, no shared code.

Here everything is in the layouts of the paper and of TensorFlow: kernels (height, width, in, out), images (B, H, W, C),
likelihoods as plain probabilities. Values go into the library by the names and layouts of docs/extending.md.
"""

from itertools import product

import numpy as np
import pytest
import torch

from lasem.benchmarks import Split, Task
from lasem.learners import SelectiveTransfer, Training
from lasem.nn import MECHANISMS, Conv, Network
from lasem.search import EM

SIDE, CHANNELS, CLASSES, BATCH, STEPS, RATE, LAMBDA = 7, 2, 3, 6, 5, 1e-2, 0.1
LAYERS = [(3, CHANNELS, 4, 2), (5, 4, 3, 1), (3, 3, 5, 2)]
"""(kernel, in, out, pool)."""
HIDDEN, FEATURES = 6, 2 * 2 * 5


# Initial values, in the layouts of the paper


def drawn(rng, *shape, size=0.5):
    """Values of a size at which all parts of the loss matter."""
    return torch.tensor(rng.normal(0, size, shape), requires_grad=True)


def near_identity(rng, size):
    return torch.tensor(np.eye(size) + rng.normal(0, 0.2, (size, size)), requires_grad=True)


def new_shared(name, rng, k, c, o):
    if name == "hps":
        return {"W": drawn(rng, k, k, c, o), "b": drawn(rng, o)}
    if name == "tf":
        return {"K": drawn(rng, k, k, c, o)}
    if name == "lora":
        return {"W": drawn(rng, k, k, c, o), "b": drawn(rng, o)}
    return {"K": drawn(rng, (k + 1) // 2, (k + 1) // 2, round((c + o) / 3))}


def new_mapping(name, rng, k, c, o):
    if name == "hps":
        return {}
    if name == "tf":
        factors = {f"U{n + 1}": near_identity(rng, size) for n, size in enumerate((k, k, c, o))}
        return factors | {"b": drawn(rng, o)}
    if name == "lora":  # of the default rank, 8, or what the layer allows
        rank = min(8, o)
        return {"A": drawn(rng, k, k, c, rank, size=0.2), "B": drawn(rng, rank, o, size=0.2)}
    kb, ts = round((c + o) / 3), round(2 * (c + o) / 3)
    return {"V": drawn(rng, 3, 3, ts, kb), "d": drawn(rng, ts), "Z": drawn(rng, ts, c, o), "b": drawn(rng, o)}


# The method, written down once more


def kernel(name, shared, mapping):
    """(height, width, in, out) and bias of the shared branch."""
    if name == "hps":
        return shared["W"], shared["b"]
    if name == "tf":
        core = shared["K"]
        for axis in range(4):  # contract the axis with the factor's first one
            core = torch.tensordot(core.movedim(axis, -1), mapping[f"U{axis + 1}"], 1).movedim(-1, axis)
        return core, mapping["b"]
    if name == "lora":
        return shared["W"] + 8 / len(mapping["B"]) * (mapping["A"] @ mapping["B"]), shared["b"]
    base, filters, contraction = shared["K"], mapping["V"], mapping["Z"]
    height = len(base)
    rows = [[mapping["d"] for _ in range(2 * height - 1)] for _ in range(2 * height - 1)]
    for i, j, a, b in product(range(height), range(height), range(3), range(3)):
        x, y = 2 * i + a - 1, 2 * j + b - 1
        if 0 <= x < 2 * height - 1 and 0 <= y < 2 * height - 1:
            rows[x][y] = rows[x][y] + filters[a, b] @ base[i, j]
    return torch.stack(
        [torch.stack([torch.einsum("m,mco->co", d, contraction) for d in row]) for row in rows]
    ), mapping["b"]


def convolved(images, weight, bias):
    """SAME convolution, a sum over the positions of the kernel: (B, H, W, in) -> (B, H, W, out)."""
    k, height, width = len(weight), images.shape[1], images.shape[2]
    padded = torch.nn.functional.pad(images, (0, 0, k // 2, k // 2, k // 2, k // 2))
    return bias + sum(padded[:, a : a + height, b : b + width] @ weight[a, b] for a, b in product(range(k), range(k)))


def pooled(images, window):
    """SAME max-pool: (B, H, W, C) -> (B, ceil(H/k), ceil(W/k), C)."""
    missing = -images.shape[1] % window
    before = missing // 2
    edges = [max(0, start - before) for start in range(0, images.shape[1] + missing, window)]
    ends = [min(images.shape[1], start - before + window) for start in range(0, images.shape[1] + missing, window)]
    spans = list(zip(edges, ends, strict=True))
    return torch.stack([torch.stack([images[:, a:b, c:d].amax((1, 2)) for c, d in spans], 1) for a, b in spans], 1)


def network(images, kernels, head):
    hidden = images
    for (weight, bias), (_, _, _, pool) in zip(kernels, LAYERS, strict=True):
        hidden = pooled(convolved(hidden, weight, bias).clamp(min=0), pool)
    hidden = (hidden.reshape(len(images), -1) @ head["W1"] + head["b1"]).clamp(min=0)
    return hidden @ head["W2"] + head["b2"]


def orthogonality(mapping):
    factors = [mapping[f"U{n}"] for n in (1, 2, 3, 4)]
    return LAMBDA * sum((((u.T @ u) - torch.eye(len(u), dtype=u.dtype)) ** 2).sum() ** 0.5 for u in factors)


class Reference:
    """LASEM with a network per configuration."""

    def __init__(self, name, evidence, seed):
        rng = np.random.default_rng(seed)
        self.name, self.evidence = name, evidence
        self.shared = [new_shared(name, rng, *layer[:3]) for layer in LAYERS]
        self.mapping = [new_mapping(name, rng, *layer[:3]) for layer in LAYERS]
        self.own = [{"W": drawn(rng, k, k, c, o), "b": drawn(rng, o)} for k, c, o, _ in LAYERS]
        sizes = (FEATURES, HIDDEN, CLASSES)
        self.head = {f"W{i + 1}": drawn(rng, *sizes[i : i + 2]) for i in range(2)}
        self.head |= {f"b{i + 1}": drawn(rng, sizes[i + 1]) for i in range(2)}
        self.parameters = [p for part in (*self.shared, *self.mapping, *self.own, self.head) for p in part.values()]
        self.squares = [torch.ones_like(p) for p in self.parameters]
        self.configurations = list(product((0, 1), repeat=len(LAYERS)))
        self.prior = torch.full((len(self.configurations),), 1 / len(self.configurations), dtype=torch.float64)
        self.posteriors = []

    def step(self, images, labels):
        """Losses and gradients of every configuration by itself, then one step of RMSProp."""
        losses, likelihoods = [], []
        for bits in self.configurations:
            kernels = [
                kernel(self.name, shared, mapping) if bit else (own["W"], own["b"])
                for bit, shared, mapping, own in zip(bits, self.shared, self.mapping, self.own, strict=True)
            ]
            odds = network(images, kernels, self.head).exp()
            right = (odds / odds.sum(1, keepdim=True))[torch.arange(len(labels)), labels]
            losses.append(-right.log().mean())
            likelihoods.append(right.detach().prod() if self.evidence == "product" else right.detach().mean())
        joint = self.prior * torch.stack(likelihoods)
        q = joint / joint.sum()
        gradients = [torch.zeros_like(p) for p in self.parameters]
        total = torch.zeros((), dtype=torch.float64)
        terms = list(zip(q, losses, strict=True))
        if self.name == "tf":  # each layer's penalty, once for every configuration that shares the layer
            for weight, bits in zip(q, self.configurations, strict=True):
                terms += [(weight, orthogonality(self.mapping[layer])) for layer, bit in enumerate(bits) if bit]
        for weight, term in terms:
            total += weight * term.detach()
            found = torch.autograd.grad(term, self.parameters, allow_unused=True, retain_graph=True)
            for gradient, part in zip(gradients, found, strict=True):
                if part is not None:
                    gradient += weight * part
        with torch.no_grad():
            for p, square, gradient in zip(self.parameters, self.squares, gradients, strict=True):
                square.mul_(0.9).add_(0.1 * gradient**2)
                p -= RATE * gradient / (square + 1e-10).sqrt()
        self.posteriors.append(q)
        self.prior = sum(self.posteriors) / len(self.posteriors)
        return total

    def values(self):
        """All values under the library's names and in its layouts, as docs/extending.md says."""
        found = {}
        for layer in range(len(LAYERS)):
            for name, value in self.own[layer].items():
                found |= {f"stages.{layer}.own.0.{'weight' if name == 'W' else 'bias'}": oihw(value)}
            for place, values in (("trial", self.shared[layer]), ("mapping.0", self.mapping[layer])):
                for name, value in values.items():
                    key, change = NAMES[self.name][place][name]
                    found[f"stages.{layer}.{place}.{key}"] = change(value)
        for i in range(2):
            found[f"heads.0.{2 * i}.weight"] = self.head[f"W{i + 1}"].T
            found[f"heads.0.{2 * i}.bias"] = self.head[f"b{i + 1}"]
        return {name: value.detach().clone() for name, value in found.items()}


def same(value):
    return value


def oihw(value):
    return value.permute(3, 2, 0, 1) if value.ndim == 4 else value


NAMES = {
    "hps": {"trial": {"W": ("weight", oihw), "b": ("bias", same)}, "mapping.0": {}},
    "tf": {
        "trial": {"K": ("core", oihw)},
        "mapping.0": {
            "U1": ("height", same),
            "U2": ("width", same),
            "U3": ("inputs", same),
            "U4": ("outputs", same),
            "b": ("bias", same),
        },
    },
    "dfcnn": {
        "trial": {"K": ("base", lambda value: value.permute(2, 0, 1))},
        "mapping.0": {
            "V": ("deconvolution", oihw),
            "d": ("deconvolution_bias", same),
            "Z": ("contraction", lambda value: value.permute(2, 1, 0)),
            "b": ("bias", same),
        },
    },
    "lora": {
        "trial": {"W": ("weight", oihw), "b": ("bias", same)},
        "mapping.0": {
            "A": ("down", lambda value: oihw(value).flatten(1)),
            "B": ("up", lambda value: value.T),
        },
    },
}
"""Per mechanism: from the paper's symbol to the library's name and layout."""


def test_every_mechanism_has_its_reference():
    assert NAMES.keys() == MECHANISMS.keys()


@pytest.mark.parametrize("evidence", ["product", "mean"])
@pytest.mark.parametrize("name", NAMES)
def test_five_em_steps_equal_one_network_per_configuration(name, evidence):
    reference = Reference(name, evidence, seed=7)
    rng = np.random.default_rng(1)
    images = torch.tensor(rng.normal(0, 1, (STEPS, BATCH, SIDE, SIDE, CHANNELS)))
    labels = torch.tensor(rng.integers(0, CLASSES, (STEPS, BATCH)))
    table = Network(tuple(Conv(k, o, pool=pool) for k, _, o, pool in LAYERS), hidden=(HIDDEN,))
    backbone = table.build((CHANNELS, SIDE, SIDE), mechanism=MECHANISMS[name]()).double()
    training = Training(batch_size=BATCH, learning_rate=RATE, keep=1.0)
    learner = SelectiveTransfer(backbone, EM(evidence=evidence), training=training)
    split = Split(images=images[0].permute(0, 3, 1, 2), labels=labels[0])
    learner.begin_task(Task(name="toy", classes=CLASSES, train=split, valid=split, test=split))
    learner.begin_epoch()
    values = reference.values()
    assert values.keys() == {key for key, _ in backbone.named_parameters() if ".shared." not in key}
    backbone.load_values(values)
    for step in range(STEPS):
        expected = reference.step(images[step], labels[step])
        loss = learner.train_step(images[step].permute(0, 3, 1, 2), labels[step])
        close(loss, expected)
        close(learner.posterior(), reference.posteriors[-1])
        close(torch.from_numpy(learner.status().prior), reference.prior)
        found = dict(backbone.named_parameters())
        for key, value in reference.values().items():
            close(found[key], value, key)
    assert reference.prior.max() - reference.prior.min() > 1e-3  # the comparison is not of flat priors
    assert any(not torch.equal(reference.values()[key], value) for key, value in values.items() if "trial" in key)


def close(found, expected, name=""):
    scale = float(expected.abs().max())
    torch.testing.assert_close(
        found.detach(), expected, rtol=1e-8, atol=1e-10 * scale, msg=lambda text: f"{name}: {text}"
    )
