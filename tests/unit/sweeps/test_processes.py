"""Sweeps in several processes, some of which are killed."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch

from lasem.sweeps import InProcess, ProcessPool, SweepFolder, Watch, execute

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
    name = sweep.runs[index].spec.folder
    records = out / name / "records.jsonl"
    return SweepFolder.of(sweep.name, out).attempted_by(name) if records.exists() and records.stat().st_size else None


@pytest.fixture(scope="module")
def undisturbed(small_sweep, place_of, tmp_path_factory):
    """A sweep of two runs, and the folder where one process has run it."""
    out, sweep = tmp_path_factory.mktemp("undisturbed"), small_sweep(TWO, EPOCHS)
    execute(sweep, place_of(out), InProcess())
    return sweep, out


def test_a_killed_process_takes_no_other_run_with_it_and_its_run_ends_as_if_undisturbed(
    undisturbed, place_of, tmp_path, assert_same_runs
):
    sweep, out = undisturbed

    def kill():
        os.kill(wait_for(lambda: holder_of_a_run(sweep, tmp_path, 0)).process, signal.SIGKILL)

    killer, heard = threading.Thread(target=kill), []
    killer.start()
    execute(sweep, place_of(tmp_path), ProcessPool(2, threads=1), watch=heard.append)
    killer.join()
    first, second = (run.spec.folder for run in sweep.runs)
    assert [(ending.kind, ending.attempt) for ending in heard if ending.run == first] == [("died", 1), ("done", 2)]
    assert [(ending.kind, ending.attempt) for ending in heard if ending.run == second] == [("done", 1)]
    assert "SIGKILL" in next(ending.error for ending in heard if ending.kind == "died")
    assert_same_runs(sweep, out, tmp_path)


def test_a_signal_ends_all_processes_and_the_same_command_goes_on(undisturbed, place_of, tmp_path, assert_same_runs):
    sweep, out = undisturbed

    def interrupt():
        wait_for(lambda: holder_of_a_run(sweep, tmp_path, 0) and holder_of_a_run(sweep, tmp_path, 1))
        os.kill(os.getpid(), signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        execute(sweep, place_of(tmp_path), ProcessPool(2, threads=1))
    interrupter.join()
    assert [standing.state for standing in Watch(sweep, tmp_path).standings()] == ["interrupted"] * 2
    execute(sweep, place_of(tmp_path), InProcess())
    assert_same_runs(sweep, out, tmp_path)


def test_a_killed_sweep_leaves_no_process_behind_and_the_same_command_goes_on(
    undisturbed, place_of, tmp_path, assert_same_runs
):
    sweep, out = undisturbed
    (tmp_path / "small.toml").write_text(
        f'presets = ["digits/lasem-hps", "digits/hps"]\n[set]\nbenchmark.first_tasks = 2\n'
        f'benchmark.train_per_class = 10\nbenchmark.max_test = 30\nnetwork.name = "synthetic-3"\n{EPOCHS}\n'
    )
    command = ["sweep", str(tmp_path / "small.toml"), "--workers", "2", "--out", str(tmp_path), "--device", "cpu"]
    process = subprocess.Popen([sys.executable, "-m", "lasem.cli", *command], stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: holder_of_a_run(sweep, tmp_path, 0) and holder_of_a_run(sweep, tmp_path, 1))
    finally:
        process.kill()
        process.wait()
    folder = SweepFolder.of(sweep.name, tmp_path)
    wait_for(lambda: not any(folder.attempted_by(run.spec.folder) for run in sweep.runs))
    assert {standing.state for standing in Watch(sweep, tmp_path).standings()} <= {"interrupted", "done"}
    execute(sweep, place_of(tmp_path), InProcess())
    assert_same_runs(sweep, out, tmp_path)


def test_the_cores_are_shared_out_among_the_workers(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    for workers, threads in ((2, 4), (3, 2), (8, 1), (20, 1)):
        assert ProcessPool(workers).threads == threads
    assert ProcessPool(2, threads=3).threads == 3
