"""One run: a spec and a folder, from the first epoch or from the last checkpoint to the result."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import torch

from lasem.benchmarks import AbstractBenchmark, Outline
from lasem.nn import NETWORKS
from lasem.records import Event, Result, TaskRecord
from lasem.runs._allocator import keep_freed_memory
from lasem.runs._arithmetic import arithmetic, require_precision
from lasem.runs._build import build_learner
from lasem.runs._check import check
from lasem.runs._checkpoint import Checkpoints, read_checkpoint
from lasem.runs._environment import choose_device, describe, suited_threads, torch_threads
from lasem.runs._folder import RunFolder
from lasem.runs._follow import follow
from lasem.runs._lock import exclusive
from lasem.runs._loop import Evaluation, Loop
from lasem.runs._memory import memory_for
from lasem.runs._result import summarize
from lasem.runs._resume import keep_stream, note_attempt, restore, threads_before
from lasem.specs import Spec


@dataclass(frozen=True)
class Place:
    """Where and how to run, which does not change the result.

    Attributes:
        out: Folder that holds runs.
        data: Folder that holds one folder per data set; None loads from the hub.
        device: "cpu", "cuda", "cuda:N" or "auto".
        threads: Of the CPU; 0 = those that the run began with, or for a new one, one for small networks, else all.
            Another number may change the last bits of a result.
        capture: Compile the steps of every task, on a GPU as CUDA graphs; that too may change last bits.
        checkpoint_every: Epochs, or time, between checkpoints; 0 = as often as costs under 3% of the time.
    """

    out: Path = Path("runs")
    data: Path | None = None
    device: str = "auto"
    checkpoint_every: int | timedelta = 0
    threads: int = 0
    capture: bool = False


@dataclass(frozen=True)
class Started:
    """What is known when a run begins, for whoever watches.

    Attributes:
        folder: Of the run.
        spec: Of the run.
        num_tasks: In the stream.
        epochs: Of the whole stream, over all candidates; 0 where nothing will be run.
        resumed: How many of them are done.
        done: There is a result already; nothing will be run.
        task: The task that was open when an earlier attempt stopped.
        warnings: Of a run that goes on: checkpoints that were damaged, and conditions that have changed.
    """

    folder: Path
    spec: Spec
    num_tasks: int
    epochs: int
    resumed: int
    done: bool
    task: TaskRecord | None = None
    warnings: list[str] = field(default_factory=list)


def prepare(spec: Spec, place: Place, *, device: torch.device, benchmark: AbstractBenchmark | None = None) -> Loop:
    """Read the data, draw the stream and make the learner: all that can go wrong before training.

    Args:
        spec: One experiment with one seed.
        place: Where and how.
        device: Where tensors go.
        benchmark: As `check` made it of this spec; None checks the spec here.

    Raises:
        SpecError: The spec is wrong.
        DataError: The data is missing or not what the benchmark needs, or a task has too few images for a batch.
        RunError: The device does not have the precision, or memory does not suffice.
    """
    benchmark = benchmark or check(spec)
    require_precision(spec.training.precision, device)
    with memory_for(lambda: "the images and the network", remedy="take fewer or smaller images, or a smaller network"):
        stream = benchmark.stream(
            stream_seed=spec.seeds.stream, data_seed=spec.seeds.data, data=place.data, device=device
        )
        learner = build_learner(spec, stream.outline, device=device, capture=place.capture)
    options = spec.evaluation
    evaluation = Evaluation(every=options.every, earlier_tasks=options.earlier_tasks, batch_size=options.batch_size)
    loop = Loop(learner, stream, epochs=spec.training.epochs, evaluation=evaluation)
    loop.check()
    return loop


def run(
    spec: Spec,
    place: Place | None = None,
    *,
    benchmark: AbstractBenchmark | None = None,
    inspect: Callable[[Outline], None] | None = None,
    started: Callable[[Started], None] | None = None,
    watch: Callable[[Event], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Result:
    """Run a spec to its end; go on where an earlier attempt stopped, or return its result.

    Args:
        spec: One experiment with one seed.
        place: Where and how.
        benchmark: As `check` made it of this spec; None checks the spec here.
        inspect: Called with the stream's outline before anything is written; what it raises refuses the run.
        started: Called once, before the first epoch.
        watch: Called with every event as it happens.
        stop: Asked after every epoch whether to stop there, such as `Signals.received`.

    Raises:
        SpecError: The spec is wrong.
        DataError: The data is missing or not what the benchmark needs.
        RunError: The folder cannot be used or is in use, a number is not finite, memory or disk do not suffice.
        RunStopped: `stop` said so; the run goes on when it is run again.
    """
    place = place or Place()
    device = choose_device(place.device)
    folder = RunFolder.of(spec, place.out)
    finished = folder.result()
    if finished is not None:
        if started is not None:
            started(_done(spec, folder, finished))
        return finished
    with ExitStack() as held:
        known = folder.path.is_dir()
        if known:  # whoever holds it is told before any data is read
            held.enter_context(exclusive(folder))
        loop = prepare(spec, place, device=device, benchmark=benchmark)
        (inspect or _ignore)(loop.stream.outline)
        folder.create(spec)
        if not known:
            held.enter_context(exclusive(folder))
        result = _attempt(
            spec,
            place,
            folder=folder,
            loop=loop,
            started=started or _ignore,
            watch=watch or _ignore,
            stop=stop or _never,
        )
        folder.write_json(folder.result_path, result.model_dump())
    return result


def _attempt(
    spec: Spec,
    place: Place,
    *,
    folder: RunFolder,
    loop: Loop,
    started: Callable[[Started], None],
    watch: Callable[[Event], None],
    stop: Callable[[], bool],
) -> Result:
    """Go on from the last checkpoint to the end."""
    device, checkpoint = choose_device(place.device), read_checkpoint(folder)
    network, stream = NETWORKS[spec.network.name], loop.stream
    suited = suited_threads(network.multiply_adds(stream.outline.shape))
    data = None if place.data is None else str(place.data.resolve())
    facts = {"fingerprint": stream.fingerprint, "data": data, "layers": network.summary}
    keep_freed_memory()
    with torch_threads(place.threads or threads_before(folder, checkpoint) or suited):
        keep_stream(folder, stream)
        restore(loop, folder, checkpoint)
        warnings = note_attempt(folder, checkpoint, here=describe(device, captured=place.capture), facts=facts)
        started(_start(spec, folder, loop, warnings))
        checkpoints = Checkpoints(folder, every=place.checkpoint_every, resumed=checkpoint)
        with arithmetic(spec.training.precision, device):
            follow(loop, folder, checkpoints, watch=watch, stop=stop)
    return summarize(spec, loop, device=device)


def _done(spec: Spec, folder: RunFolder, result: Result) -> Started:
    """What is known of a run that is done."""
    tasks = len(result.tasks)
    return Started(folder=folder.path, spec=spec, num_tasks=tasks, epochs=0, resumed=0, done=True)


def _start(spec: Spec, folder: RunFolder, loop: Loop, warnings: list[str]) -> Started:
    """What is known before the first epoch."""
    tasks = loop.history.tasks
    return Started(
        folder=folder.path,
        spec=spec,
        num_tasks=len(loop.stream),
        epochs=loop.total,
        resumed=loop.history.num_epochs,
        done=False,
        task=tasks[-1].task if tasks else None,
        warnings=warnings,
    )


def _ignore(told: object) -> None:
    """For whoever does not watch."""
    del told


def _never() -> bool:
    """For whoever does not stop a run."""
    return False
