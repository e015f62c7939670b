import json
import os
import signal
import threading
import time

import pytest

from lasem.errors import RunError
from lasem.sweeps import AbstractExecutor, InProcess, SweepFolder, Watch, execute
from lasem.sweeps._executor import AttemptOutcome

THREE = 'presets = ["digits/stl", "digits/hps", "digits/snn"]\n'


class Scripted(AbstractExecutor):
    """Ends every attempt as a script says, by learner; without a word of it, well. Notes the order."""

    name = "a script"

    def __init__(self, **script):
        self.script = {learner: iter(kinds) for learner, kinds in script.items()}
        self.taken, self.made, self.closed = [], [], False

    free = property(lambda self: not self.taken)
    busy = property(lambda self: bool(self.taken))

    def start(self, attempt):
        self.taken.append(attempt)

    def wait(self, seconds):
        attempt = self.taken.pop()
        learner = attempt.spec.learner.name
        self.made.append((learner, attempt.number))
        kind = next(self.script.get(learner, iter(())), "done")
        return [(attempt, AttemptOutcome(kind, None if kind == "done" else f"{learner} {kind}"))]

    def stop(self, *, at_once):
        self.taken.clear()

    def close(self):
        self.closed = True


@pytest.fixture
def kinds_of(small_sweep, place_of, tmp_path):
    """Execute the three runs by a script: how each ended, and the attempts in order."""

    def executed(retries, **script):
        executor = Scripted(**script)
        endings = execute(small_sweep(THREE), place_of(tmp_path), executor, retries=retries)
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
    lines = [json.loads(line) for line in (tmp_path / "sweeps/small/outcomes.jsonl").read_text().splitlines()]
    told = [(line["kind"], line["final"], line.get("error")) for line in lines if line["event"] == "ending"]
    assert ("died", False, "stl died") in told
    assert ("died", True, "stl died") in told
    assert len(told) == 4


def test_what_another_attempt_cannot_mend_is_not_attempted_again(kinds_of):
    kinds, made = kinds_of(5, hps=["refused"])
    assert kinds["hps"] == ("refused", 1)
    assert len(made) == 3


def test_an_error_of_the_machine_may_mend_and_one_of_the_input_does_not(monkeypatch, small_sweep, place_of, tmp_path):
    from lasem.sweeps import _executor

    def run(spec, place, stop):
        cause = {"stl": MemoryError(), "hps": OSError(28, "full"), "snn": None}[spec.learner.name]
        raise RunError("no") from cause

    monkeypatch.setattr(_executor, "run", run)
    endings = execute(small_sweep(THREE), place_of(tmp_path), InProcess(), retries=1)
    assert [(ending.kind, ending.attempt) for ending in endings] == [("failed", 2), ("failed", 2), ("refused", 1)]


def test_a_sweep_in_one_process_runs_all_and_again_nothing(small_sweep, place_of, tmp_path):
    sweep = small_sweep(THREE, "training.epochs=2")
    heard = []
    endings = execute(sweep, place_of(tmp_path), InProcess(), watch=heard.append)
    assert heard == endings
    assert [ending.kind for ending in endings] == ["done"] * 3
    assert [standing.state for standing in Watch(sweep, tmp_path).standings()] == ["done"] * 3
    assert execute(sweep, place_of(tmp_path), Scripted()) == []


def test_a_run_with_bad_input_is_an_outcome_beside_the_others(small_sweep, place_of, tmp_path):
    sweep = small_sweep('presets = ["digits/stl"]\n[grid]\n"training.batch_size" = [1000, 10]\n', "training.epochs=1")
    large, small = execute(sweep, place_of(tmp_path), InProcess())
    assert (large.kind, large.attempt, small.kind) == ("refused", 1, "done")
    assert "1000 images" in large.error
    (failed, done) = Watch(sweep, tmp_path).standings()
    assert (failed.state, done.state) == ("failed", "done")
    assert "lower batch_size" in failed.remark


