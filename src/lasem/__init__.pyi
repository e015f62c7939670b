from lasem import benchmarks as benchmarks
from lasem import configurations as configurations
from lasem import errors as errors
from lasem import export as export
from lasem import learners as learners
from lasem import metrics as metrics
from lasem import nn as nn
from lasem import options as options
from lasem import preflight as preflight
from lasem import presets as presets
from lasem import records as records
from lasem import registry as registry
from lasem import report as report
from lasem import runs as runs
from lasem import search as search
from lasem import sweeps as sweeps
from lasem import training as training
from lasem.runs import Outcome as Outcome
from lasem.runs import learn as learn
from lasem.runs import load as load

__version__: str
