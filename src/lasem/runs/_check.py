"""Whether the choices of a spec go together, checked before anything is read or built."""

from lasem.benchmarks import AbstractBenchmark
from lasem.errors import SpecError
from lasem.runs._build import build_strategy
from lasem.runs._read_spec import Faults
from lasem.runs._spec import Spec


def check(spec: Spec) -> AbstractBenchmark:
    """Check everything that can be checked without data, and return the benchmark.

    Raises:
        SpecError: The stream, the network, the learner and the strategy do not go together; all faults together.
    """
    faults = Faults()
    network, benchmark = spec.network.options, spec.benchmark.options
    faults.attempt(benchmark.outline)
    chosen = {"learner.mechanism": spec.mechanism.kind, "learner.kind": spec.learner.kind}
    for key, kind in chosen.items():
        if kind in network.excludes:
            faults.append(f"{key}: {kind!r} is not offered on {spec.network.name}: {network.excludes[kind]}")
    strategy = faults.attempt(lambda: build_strategy(spec))
    if strategy is not None:
        faults.attempt(lambda: strategy.space(len(network.layers), branches=network.branches))
        faults.attempt(lambda: strategy.check_epochs(spec.training.epochs))
    if faults:
        raise SpecError(f"{spec.name}: " + "\n  ".join(faults))
    return benchmark
