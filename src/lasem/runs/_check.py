"""What a spec says, checked before anything is read or built: all faults together."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from lasem.benchmarks import BENCHMARKS, AbstractBenchmark
from lasem.errors import LasemError, SpecError, nearest
from lasem.nn import MECHANISMS, NETWORKS
from lasem.optimizers import OPTIMIZERS
from lasem.runs._build import (
    apd_options,
    build_benchmark,
    build_mechanism,
    build_strategy,
    den_options,
    searched,
)
from lasem.specs import Spec

Built = TypeVar("Built")


def check(spec: Spec) -> AbstractBenchmark:
    """Check all that can be checked without data, and make the benchmark.

    Raises:
        SpecError: Names, options or their combination are wrong; all faults together.
    """
    faults = [
        f"{place}: unknown name {name!r} - {nearest(name, known)}"
        for place, name, known in _names(spec)
        if name not in known
    ]
    benchmark = None
    if spec.benchmark.kind in BENCHMARKS:
        benchmark = _attempt(faults, lambda: build_benchmark(spec))
        if benchmark is not None:
            _attempt(faults, benchmark.outline)
    if spec.learner.mechanism in MECHANISMS:
        _attempt(faults, lambda: build_mechanism(spec))
    if spec.network.name in NETWORKS:
        network = NETWORKS[spec.network.name]
        if spec.learner.mechanism in network.excludes:
            reason = network.excludes[spec.learner.mechanism]
            faults.append(
                f"learner.mechanism: {spec.learner.mechanism!r} is not offered on {spec.network.name}: {reason}"
            )
        if spec.learner.kind in network.excludes:
            reason = network.excludes[spec.learner.kind]
            faults.append(f"learner.kind: {spec.learner.kind!r} is not offered on {spec.network.name}: {reason}")
        _attempt(faults, lambda: (den_options(spec), apd_options(spec)))
        layers = len(network.layers)
        _attempt(faults, lambda: build_strategy(spec, layers).space(layers))
        _attempt(faults, lambda: searched(spec).space(layers))
    if faults or benchmark is None:
        raise SpecError(f"{spec.name}: " + "\n  ".join(faults))
    return benchmark


def _names(spec: Spec) -> list[tuple[str, str, Iterable[str]]]:
    """Where a spec names an entry of a registry: (place, name, known names)."""
    return [
        ("benchmark.kind", spec.benchmark.kind, BENCHMARKS),
        ("network.name", spec.network.name, NETWORKS),
        ("learner.mechanism", spec.learner.mechanism, MECHANISMS),
        ("training.optimizer", spec.training.optimizer, OPTIMIZERS),
    ]


def _attempt(faults: list[str], build: Callable[[], Built]) -> Built | None:
    """Build something; note why it cannot be built."""
    try:
        return build()
    except LasemError as error:
        if str(error) not in faults:
            faults.append(str(error))
        return None
