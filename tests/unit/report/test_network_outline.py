import json
from itertools import pairwise

import pytest
from run_folders import task_events, write_learner, write_run

from lasem.errors import ReportError
from lasem.nn import NETWORKS
from lasem.report import collect
from lasem.report.figures._network_figure import network_outline


def drawn(folder, environment, *, shape=(3, 32, 32), partition=""):
    extra = f'\n[search]\npartition = "{partition}"\n' if partition else ""
    write_learner(folder, "lasem-hps", strategy="em", extra=extra)
    (path,) = folder.iterdir()
    (path / "environment.json").write_text(json.dumps(environment))
    (path / "stream.json").write_text(json.dumps({"outline": {"shape": shape, "classes": [10, 10]}}))
    return network_outline(collect([folder])[0])


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_is_read_from_what_a_run_tells(tmp_path, name):
    network = NETWORKS[name]
    found = drawn(tmp_path, {"layers": network.layers_table()})
    shapes = [(3, 32, 32)]
    for row in network.layers:
        shapes.append(row.output_shape(shapes[-1]))
    assert [found.size, *(layer.size for layer in found.layers)] == [shape[1] for shape in shapes]
    assert [layer.convolutions for layer in found.layers] == [row.convolutions for row in network.layers]
    assert all(str(row.channels) in layer.text for row, layer in zip(network.layers, found.layers, strict=True))
    assert [layer.skip for layer in found.layers] == [
        i in {s.end for s in network.skips} for i in range(len(found.layers))
    ]
    assert [bool(layer.reduction) for layer in found.layers] == [
        before[1] > after[1] for before, after in pairwise(shapes)
    ]
    assert found.head == [*map(str, network.hidden), "10 classes"]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_line_that_earlier_versions_kept_is_shown_as_text(tmp_path, name):
    network = NETWORKS[name]
    found = drawn(tmp_path, {"layers": network.summary})
    assert [layer.text for layer in found.layers] == [row.summary for row in network.layers]
    assert [layer.convolutions for layer in found.layers] == [row.convolutions for row in network.layers]
    assert found.head == [*map(str, network.hidden), "10 classes"]


def test_layers_belong_to_the_groups_of_the_partition(tmp_path):
    found = drawn(tmp_path, {"layers": NETWORKS["cifar-4"].layers_table()}, partition="{2,4},{1},{3}")
    assert [layer.group for layer in found.layers] == [0, 1, 2, 1]
    assert found.groups == ["1", "2, 4", "3"]


def test_blocks_count_two_convolutions_of_the_partition(tmp_path):
    found = drawn(
        tmp_path, {"layers": NETWORKS["resnet-18-bn"].layers_table()}, partition="{1-5},{6-9},{10-13},{14-17}"
    )
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
