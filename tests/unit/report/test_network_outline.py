import json

import pytest
from run_folders import task_events, write_learner, write_run

from lasem.errors import ReportError
from lasem.nn import NETWORKS
from lasem.report import collect
from lasem.report._network_outline import network_outline


def told(network, shape):
    """What a runner writes of a network."""
    return {"layers": LAYERS_OF(network, shape), "hidden": list(network.hidden)}


def drawn(folder, environment, *, shape=(3, 32, 32), partition=""):
    extra = f'\n[search]\npartition = "{partition}"\n' if partition else ""
    write_learner(folder, "lasem-hps", strategy="em", extra=extra)
    (path,) = folder.iterdir()
    (path / "environment.json").write_text(json.dumps(environment))
    (path / "stream.json").write_text(json.dumps({"outline": {"shape": shape, "classes": [10, 10]}}))
    return network_outline(collect([folder])[0])


def test_layers_belong_to_the_groups_of_the_partition(tmp_path):
    found = drawn(tmp_path, told(NETWORKS["cifar-4"], (3, 32, 32)), partition="{2,4},{1},{3}")
    assert [layer.group for layer in found.layers] == [0, 1, 2, 1]
    assert found.groups == ["1", "2, 4", "3"]


def test_blocks_count_two_convolutions_of_the_partition(tmp_path):
    found = drawn(tmp_path, told(NETWORKS["resnet-18-bn"], (3, 32, 32)), partition="{1-5},{6-9},{10-13},{14-17}")
    assert [layer.group for layer in found.layers] == [0, 0, 0, 1, 1, 2, 2, 3, 3]
    assert found.groups == ["1-5", "6-9", "10-13", "14-17"]


def test_without_the_line_a_network_is_its_decided_layers(finished):
    found = network_outline(collect([finished])[0])
    assert [layer.text for layer in found.layers] == ["", ""]
    assert (found.size, found.head) == (None, [])


def test_a_run_that_tells_nothing_of_its_layers_is_refused(tmp_path):
    folder = write_run(tmp_path / "run", [next(task_events(0))])
    with pytest.raises(ReportError, match=r"environment\.json"):
        network_outline(collect([folder])[0])
