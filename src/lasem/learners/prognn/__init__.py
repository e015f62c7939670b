"""ProgNN: progressive networks (Rusu et al. 2016)."""

from lasem.learners.prognn._progressive import ProgNNOptions as ProgNNOptions
from lasem.learners.prognn._progressive import ProgressiveNetworks as ProgressiveNetworks
