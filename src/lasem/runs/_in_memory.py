"""Learning in memory: a learner and a stream, without a spec and without files."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import tomli_w
import torch

from lasem.benchmarks import TaskStream
from lasem.errors import RunError, require
from lasem.files import reading, write_atomically, writing
from lasem.learners import AbstractLearner, Training
from lasem.nn import Backbone
from lasem.records import Event, Measures, Result, line
from lasem.runs._environment import describe, suited_threads, torch_threads
from lasem.runs._evaluation import Evaluation
from lasem.runs._folder import RunFolder
from lasem.runs._loop import Loop
from lasem.runs._options import RunOptions
from lasem.runs._result import result_of
from lasem.runs._stream_file import describe_stream


@dataclass(frozen=True)
class Outcome:
    """The outcome of `learn`: the measures, the configurations, and the events they come from.

    Attributes:
        measures: All measures, with the names that ``result.json`` has.
        configurations: Configuration of each task, one digit per stage; None for learners without.
        events: What happened, in order.
        description: What `save` writes besides: the result, the settings, the stream and the environment.
    """

    measures: Measures
    configurations: list[list[int] | None]
    events: list[Event]
    description: "Description" = field(repr=False)

    def __repr__(self) -> str:
        """Return a line about the outcome, without its events."""
        final, ratio = self.measures.final_accuracy, self.measures.forgetting_ratio.mean
        texts = [f"{len(self.configurations)} tasks"]
        texts += [] if final is None else [f"final accuracy {final:.1%}"]
        texts += [] if ratio is None else [f"forgetting ratio {ratio:.3f}"]
        return f"Outcome({', '.join([*texts, f'{len(self.events)} events'])})"

    def save(
        self,
        folder: str | Path,
        *,
        learner: str | None = None,
        benchmark: str = "stream",
        network: str = "network",
        seed: int = 0,
    ) -> Path:
        """Save the outcome as a run folder, which `lasem show`, `table`, `figure`, `report` and `export` read.

        The learner itself is not saved, so `lasem.load` does not read the folder. Save the outcomes of several seeds
        under the same names, and they are compared as one experiment.

        Args:
            folder: A folder that does not exist yet, or is empty.
            learner: Name of the learner in tables; the name of its class where omitted.
            benchmark: Name of the stream. Outcomes are compared where it is equal.
            network: Name of the network.
            seed: Seed of this outcome, by which repetitions of one experiment differ.

        Raises:
            RunError: The folder contains something, or cannot be written.
        """
        place = RunFolder(Path(folder))
        with reading(place.path):
            if place.path.exists() and (not place.path.is_dir() or any(place.path.iterdir())):
                raise RunError(f"an outcome must be saved in a new folder (got {place.path}); name another one")
        told = self.description
        called = {"learner": learner or told.result.learner, "benchmark": benchmark, "network": network}
        name = f"{called['benchmark']}/{called['learner']}"
        result = Result.model_validate(told.result.model_dump() | called | {"name": name, "seed": seed})
        sections = {key: {"name": value} for key, value in called.items()}
        sections["learner"] |= {"kind": told.result.learner}  # no kind of the registry: what it did is not known
        spec = {"name": name, **sections, **told.settings, "seeds": {"stream": 0, "data": seed, "training": seed}}
        with writing(place.path):
            place.path.mkdir(parents=True, exist_ok=True)
        write_atomically(place.spec_path, tomli_w.dumps(spec).encode())
        place.write_json(place.environment_path, told.environment)
        place.write_json(place.stream_path, told.stream)
        write_atomically(place.records_path, "".join(map(line, self.events)).encode())
        place.write_json(place.result_path, result.model_dump())
        return place.path


@dataclass(frozen=True)
class Description:
    """What is known of a learner and a stream without a spec.

    Attributes:
        result: The result, with the kind of the learner in place of names.
        settings: Sections of a spec: how the learner was trained and measured.
        stream: What the stream is made of, as ``stream.json`` has it.
        environment: Versions, device and threads, as ``environment.json`` has them.
    """

    result: Result
    settings: Mapping[str, Mapping[str, object]]
    stream: Mapping[str, object]
    environment: Mapping[str, str | int]


def learn(
    learner: AbstractLearner,
    stream: TaskStream,
    *,
    epochs: int,
    evaluation: Evaluation | None = None,
    watch: Callable[[Event], None] | None = None,
    progress: bool = False,
    threads: int = 0,
) -> Outcome:
    """Learn all tasks of a stream in order.

    Args:
        learner: A new learner.
        stream: Tasks in order.
        epochs: Number of epochs per task.
        evaluation: What is measured, and when.
        watch: Called with every event as it happens.
        progress: Whether to show a live display in a terminal or a notebook, and plain lines elsewhere.
        threads: Number of CPU threads while it learns; afterwards torch has as many as before. 0 chooses as the command
            line does: one for a small network, for which more are slower, and else as many as torch has. A learner
            whose `backbone` is no `Backbone` gets as many as torch has. Another number may change the last bits.

    Raises:
        DataError: A task has too few images for a batch.
        RunError: The learner is not new, a number is not finite, or memory does not suffice.
        SpecError: The stream is no `TaskStream`, or the number of threads is impossible on this machine.
    """
    require(
        isinstance(stream, TaskStream),
        "stream must be a TaskStream",
        remedy="make one by TaskStream.of(tasks)",
        stream=type(stream).__name__,
    )
    loop = Loop(learner, stream, epochs=epochs, evaluation=evaluation or Evaluation())
    events: list[Event] = []
    watchers = [events.append, *([] if watch is None else [watch])]
    with ExitStack() as stack:
        stack.enter_context(torch_threads(RunOptions(threads=threads).threads or _suited(learner)))
        if progress:
            watchers.append(stack.enter_context(_display(loop)))
        for event in loop.run():
            for hear in watchers:
                hear(event)
        description = _describe(loop)
    result = description.result
    return Outcome(
        measures=Measures(**{name: getattr(result, name) for name in Measures.model_fields}),
        configurations=loop.history.configurations,
        events=events,
        description=description,
    )


@contextmanager
def _display(loop: Loop) -> Iterator[Callable[[Event], None]]:
    """Show how a loop proceeds, by events that the function gets."""
    from lasem.runs.sinks import ProgressDisplay

    display = ProgressDisplay()
    display.open(type(loop.learner).__name__, num_tasks=len(loop.stream), epochs=loop.total)
    try:
        yield display.event
    finally:
        display.ended()


def _suited(learner: AbstractLearner) -> int:
    """Return the number of threads that suits a learner's network."""
    backbone = getattr(learner, "backbone", None)
    if isinstance(backbone, Backbone) and next(backbone.parameters()).device.type == "cpu":
        return suited_threads(sum(backbone.multiply_adds()))
    return torch.get_num_threads()


def _describe(loop: Loop) -> Description:
    """Return what is known of a loop that has ended."""
    device = loop.stream[0].test.images.device
    options: Any = loop.learner.training
    training = (asdict(options) if isinstance(options, Training) else {}) | {"epochs": loop.epochs}
    return Description(
        result=result_of(loop, device=str(device)),
        settings={"training": _plain(training), "evaluation": _plain(asdict(loop.evaluation))},
        stream=describe_stream(loop.stream),
        environment=describe(device, captured=False),
    )


def _plain(options: Mapping[str, object]) -> dict[str, object]:
    """Return the options that TOML can hold as they are; what is None has no place there."""
    return {key: value for key, value in options.items() if isinstance(value, bool | int | float | str)}
