"""Whether the data of several runs is there, checked before the first of them trains."""

from collections.abc import Sequence
from pathlib import Path

import torch

from lasem.errors import DataError
from lasem.runs import Spec


def require_data(specs: Sequence[Spec], data: Path | None) -> None:
    """Read the data of every benchmark among some specs once, and report all that is missing together.

    A run reads its data before it writes anything, but the run after it only once the first one has ended. Images that
    come with lasem are not read here.

    Args:
        specs: Experiments that will be run.
        data: Folder with one folder per data set; None reads them from the Hugging Face hub.

    Raises:
        DataError: Data is missing or not what a benchmark needs.
    """
    faults: dict[str, None] = {}
    # runs that differ in learner or seed draw from the same images
    distinct = {repr((spec.sections["benchmark"], spec.seeds.stream)): spec for spec in reversed(specs)}
    for spec in reversed(distinct.values()):
        benchmark, seeds = spec.benchmark.options, spec.seeds
        if benchmark.built_in:
            continue
        try:
            benchmark.stream(stream_seed=seeds.stream, data_seed=seeds.data, data=data, device=torch.device("cpu"))
        except DataError as error:
            faults[str(error)] = None
    if faults:
        raise DataError("\n  ".join(faults))
