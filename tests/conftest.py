"""Fixtures of all tests; the toys that they give stand in toys.py."""

import os

import hypothesis
import pytest
import torch

import toys

# No test reads data from the network, and one that asks for it is answered at once. `datasets` reads this on import.
os.environ["HF_DATASETS_OFFLINE"] = "1"

# A busy machine may take any time for an example.
hypothesis.settings.register_profile("lasem", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("lasem")


@pytest.fixture(scope="session", autouse=True)
def single_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def dataset_cache(tmp_path_factory):
    """Let `datasets` write its cache to a folder of this session, instead of the user's."""
    import datasets

    # The workers of one session share it, so that each data set is converted once.
    session = (
        tmp_path_factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else tmp_path_factory.mktemp("c")
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", session / "datasets")
        yield


@pytest.fixture(scope="session")
def make_task():
    return toys.make_task


@pytest.fixture(scope="session")
def make_backbone():
    return toys.make_backbone


@pytest.fixture(scope="session")
def values_of():
    return toys.values_of
