"""Sweeps as jobs of submitit, on its executor for this machine; there is no SLURM here."""

import os
import signal
import sys
import threading
import time

import pytest

from lasem.errors import RunError
from lasem.runs import RunFolder, holder
from lasem.sweeps import StatusReader, SweepFolder, execute, on_slurm

pytest.importorskip("submitit", reason="submitit is not installed: pip install 'lasem[slurm]'")
PATIENCE = 240


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """An executor whose jobs are processes of this machine."""
    from lasem.sweeps import _slurm

    monkeypatch.setattr(_slurm, "POLL", 0.2)
    return on_slurm(tmp_path / "jobs", cluster="local", options={"partition": "cpu"})


def wait_for(condition):
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, condition
        time.sleep(0.02)
    return found


def test_a_job_that_is_killed_is_submitted_again_and_ends_as_if_undisturbed(
    jobs, small_sweep, options_of, run_all, tmp_path, assert_same_runs
):
    sweep, out = small_sweep('presets = ["digits/hps"]\n', "training.epochs=60"), tmp_path / "disturbed"
    folder = RunFolder(out / sweep.runs[0].spec.folder)

    def kill():
        os.kill(wait_for(lambda: folder.records_size and holder(folder)).pid, signal.SIGKILL)

    killer, heard = threading.Thread(target=kill), []
    killer.start()
    execute(sweep, options_of(out), jobs, watch=heard.append)
    killer.join()
    assert [(ending.kind, ending.attempt) for ending in heard] == [("died", 1), ("done", 2)]
    run_all(sweep, tmp_path / "undisturbed")
    assert_same_runs(sweep, tmp_path / "undisturbed", out)


def test_a_signal_lets_jobs_end_after_their_epoch(jobs, small_sweep, options_of, tmp_path):
    sweep = small_sweep('presets = ["digits/hps"]\n', "training.epochs=100000")
    folder = RunFolder(tmp_path / sweep.runs[0].spec.folder)

    def interrupt():
        wait_for(lambda: folder.records_size)
        os.kill(os.getpid(), signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        execute(sweep, options_of(tmp_path), jobs)
    interrupter.join()
    assert [ending.kind for ending in SweepFolder.of(sweep.name, tmp_path).endings().values()] == ["stopped"]
    wait_for(lambda: holder(folder) is None)
    assert [status.state for status in StatusReader(sweep, tmp_path).read()] == ["interrupted"]


def test_without_a_cluster_the_remedy_is_named(tmp_path):
    with pytest.raises(RunError, match=r"must find the command sbatch .*; log in to a SLURM cluster"):
        on_slurm(tmp_path)


def test_without_submitit_the_remedy_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "submitit", None)
    monkeypatch.delitem(sys.modules, "lasem.sweeps._slurm", raising=False)
    with pytest.raises(RunError, match=r"--slurm must find submitit .*; pip install 'lasem\[slurm\]'"):
        on_slurm(tmp_path)