def test_an_exception_is_kept_with_where_it_came_from(monkeypatch, small_sweep, place_of, tmp_path):
    from lasem.sweeps import _executor

    monkeypatch.setattr(_executor, "run", lambda spec, place, stop: 1 // 0)
    (ending, *_) = execute(small_sweep(THREE), place_of(tmp_path), InProcess(), retries=0)
    assert ending.error == "ZeroDivisionError: integer division or modulo by zero"
    assert "test_execution.py" in ending.trace


def test_a_sweep_is_executed_once_at_a_time(small_sweep, place_of, tmp_path):
    sweep, executor = small_sweep(THREE), Scripted()
    folder = SweepFolder.of(sweep.name, tmp_path)
    with folder.execution():
        assert folder.executed_by().process == os.getpid()
        with pytest.raises(RunError, match=f"process {os.getpid()} on"):
            execute(sweep, place_of(tmp_path), executor)
    assert folder.executed_by() is None
    assert executor.made == []
    assert executor.closed


def test_a_signal_ends_the_sweep_and_what_waits_is_not_begun(small_sweep, place_of, tmp_path):
    class Signalled(Scripted):
        def wait(self, seconds):
            ended = super().wait(seconds)
            os.kill(os.getpid(), signal.SIGTERM)
            return ended

    executor, before = Signalled(), signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt) as stop:
        execute(small_sweep(THREE), place_of(tmp_path), executor)
    assert stop.value.args == (signal.SIGTERM,)
    assert executor.made == [("stl", 1)]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_run_that_ended_without_a_result_here_is_not_done(small_sweep, place_of, tmp_path):
    sweep = small_sweep(THREE)
    execute(sweep, place_of(tmp_path), Scripted())
    for standing in Watch(sweep, tmp_path).standings():
        assert standing.state == "waiting"
        assert "storage that all machines share" in standing.remark


def test_a_signal_ends_a_run_in_this_process_after_its_epoch(small_sweep, place_of, tmp_path):
    sweep = small_sweep(THREE, "training.epochs=1000")
    (first, *_) = (tmp_path / run.spec.folder / "records.jsonl" for run in sweep.runs)

    def interrupt():
        while not (first.exists() and first.stat().st_size):
            time.sleep(0.002)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        execute(sweep, place_of(tmp_path), InProcess())
    assert [standing.state for standing in Watch(sweep, tmp_path).standings()] == ["interrupted", "waiting", "waiting"]
    (ending,) = SweepFolder.of(sweep.name, tmp_path).endings().values()
    assert (ending.kind, ending.final) == ("stopped", True)


def test_a_torn_line_of_outcomes_costs_no_other(small_sweep, place_of, tmp_path):
    sweep = small_sweep(THREE)
    execute(sweep, place_of(tmp_path), Scripted(), retries=0)
    folder = SweepFolder.of(sweep.name, tmp_path)
    whole = folder.outcomes_path.read_bytes()
    folder.outcomes_path.write_bytes(whole[:-20])
    execute(sweep, place_of(tmp_path), Scripted(), retries=0)
    assert len(folder.outcomes()) == 4 - 1 + 4
    assert len(folder.endings()) == 3


def test_whoever_reads_along_sees_what_a_reader_of_the_whole_sees(small_sweep, place_of, tmp_path):
    sweep = small_sweep('presets = ["digits/lasem-hps"]\n', "training.epochs=3")
    execute(sweep, place_of(tmp_path), InProcess())
    folder = tmp_path / sweep.runs[0].spec.folder
    whole = (folder / "records.jsonl").read_bytes()
    (folder / "result.json").unlink()
    along = Watch(sweep, tmp_path)
    cuts = [*range(0, len(whole), 97), len(whole), len(whole) // 2, len(whole)]  # grows, is cut, grows again
    seen = []
    for cut in cuts:
        (folder / "records.jsonl").write_bytes(whole[:cut])
        seen.append(along.standings()[0])
        assert seen[-1] == Watch(sweep, tmp_path).standings()[0]
    assert (seen[0].epoch, seen[0].accuracy) == (0, None)
    last = json.loads(whole.splitlines()[-1])
    assert seen[-1].accuracy == pytest.approx(sum(last["accuracy"]) / 2)
    assert (seen[-1].task, seen[-1].num_tasks, seen[-1].epoch, seen[-1].state) == (2, 2, 3, "interrupted")
