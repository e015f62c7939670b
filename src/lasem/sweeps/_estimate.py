"""What a sweep would still take, from a few measured steps of each of its experiments."""

from collections.abc import Sequence

import torch

from lasem.benchmarks import Outline
from lasem.preflight import estimate
from lasem.runs import RunOptions, check, prepare
from lasem.specs import SeedsSpec, Spec
from lasem.sweeps._standing import Standing


def estimate_sweep(standings: Sequence[Standing], options: RunOptions, *, device: torch.device) -> tuple[float, int]:
    """Seconds of training that the runs still take on this machine, one after another.

    Trials of one experiment are taken to cost the same. What a run that has begun has spent is left out.

    Returns:
        The seconds, and the number of open runs that they leave out, as only data that is not at hand can tell.
    """
    seconds: dict[str, float | None] = {}
    total, unknown = 0.0, 0
    for standing in standings:
        if standing.state == "done":
            continue
        spec = standing.run.spec.model_copy(update={"seeds": SeedsSpec()})
        if spec.digest not in seconds:
            outline = _outline(spec, options, device=device)
            seconds[spec.digest] = None if outline is None else estimate(spec, outline, device=device).seconds[1]
        if (whole := seconds[spec.digest]) is None:
            unknown += 1
        else:
            total += max(0.0, whole - standing.seconds)
    return total, unknown


def _outline(spec: Spec, options: RunOptions, *, device: torch.device) -> Outline | None:
    """Shapes and sizes of a stream: without data where they are known without."""
    found = check(spec).outline()
    if found is None and options.data is not None:
        return prepare(spec, options, device=device).stream.outline
    return found
