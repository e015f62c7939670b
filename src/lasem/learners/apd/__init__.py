"""APD: additive parameter decomposition (Yoon et al. 2020)."""

from lasem.learners.apd._apd import APD as APD
from lasem.learners.apd._apd import APDOptions as APDOptions
