"""Sweeps whose runs are processes of this machine, some of which are killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest
import torch

from lasem.runs import RunFolder, RunOptions, exclusive, holder
from lasem.sweeps import Attempt, LocalProcesses, StatusReader, SweepFolder, _attempt, execute
from lasem.sweeps._attempt import _outcome, command

TWO = 'presets = ["digits/lasem-hps", "digits/hps"]\n'
EPOCHS = "training.epochs=60"
PATIENCE = 240


def wait_for(condition):
    """What a condition gives once it holds."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, condition
        time.sleep(0.002)
    return found


def holder_of_a_run(sweep, out, index):
    """Who makes a run, once it has learned for a while; None before."""
    folder = RunFolder(out / sweep.runs[index].spec.folder)
    return holder(folder) if folder.records_size else None


@pytest.fixture(scope="module")
def undisturbed(small_sweep, run_all, tmp_path_factory):
    """A sweep of two runs, and the folder where nobody has disturbed them."""
    out, sweep = tmp_path_factory.mktemp("undisturbed"), small_sweep(TWO, EPOCHS)
    run_all(sweep, out)
    return sweep, out


@pytest.mark.slow
def test_a_killed_process_takes_no_other_run_with_it_and_its_run_ends_as_if_undisturbed(
    undisturbed, options_of, tmp_path, assert_same_runs
):
    sweep, out = undisturbed

    def kill():
        os.kill(wait_for(lambda: holder_of_a_run(sweep, tmp_path, 0)).pid, signal.SIGKILL)

    killer, heard = threading.Thread(target=kill), []
    killer.start()
    execute(sweep, options_of(tmp_path), LocalProcesses(2, threads=1), watch=heard.append)
    killer.join()
    first, second = (run.spec.folder for run in sweep.runs)
    assert [(ending.kind, ending.attempt) for ending in heard if ending.run == first] == [("died", 1), ("done", 2)]
    assert [(ending.kind, ending.attempt) for ending in heard if ending.run == second] == [("done", 1)]
    assert "SIGKILL" in next(ending.error for ending in heard if ending.kind == "died")
    assert_same_runs(sweep, out, tmp_path)


