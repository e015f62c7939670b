"""A network of your own: two convolution blocks and a linear layer, each of which may be shared.

Any module becomes a stage through `TransferModule`. LASEM then searches over groups of stages: here the two blocks
decide together, the linear layer for itself. Run it on scikit-learn's digits:

    python examples/own_network.py
"""

import torch
from torch import Generator, nn

from lasem import learn
from lasem.benchmarks import Digits
from lasem.configurations import Partition
from lasem.learners import SelectiveTransfer, Training
from lasem.nn import Backbone, TransferModule
from lasem.search import EM

TASKS, EPOCHS = 5, 15


def initialized(module: nn.Module, source: Generator) -> nn.Module:
    """Draw a module's weights from a given generator, so that a seed decides them."""
    for name, parameter in module.named_parameters():
        if name.endswith("weight"):
            nn.init.trunc_normal_(parameter, std=0.1, a=-0.2, b=0.2, generator=source)
        else:
            nn.init.constant_(parameter, 0.1)
    return module


def conv_block(inputs: int, outputs: int) -> TransferModule:
    """Two convolutions and a pool: (B, inputs, H, W) -> (B, outputs, H/2, W/2)."""

    def make(source: Generator) -> nn.Module:
        first, second = nn.Conv2d(inputs, outputs, 3, padding=1), nn.Conv2d(outputs, outputs, 3, padding=1)
        return initialized(nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.MaxPool2d(2)), source)

    return TransferModule(make)


def linear(inputs: int, outputs: int) -> TransferModule:
    """A fully connected layer on flattened features: (B, ...) -> (B, outputs)."""

    def make(source: Generator) -> nn.Module:
        return initialized(nn.Sequential(nn.Flatten(), nn.Linear(inputs, outputs), nn.ReLU()), source)

    return TransferModule(make)


def make_head(features: int, classes: int, source: Generator) -> nn.Module:
    """Output layers of a task: (..., features) -> (..., classes)."""
    return initialized(nn.Linear(features, classes), source)


def main():
    """Learn five tasks, and print what each of them shares."""
    torch.set_num_threads(1)
    stream = Digits(tasks=TASKS).stream(stream_seed=0, data_seed=0, data=None)
    stages = [conv_block(1, 8), conv_block(8, 16), linear(16 * 2 * 2, 32)]
    backbone = Backbone(stages, shape=stream.outline.shape, head=make_head, seed=0)
    learner = SelectiveTransfer(
        backbone,
        EM(partition=Partition.parse("{1,2},{3}")),
        training=Training(optimizer="adam", learning_rate=2e-3, keep=0.8),
    )
    outcome = learn(learner, stream, epochs=EPOCHS)
    accuracies = outcome.measures.accuracy[-1]
    for task, bits, accuracy in zip(stream, outcome.configurations, accuracies, strict=True):
        shared = [name for name, bit in zip(("block 1", "block 2", "linear"), bits or (), strict=True) if bit]
        print(f"{task.name:24} shares {', '.join(shared) or 'nothing':24} test accuracy {accuracy:.1%}")
    counts = learner.parameter_counts()
    print(f"parameters: {counts.shared:,} shared, {sum(counts.per_task):,} of single tasks")


if __name__ == "__main__":
    main()
