"""Conditional channel gating (Abati et al. 2020)."""

from lasem.learners.gating._gating import ChannelGating as ChannelGating
from lasem.learners.gating._gating import GatingOptions as GatingOptions