@pytest.mark.slow
def test_a_signal_ends_all_processes_and_the_sweep_goes_on(
    undisturbed, options_of, tmp_path, assert_same_runs, in_this_process
):
    sweep, out = undisturbed

    def interrupt():
        wait_for(lambda: holder_of_a_run(sweep, tmp_path, 0) and holder_of_a_run(sweep, tmp_path, 1))
        os.kill(os.getpid(), signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        execute(sweep, options_of(tmp_path), LocalProcesses(2, threads=1))
    interrupter.join()
    assert [status.state for status in StatusReader(sweep, tmp_path).read()] == ["interrupted"] * 2
    execute(sweep, options_of(tmp_path), in_this_process)
    assert_same_runs(sweep, out, tmp_path)


@pytest.mark.slow
def test_a_killed_sweep_leaves_no_process_behind_and_goes_on(
    undisturbed, small_sweep, options_of, tmp_path, assert_same_runs, in_this_process
):
    sweep, out = small_sweep('presets = ["digits/hps"]\n', EPOCHS), undisturbed[1]
    (tmp_path / "small.toml").write_text(
        f'presets = ["digits/hps"]\n[set]\nbenchmark.first_tasks = 2\n'
        f'benchmark.train_per_class = 10\nbenchmark.max_test = 30\nnetwork.name = "synthetic-3"\n{EPOCHS}\n'
    )
    command = ["sweep", str(tmp_path / "small.toml"), "--out", str(tmp_path), "--device", "cpu"]
    process = subprocess.Popen([sys.executable, "-m", "lasem.cli", *command], stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: holder_of_a_run(sweep, tmp_path, 0))
    finally:
        process.kill()
        process.wait()
    wait_for(lambda: holder(RunFolder(tmp_path / sweep.runs[0].spec.folder)) is None)
    assert {status.state for status in StatusReader(sweep, tmp_path).read()} <= {"interrupted", "done"}
    execute(sweep, options_of(tmp_path), in_this_process)
    assert_same_runs(sweep, out, tmp_path)


def test_the_cores_are_shared_out_among_the_workers(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    for workers, threads in ((2, 4), (3, 2), (8, 1), (20, 1)):
        assert LocalProcesses(workers).threads == threads
    assert LocalProcesses(2, threads=3).threads == 3


# One attempt


@pytest.fixture
def attempt_of(small_sweep, tmp_path):
    """The first attempt at a run of digits/hps, with its sweep's folder made."""

    def made(*settings, **options):
        sweep = small_sweep('presets = ["digits/hps"]\n', *settings)
        folder = SweepFolder.of(sweep.name, tmp_path)
        folder.create()
        return Attempt(sweep.runs[0].spec, RunOptions(out=tmp_path, device="cpu", **options), folder, number=1)

    return made


def test_a_run_with_bad_input_is_an_outcome(small_sweep, options_of, tmp_path):
    sweep = small_sweep('presets = ["digits/stl"]\n', "training.batch_size=1000")
    (ending,) = execute(sweep, options_of(tmp_path), LocalProcesses())
    assert (ending.kind, ending.attempt) == ("refused", 1)
    assert "at least one batch of training images, 1000 here (got 30 " in ending.error
    (failed,) = StatusReader(sweep, tmp_path).read()
    assert failed.state == "failed"
    assert "lower batch_size" in failed.remark


@pytest.mark.parametrize(
    ("status", "printed", "kind", "words"),
    [
        (0, "", "done", None),
        (2, "warning: slow\nerror: a batch must fit\n  lower it\n", "refused", "a batch must fit\n  lower it"),
        (75, "error: the disk must have space\n", "failed", "the disk must have space"),
        (130, "stopped after epoch 3", "stopped", None),
        (143, "", "stopped", None),
        (-9, "", "died", "the process was killed by SIGKILL; its output is in run.log"),
        (7, "", "died", "the process ended with status 7; its output is in run.log"),
    ],
)
def test_the_exit_status_says_how_an_attempt_ended(status, printed, kind, words):
    outcome = _outcome(status, printed, "run.log")
    assert (outcome.kind, outcome.error, outcome.trace) == (kind, words, None)


def test_an_exception_is_noted_with_its_traceback(attempt_of, monkeypatch, tmp_path):
    """A module of that name in front of the path makes the run raise."""
    (tmp_path / "filelock.py").write_text("1 // 0\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    outcome = _attempt.make_attempt(attempt_of())
    assert outcome.kind == "failed"
    assert outcome.error == "ZeroDivisionError: integer division or modulo by zero"
    assert outcome.trace.startswith("Traceback (most recent call last)")
    assert "filelock.py" in outcome.trace


def test_an_attempt_has_the_options_of_the_sweep(attempt_of, tmp_path):
    attempt = attempt_of(checkpoint_every=timedelta(minutes=5), threads=3, capture=True, data=tmp_path / "data")
    words = command(attempt)
    for name, value in {"--checkpoint-every": "300s", "--threads": "3", "--data": str(tmp_path / "data")}.items():
        assert words[words.index(name) + 1] == value
    assert "--capture" in words
    assert "--data" not in command(attempt_of())


def test_an_attempt_waits_for_the_process_of_an_earlier_one(attempt_of, monkeypatch):
    attempt = attempt_of("training.epochs=1")
    folder = RunFolder.of(attempt.spec, attempt.options.out)
    folder.create(attempt.spec)
    with exclusive(folder):
        monkeypatch.setattr(_attempt, "PATIENCE", 0.3)
        outcome = _attempt.make_attempt(attempt)
    assert outcome.kind == "refused"
    assert "another process" in outcome.error


def test_a_folder_is_held_only_as_long_as_its_process_lives(attempt_of, tmp_path):
    attempt = attempt_of()
    folder = RunFolder.of(attempt.spec, attempt.options.out)
    folder.create(attempt.spec)
    assert holder(folder) is None
    with exclusive(folder):
        assert holder(folder).pid == os.getpid()
        written = folder.holder_path.read_bytes()
    folder.holder_path.write_bytes(written)  # as a process that is killed leaves it
    assert holder(folder) is None
