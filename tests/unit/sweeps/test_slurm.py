"""Sweeps as jobs of submitit, on its executor for this machine; there is no SLURM here."""

import os
import signal
import sys
import threading
import time

import pytest

from lasem.errors import RunError
from lasem.runs import RunFolder, holder
from lasem.sweeps import StatusReader, execute, on_slurm

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


@pytest.mark.slow
def test_a_job_that_is_killed_is_submitted_again_and_a_signal_ends_it_after_its_epoch(
    jobs, small_sweep, options_of, run_all, tmp_path, assert_same_runs
):
    sweep, out = small_sweep('presets = ["digits/hps"]\n', "training.epochs=100"), tmp_path / "disturbed"
    folder, heard = RunFolder(out / sweep.runs[0].spec.folder), []

    def disturb():
        killed = wait_for(lambda: folder.records_size and holder(folder)).pid
        os.kill(killed, signal.SIGKILL)
        wait_for(lambda: heard and (next_holder := holder(folder)) and next_holder.pid != killed)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=disturb)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        execute(sweep, options_of(out), jobs, watch=heard.append)
    thread.join()
    assert [(ending.kind, ending.attempt) for ending in heard] == [("died", 1), ("stopped", 2)]
    wait_for(lambda: holder(folder) is None)
    assert [status.state for status in StatusReader(sweep, out).read()] == ["interrupted"]
    for folder_of_runs in (out, tmp_path / "undisturbed"):
        run_all(sweep, folder_of_runs)
    assert_same_runs(sweep, tmp_path / "undisturbed", out)


def test_without_a_cluster_the_remedy_is_named(tmp_path):
    with pytest.raises(RunError, match=r"must find the command sbatch .*; log in to a SLURM cluster"):
        on_slurm(tmp_path)


def test_without_submitit_the_remedy_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "submitit", None)
    monkeypatch.delitem(sys.modules, "lasem.sweeps._slurm", raising=False)
    with pytest.raises(RunError, match=r"--slurm must find submitit .*; pip install 'lasem\[slurm\]'"):
        on_slurm(tmp_path)
