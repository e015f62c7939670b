"""Small sweeps, and what must be equal where nothing but time may differ."""

from concurrent.futures import Future

import pytest
import torch

from lasem import load, records
from lasem.runs import RunOptions
from lasem.runs import run as run_spec
from lasem.sweeps import AbstractExecutor, AttemptOutcome, read_sweep

SET = """
[set]
benchmark.first_tasks = 2
benchmark.train_per_class = 10
benchmark.max_test = 30
network.name = "synthetic-3"
"""
TIMES = {"training_seconds": 0.0, "evaluation_seconds": 0.0, "cpu_seconds": 0.0, "seconds": 0.0}


@pytest.fixture(scope="session")
def small_sweep(tmp_path_factory):
    """Read a sweep of small runs from the text above its settings."""

    def read(text, *settings):
        path = tmp_path_factory.mktemp("sweeps") / "small.toml"
        path.write_text(text + SET, encoding="utf-8")
        return read_sweep(path, settings)

    return read


@pytest.fixture(scope="session")
def options_of():
    return lambda out: RunOptions(out=out, device="cpu")


class InThisProcess(AbstractExecutor):
    """Makes every attempt in this process, where no process needs to start."""

    name = "this process"

    def submit(self, attempt):
        outcome = Future()
        run_spec(attempt.spec, attempt.options)
        outcome.set_result(AttemptOutcome("done"))
        return outcome

    def stop(self, *, at_once):
        pass

    def close(self):
        pass


@pytest.fixture
def in_this_process():
    return InThisProcess()


@pytest.fixture(scope="session")
def run_all(options_of):
    """Make all runs of a sweep in this process, undisturbed."""

    def made(sweep, out):
        for planned in sweep.runs:
            run_spec(planned.spec, options_of(out))

    return made


def _what_a_run_left(folder):
    """Records and result without times, and every tensor of the checkpoint."""
    events, warnings = records.read_events(folder / "records.jsonl")
    assert not warnings
    plain = [event.model_copy(update={k: v for k, v in TIMES.items() if hasattr(event, k)}) for event in events]
    learned = load(folder)
    return plain, learned.result.model_copy(update={"seconds": None}), learned.learner.state().tensors


@pytest.fixture(scope="session")
def assert_same_runs():
    """All runs of a sweep are complete in both folders, and equal but for times."""

    def compare(sweep, one, other):
        for run in sweep.runs:
            events, result, tensors = _what_a_run_left(one / run.spec.folder)
            others, other_result, other_tensors = _what_a_run_left(other / run.spec.folder)
            assert result.complete
            assert (others, other_result) == (events, result)
            assert other_tensors.keys() == tensors.keys()
            assert all(torch.equal(other_tensors[name], tensor) for name, tensor in tensors.items())

    return compare
