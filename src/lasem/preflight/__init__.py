"""Estimates a run's memory and time before it starts, and compares them with the limits."""

from lasem.preflight._check import check_with_suggestions as check_with_suggestions
from lasem.preflight._check import require_memory as require_memory
from lasem.preflight._check import shortage as shortage
from lasem.preflight._cost import EvaluatesTree as EvaluatesTree
from lasem.preflight._cost import Limits as Limits
from lasem.preflight._cost import ListsCandidates as ListsCandidates
from lasem.preflight._cost import SearchCost as SearchCost
from lasem.preflight._cost import StepCost as StepCost
from lasem.preflight._cost import search_cost as search_cost
from lasem.preflight._data import require_data as require_data
from lasem.preflight._estimate import Estimate as Estimate
from lasem.preflight._estimate import estimate as estimate
