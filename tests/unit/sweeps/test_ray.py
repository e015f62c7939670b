"""A sweep on a real Ray cluster of two nodes, one of which is lost."""

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from lasem.errors import RunError
from lasem.runs import RunFolder, holder
from lasem.sweeps import StatusReader, SweepFolder, execute, on_ray

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'lasem[ray]'")
PATIENCE = 900
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
QUICK = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 4}
"""A lost node is noticed after seconds instead of half a minute."""


@pytest.fixture(scope="module")
def cluster():
    """Two nodes of one core on this machine."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        cluster = Cluster(
            initialize_head=True, head_node_args={**NODE, "include_dashboard": False, "_system_config": QUICK}
        )
        cluster.add_node(**NODE)
        yield cluster
        ray.shutdown()
        cluster.shutdown()


def wait_for_epochs(sweep, out, number):
    """Wait until so many runs have learned for a while."""
    end = time.monotonic() + PATIENCE
    records = [out / run.spec.folder / "records.jsonl" for run in sweep.runs]
    while sum(path.exists() and path.stat().st_size > 0 for path in records) < number and time.monotonic() < end:
        time.sleep(0.002)


def ancestors(pid):
    """Numbers of the processes above one, the nearest first."""
    found = []
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        found.append(pid)
    return found


def learning_on(node, sweep, out):
    """Wait until a run learns on a node, and return the number of its process."""
    (raylet,) = node.all_processes["raylet"]
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        for folder in (RunFolder(out / run.spec.folder) for run in sweep.runs):
            at_work = holder(folder)
            try:
                if at_work and folder.records_path.stat().st_size and raylet.process.pid in ancestors(at_work.pid):
                    return at_work.pid
            except FileNotFoundError:  # it has no record yet, or has just ended
                pass
        time.sleep(0.002)
    raise AssertionError(f"no run learned on the node within {PATIENCE} s")


@pytest.mark.slow
def test_a_sweep_that_loses_a_node_ends_as_if_undisturbed(
    cluster, small_sweep, options_of, run_all, tmp_path, assert_same_runs
):
    sweep = small_sweep('presets = ["digits/lasem-hps", "digits/hps"]\n', "training.epochs=60")

    noticed, heard = threading.Event(), []

    def lose_a_node():
        """The run is paused for as long as the loss is unnoticed, or it might end before."""
        (node,) = cluster.worker_nodes
        pid = learning_on(node, sweep, tmp_path / "disturbed")
        os.kill(pid, signal.SIGSTOP)
        cluster.remove_node(node, allow_graceful=False)
        noticed.wait(PATIENCE)
        with suppress(ProcessLookupError):  # Ray has ended it with the node
            os.kill(pid, signal.SIGCONT)

    def hear(ending):
        heard.append(ending)
        if ending.kind != "done":
            noticed.set()

    loser = threading.Thread(target=lose_a_node)
    executor = on_ray(cluster.address, cpus=1)
    loser.start()
    endings = execute(sweep, options_of(tmp_path / "disturbed"), executor, watch=hear)
    loser.join()
    lost = [ending for ending in heard if ending.kind != "done"]
    assert [(ending.kind, ending.final) for ending in lost] == [("died", False)]
    assert {ending.kind for ending in endings} == {"done"}
    assert not any(holder(RunFolder(tmp_path / "disturbed" / run.spec.folder)) for run in sweep.runs)
    run_all(sweep, tmp_path / "undisturbed")
    assert_same_runs(sweep, tmp_path / "undisturbed", tmp_path / "disturbed")


@pytest.mark.slow
def test_a_signal_lets_runs_on_a_cluster_end_after_their_epoch(cluster, small_sweep, options_of, tmp_path):
    sweep = small_sweep('presets = ["digits/hps", "digits/snn"]\n', "training.epochs=100000")

    def interrupt():
        wait_for_epochs(sweep, tmp_path, 1)
        os.kill(os.getpid(), signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    executor = on_ray(cluster.address, cpus=1)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        execute(sweep, options_of(tmp_path), executor)
    interrupter.join()
    endings = SweepFolder.of(sweep.name, tmp_path).endings().values()
    assert [(ending.kind, ending.final) for ending in endings] == [("stopped", True)] * 2
    states = [status.state for status in StatusReader(sweep, tmp_path).read()]
    assert states.count("interrupted") in (1, 2)  # as many as there are nodes
    assert states.count("waiting") == 2 - states.count("interrupted")
    left = [path.read_text().splitlines()[-1] for path in tmp_path.glob("*/records.jsonl")]
    assert all('"event":"interrupted","reason":"stopped"' in line for line in left)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "atuo", "127.0.0.1:port"])
def test_a_cluster_that_is_not_there_is_named(address):
    with pytest.raises(RunError, match=f"must name a running cluster .got '{address}'.*--ray auto"):
        on_ray(address)


def test_without_ray_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "lasem.sweeps._ray", raising=False)
    with pytest.raises(RunError, match=r"--ray must find Ray .*; pip install 'lasem\[ray\]'"):
        on_ray()
