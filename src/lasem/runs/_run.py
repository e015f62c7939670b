"""One run: a spec and a folder, from the first epoch or from the last checkpoint to the result."""

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import torch

from lasem.benchmarks import AbstractBenchmark, Outline
from lasem.errors import require
from lasem.records import Event, Result
from lasem.runs._attempt import Attempt
from lasem.runs._build import build_learner
from lasem.runs._check import check
from lasem.runs._checkpoint import Checkpoints, read_checkpoint
from lasem.runs._environment import (
    arithmetic,
    choose_device,
    describe,
    keep_freed_memory,
    require_precision,
    suited_threads,
    torch_threads,
)
from lasem.runs._folder import RunFolder
from lasem.runs._lock import exclusive
from lasem.runs._loop import Loop
from lasem.runs._memory_errors import memory_for
from lasem.runs._options import RunOptions
from lasem.runs._result import result_of
from lasem.runs._resume import keep_stream, note_attempt, restore, threads_before
from lasem.runs._sink import EventCallback, RunStart, Sink, following
from lasem.runs._spec import Spec
from lasem.text import printable

logger = logging.getLogger(__name__)


def run(
    spec: Spec,
    options: RunOptions | None = None,
    *,
    benchmark: AbstractBenchmark | None = None,
    inspect: Callable[[Outline], None] | None = None,
    sinks: Sequence[Sink] = (),
    on_event: Callable[[Event], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Result:
    """Run a spec to its end. An unfinished run is resumed; of a finished run, the result is returned.

    Memory is not checked beforehand. To refuse a run that does not fit before it writes anything, as the command line
    does, pass ``inspect=partial(lasem.preflight.require_memory, spec, limits=..., device=...)``.

    Args:
        spec: One experiment with one seed.
        options: Where and how the run executes; the defaults of `RunOptions` where omitted.
        benchmark: The benchmark that `check` made of this spec; None checks the spec here.
        inspect: Called with the stream's outline before anything is written. An error that it raises refuses the run.
        sinks: Told when the run starts, of every event, and when it ends.
        on_event: Called with every event as it happens; for more than that, write a sink.
        stop: Asked after every epoch whether to stop there, such as `Signals.received`.

    Raises:
        SpecError: The spec is wrong.
        DataError: The data is missing or not what the benchmark needs.
        RunError: The folder cannot be used or is in use, a number is not finite, memory or disk do not suffice.
        RunStopped: The answer of `stop` was yes; the run is resumed when it is run again.
    """
    require(isinstance(spec, Spec), "spec must be a Spec", remedy="make one by lasem.runs.resolve", spec=spec)
    options = options or RunOptions()
    sinks = [*sinks, *([] if on_event is None else [EventCallback(on_event)])]
    device = choose_device(options.device)
    folder = RunFolder.of(spec, options.out)
    finished = folder.result()
    if finished is not None:
        tasks = len(finished.tasks)
        start = RunStart(folder=folder.path, spec=spec, num_tasks=tasks, epochs=0, resumed=0, finished=True)
        with following(sinks, start):
            return finished
    with ExitStack() as stack:
        known = folder.path.is_dir()
        if known:  # another process that works on this run is named before any data is read
            stack.enter_context(exclusive(folder))
        loop = prepare(spec, options, device=device, benchmark=benchmark)
        if inspect is not None:
            inspect(loop.stream.outline)
        folder.create(spec)
        if not known:
            stack.enter_context(exclusive(folder))
        return _to_the_end(spec, options, loop, folder=folder, device=device, sinks=sinks, stop=stop or (lambda: False))


def prepare(
    spec: Spec, options: RunOptions, *, device: torch.device, benchmark: AbstractBenchmark | None = None
) -> Loop:
    """Read the data, draw the stream and make the learner: all that can go wrong before training.

    Args:
        spec: One experiment with one seed.
        options: Where and how the run executes.
        device: Device of all tensors.
        benchmark: The benchmark that `check` made of this spec; None checks the spec here.

    Raises:
        SpecError: The spec is wrong.
        DataError: The data is missing or not what the benchmark needs, or a task has too few images for a batch.
        RunError: The device does not have the precision, or memory does not suffice.
    """
    benchmark = benchmark or check(spec)
    require_precision(spec.training.precision, device)
    with memory_for(lambda: "the images and the network", remedy="take fewer or smaller images, or a smaller network"):
        stream = benchmark.stream(
            stream_seed=spec.seeds.stream, data_seed=spec.seeds.data, data=options.data, device=device
        )
        learner = build_learner(spec, stream.outline, device=device, capture=options.capture)
    loop = Loop(learner, stream, epochs=spec.training.epochs, evaluation=spec.evaluation)
    loop.check()
    return loop


def _to_the_end(
    spec: Spec,
    options: RunOptions,
    loop: Loop,
    *,
    folder: RunFolder,
    device: torch.device,
    sinks: Sequence[Sink],
    stop: Callable[[], bool],
) -> Result:
    """Resume from the last checkpoint, train to the end of the stream, and write the result."""
    stream, checkpoint = loop.stream, read_checkpoint(folder)
    suited = suited_threads(spec.network.options.multiply_adds(stream.outline.shape))
    facts = {
        "fingerprint": stream.fingerprint,
        "data": None if options.data is None else printable(options.data.resolve()),
        "layers": spec.network.options.layers_table(),
    }
    keep_freed_memory()
    with torch_threads(options.threads or threads_before(folder, checkpoint) or suited):
        keep_stream(folder, stream)
        warnings = restore(loop, folder, checkpoint)
        here = describe(device, captured=options.capture)
        warnings = note_attempt(folder, checkpoint, here=here, facts=facts, warnings=warnings)
        start = RunStart(
            folder=folder.path,
            spec=spec,
            num_tasks=len(stream),
            epochs=loop.total,
            resumed=loop.history.num_epochs,
            finished=False,
            task=loop.history.tasks[-1].task if loop.history.tasks else None,
            warnings=warnings,
            about=stream.about,
            storage=stream.storage,
        )
        if not sinks:  # nobody else is told
            for warning in warnings:
                logger.warning("%s: %s", folder.path, warning)
        checkpoints = Checkpoints(folder, every=options.checkpoint_every, resumed=checkpoint)
        with following(sinks, start), arithmetic(spec.training.precision, device):
            Attempt(loop, folder, checkpoints).run(sinks=sinks, stop=stop)
    result = result_of(loop, device=str(device), spec=spec)
    folder.write_json(folder.result_path, result.model_dump())
    return result
