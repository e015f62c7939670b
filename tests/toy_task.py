"""An open task for tests of searches: it records losses in place of training on them."""

import torch

from lasem.search import AbstractOpenTask, DropoutMasks


class ToyTask(AbstractOpenTask):
    """Draws dropout masks and notes every loss; it has no optimizer."""

    learning_rate = 0.0

    def __init__(self, *, rate=0.0, keep=1.0):
        self.learning_rate, self.keep = rate, keep
        self.masks = torch.Generator().manual_seed(0)
        self.losses = []

    def draw_masks(self, candidates, batch, features):
        return DropoutMasks.draw(candidates, batch, features, keep=self.keep, source=self.masks)

    def draw_seed(self):
        return 0

    def held_out_batch(self):
        return None

    def backward(self, loss):
        self.losses.append(loss)

    def step(self, *losses):
        self.losses += losses
        return torch.stack(self.losses).sum().detach()
