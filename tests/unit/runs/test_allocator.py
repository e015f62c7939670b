import subprocess
import sys
import sysconfig

import pytest

FAULTS = """
import resource, torch
from lasem.runs import keep_freed_memory
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(2**24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
given_back = faults()
assert keep_freed_memory()
faults()
print(given_back, faults())
"""


@pytest.mark.skipif("gnu" not in str(sysconfig.get_config_var("MULTIARCH")), reason="needs glibc")
def test_freed_pages_are_used_again():
    """64 MiB ten times: without it every page is a fault of its own."""
    told = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True).stdout
    given_back, kept = map(int, told.split())
    assert kept < 100
    assert given_back > 1000
