"""The library computes, step by step, what the algorithm in one file computes."""

import minilasem
import torch

from lasem.benchmarks import Split, Task
from lasem.learners import SelectiveTransfer, Training
from lasem.nn import Conv, Network
from lasem.search import EM

STEPS, BATCH, RATE = 12, 6, 1e-2


def test_steps_equal_the_algorithm_in_one_file():
    generator = torch.Generator().manual_seed(3)
    labels = torch.arange(STEPS * BATCH) % minilasem.CLASSES
    images = torch.rand(STEPS * BATCH, 1, 8, 8, generator=generator, dtype=torch.float64)
    images += labels[:, None, None, None]
    split = Split(images=images, labels=labels)
    backbone = Network((Conv(3, 8, pool=2), Conv(3, 16, pool=2)), hidden=()).build((1, 8, 8)).double()
    training = Training(batch_size=BATCH, learning_rate=RATE, keep=1.0)
    learner = SelectiveTransfer(backbone, EM(), training=training)
    learner.begin_task(Task(name="toy", classes=minilasem.CLASSES, train=split, valid=split, test=split))
    learner.begin_epoch()
    values = {name: value.clone() for name, value in backbone.state_dict().items()}

    def layers(version: str) -> list[list[torch.Tensor]]:
        return [[values[f"stages.{layer}.{version}.{part}"] for part in ("weight", "bias")] for layer in range(2)]

    own, shared = layers("own.0"), layers("trial")
    head = [values["heads.0.0.weight"], values["heads.0.0.bias"]]
    parameters = [tensor.requires_grad_() for layer in [*own, *shared, head] for tensor in layer]
    squares = [torch.ones_like(parameter) for parameter in parameters]
    total, prior = torch.zeros(4, dtype=torch.float64), torch.full((4,), 0.25, dtype=torch.float64)
    for step in range(STEPS):
        rows = slice(step * BATCH, (step + 1) * BATCH)
        q, loss = minilasem.em_step(images[rows], labels[rows], own, shared, head, prior)
        minilasem.rmsprop(parameters, squares, RATE)
        total += q
        prior = total / (step + 1)
        found = learner.train_step(images[rows], labels[rows])
        torch.testing.assert_close(found, loss, rtol=1e-10, atol=0)
        torch.testing.assert_close(learner.search.log_prior().exp(), prior, rtol=1e-10, atol=0)
    state = backbone.state_dict()
    for version, expected in (("own.0", own), ("trial", shared)):
        for layer, (weight, bias) in enumerate(expected):
            torch.testing.assert_close(
                state[f"stages.{layer}.{version}.weight"], weight.detach(), rtol=1e-8, atol=1e-12
            )
            torch.testing.assert_close(state[f"stages.{layer}.{version}.bias"], bias.detach(), rtol=1e-8, atol=1e-12)
    assert float(prior.max() - prior.min()) > 0.01  # it has moved from the uniform start
