"""Memory that is available on a machine and in the control groups that limit a process."""

import pytest
import torch

from lasem import memory
from lasem.memory import available_memory

CPU = torch.device("cpu")
AVAILABLE = 64 * 1024


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with little memory; write the files of its control groups, given by path."""
    (tmp_path / "meminfo").write_text(f"MemTotal: 999999 kB\nMemAvailable:    {AVAILABLE // 1024} kB\n")
    monkeypatch.setattr(memory, "MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(memory, "GROUPS", tmp_path / "groups")

    def write(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write


@pytest.mark.usefixtures("machine")
def test_without_control_groups_all_that_the_system_counts_is_available():
    assert available_memory(CPU) == AVAILABLE


def test_available_is_what_a_group_or_one_above_it_leaves(machine):
    machine({"own": "0::/job/step\n", "groups/job/memory.max": "max\n"})
    assert available_memory(CPU) == AVAILABLE
    machine({"groups/job/memory.max": "9000\n", "groups/job/memory.current": "5000\n"})
    assert available_memory(CPU) == 4000
    machine({"groups/job/memory.stat": "anon 4000\ninactive_file 1000\n"})
    assert available_memory(CPU) == 5000


def test_available_is_what_a_group_of_the_older_version_leaves(machine):
    files = {"limit_in_bytes": "9000\n", "usage_in_bytes": "8000\n", "stat": "total_inactive_file 500\n"}
    group = {f"groups/memory/docker/memory.{name}": text for name, text in files.items()}
    machine({"own": "5:cpu,cpuacct:/docker\n4:memory:/docker\n"} | group)
    assert available_memory(CPU) == 1500


def test_a_group_without_readable_files_sets_no_limit(machine):
    machine({"own": "0::/job\n"})
    assert available_memory(CPU) == AVAILABLE
