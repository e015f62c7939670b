"""Executing a sweep: which attempts are made, in which order, and what is noted of them."""

import json
import os
import signal
from concurrent.futures import Future

import pytest

from lasem.errors import RunError
from lasem.runs import exclusive
from lasem.sweeps import AbstractExecutor, AttemptOutcome, StatusReader, SweepFolder, execute

THREE = 'presets = ["digits/stl", "digits/hps", "digits/snn"]\n'


class Scripted(AbstractExecutor):
    """Ends every attempt as a script says, by learner; without a word of it, well. Notes the order."""

    name = "a script"

    def __init__(self, **script):
        self.script = {learner: iter(kinds) for learner, kinds in script.items()}
        self.made, self.closed = [], False

    def submit(self, attempt):
        learner, outcome = attempt.spec.learner.name, Future()
        self.made.append((learner, attempt.number))
        kind = next(self.script.get(learner, iter(())), "done")
        outcome.set_result(AttemptOutcome(kind, None if kind == "done" else f"{learner} {kind}"))
        return outcome

    def stop(self, *, at_once):
        pass

    def close(self):
        self.closed = True


@pytest.fixture
def kinds_of(small_sweep, options_of, tmp_path):
    """Execute the three runs by a script: how each ended, and the attempts in order."""

    def executed(retries, **script):
        executor = Scripted(**script)
        endings = execute(small_sweep(THREE), options_of(tmp_path), executor, retries=retries)
        assert executor.closed
        return {ending.run.split("-")[1]: (ending.kind, ending.attempt) for ending in endings}, executor.made

    return executed


@pytest.mark.parametrize("kind", ["failed", "died", "stopped"])
def test_an_attempt_that_ends_badly_is_made_again_behind_the_others(kinds_of, kind):
    kinds, made = kinds_of(2, stl=[kind, kind])
    assert kinds == {"stl": ("done", 3), "hps": ("done", 1), "snn": ("done", 1)}
    assert made == [("stl", 1), ("hps", 1), ("snn", 1), ("stl", 2), ("stl", 3)]


def test_a_run_is_given_up_after_its_retries_and_the_sweep_goes_on(kinds_of, tmp_path):
    kinds, _ = kinds_of(1, stl=["died"] * 9)
    assert kinds == {"stl": ("died", 2), "hps": ("done", 1), "snn": ("done", 1)}
    lines = [json.loads(line) for line in (tmp_path / "sweeps/small/outcomes.jsonl").read_text().splitlines() if line]
    told = [(line["kind"], line["final"], line.get("error")) for line in lines if line["event"] == "ending"]
    assert ("died", False, "stl died") in told
    assert ("died", True, "stl died") in told
    assert len(told) == 4


def test_what_another_attempt_cannot_mend_is_not_attempted_again(kinds_of):
    kinds, made = kinds_of(5, hps=["refused"])
    assert kinds["hps"] == ("refused", 1)
    assert len(made) == 3


def test_what_is_done_is_not_attempted(small_sweep, options_of, run_all, tmp_path):
    sweep = small_sweep(THREE, "training.epochs=1")
    run_all(sweep, tmp_path)
    executor = Scripted()
    assert execute(sweep, options_of(tmp_path), executor) == []
    assert executor.made == []
    assert [status.state for status in StatusReader(sweep, tmp_path).read()] == ["done"] * 3


def test_a_sweep_is_executed_once_at_a_time(small_sweep, options_of, tmp_path):
    sweep, executor = small_sweep(THREE), Scripted()
    folder = SweepFolder.of(sweep.name, tmp_path)
    folder.create()
    with exclusive(folder), pytest.raises(RunError, match=f"process {os.getpid()} on"):
        execute(sweep, options_of(tmp_path), executor)
    assert executor.made == []
    assert executor.closed


def test_a_signal_ends_the_sweep_and_what_waits_is_not_begun(small_sweep, options_of, tmp_path):
    """The first attempt gets the signal; the two behind it wait, and are canceled."""

    class Signalled(Scripted):
        def submit(self, attempt):
            if not self.made:
                self.first = Future()
                self.made.append((attempt.spec.learner.name, attempt.number))
                return self.first
            if len(self.waiting) == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            self.waiting.append(Future())
            return self.waiting[-1]

        def stop(self, *, at_once):
            self.first.set_result(AttemptOutcome("stopped"))
            for future in self.waiting:
                future.cancel()

    executor, before = Signalled(), signal.getsignal(signal.SIGTERM)
    executor.waiting = []
    with pytest.raises(KeyboardInterrupt) as stop:
        execute(small_sweep(THREE), options_of(tmp_path), executor)
    assert stop.value.args == (signal.SIGTERM,)
    assert executor.made == [("stl", 1)]
    assert len(SweepFolder.of("small", tmp_path).endings()) == 1
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_run_that_ended_without_a_result_here_is_not_done(small_sweep, options_of, tmp_path):
    sweep = small_sweep(THREE)
    execute(sweep, options_of(tmp_path), Scripted())
    for status in StatusReader(sweep, tmp_path).read():
        assert status.state == "waiting"
        assert "storage that all machines share" in status.remark


def test_a_torn_line_of_outcomes_costs_no_other(small_sweep, options_of, tmp_path):
    sweep = small_sweep(THREE)
    execute(sweep, options_of(tmp_path), Scripted(), retries=0)
    folder = SweepFolder.of(sweep.name, tmp_path)
    whole = folder.outcomes_path.read_bytes()
    folder.outcomes_path.write_bytes(whole[:-20])
    execute(sweep, options_of(tmp_path), Scripted(), retries=0)
    assert len(folder.outcomes()) == 4 - 1 + 4
    assert len(folder.endings()) == 3


def test_whoever_reads_along_sees_what_a_reader_of_the_whole_sees(small_sweep, run_all, tmp_path):
    sweep = small_sweep('presets = ["digits/lasem-hps"]\n', "training.epochs=3")
    run_all(sweep, tmp_path)
    folder = tmp_path / sweep.runs[0].spec.folder
    whole = (folder / "records.jsonl").read_bytes()
    (folder / "result.json").unlink()
    along = StatusReader(sweep, tmp_path)
    cuts = [*range(0, len(whole), 97), len(whole), len(whole) // 2, len(whole)]  # grows, is cut, grows again
    seen = []
    for cut in cuts:
        (folder / "records.jsonl").write_bytes(whole[:cut])
        seen.append(along.read()[0])
        assert seen[-1] == StatusReader(sweep, tmp_path).read()[0]
    assert (seen[0].epoch, seen[0].accuracy) == (0, None)
    last = json.loads(whole.splitlines()[-1])
    assert seen[-1].accuracy == pytest.approx(sum(last["accuracy"]) / 2)
    assert (seen[-1].task, seen[-1].num_tasks, seen[-1].epoch, seen[-1].state) == (2, 2, 3, "interrupted")
