"""Exported networks answer like the run, from the same pixels, in the programs that read them."""

import base64
import json
import logging
import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
import torch

from lasem import cli
from lasem.benchmarks import PixelScaling, Preprocessing, Transform
from lasem.errors import LasemError, RunError, SpecError
from lasem.export import PixelNetwork, export_network, push_to_hub
from lasem.export import _export as exporting
from lasem.export import _onnx as exporting_onnx
from lasem.export._onnx import onnx_model, read_onnx
from lasem.learners import SelectiveTransfer, Training
from lasem.nn import Backbone
from lasem.runs import RunOptions, load, resolve, run
from lasem.search import Fixed
from lasem.testing import learn_task, make_task

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
SETTINGS = ["benchmark.first_tasks=3", "training.epochs=1", "network.name=synthetic-3", "benchmark.max_test=60"]


def trained(out, preset, *settings):
    spec = resolve(preset, [*SETTINGS, *settings])
    run(spec, RunOptions(out=out, device="cpu"))
    return load(out / spec.folder)


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """A run over tasks of which one has noise and one another order of pixels, with different numbers of classes."""
    return trained(tmp_path_factory.mktemp("runs"), "digits/lasem-hps", "training.learning_rate=0.01")


def pixels_of(learned, number=5):
    size = (number, *learned.image_shape)
    return torch.randint(0, 256, size, generator=torch.Generator().manual_seed(0)).float() / 255


def test_the_pixel_network_does_every_step_of_the_preprocessing():
    transform = Transform(rotation=90, permutation_seed=1, channel_order=(1, 2, 0), inverted=True)
    scaling = PixelScaling(low=-0.5, mean=(0.1, 0.2, 0.3), deviation=(1.0, 2.0, 3.0))
    steps = Preprocessing(shape=(3, 5, 5), scaling=scaling, transform=transform)
    pixels = torch.rand(4, 3, 5, 5)
    values = steps.apply(pixels)
    torch.testing.assert_close(PixelNetwork(torch.nn.Identity(), steps)(pixels), values)
    torch.testing.assert_close(steps.undo(values), pixels)


def test_onnx_of_all_tasks_answers_for_each_and_stores_shared_values_once(learned, tmp_path):
    made = export_network(learned, tmp_path / "all.onnx", task=None)
    assert made.difference < 1e-4
    assert made.images == 3 * 32
    session = runtime.InferenceSession(str(made.files[0]))
    for task in range(3):
        for number in (1, 7):
            pixels = pixels_of(learned, number)
            (logits,) = session.run(["logits"], {"images": pixels.numpy(), "task": np.asarray(task)})
            expected = learned.learner.logits(learned.preprocessing(task).apply(pixels), task)
            torch.testing.assert_close(torch.from_numpy(logits), expected, rtol=0, atol=1e-4)
    model = onnx.load(made.files[0])
    onnx.checker.check_model(model)
    about = json.loads({entry.key: entry.value for entry in model.metadata_props}["lasem"])
    assert [task["classes"] for task in about["tasks"]] == [learned.class_names(task) for task in range(3)]
    assert about["tasks"][1]["preprocessing"] == learned.preprocessing(1).describe()
    stored = [value.name for value in model.graph.initializer]
    assert len(stored) == len(set(stored))
    assert "site-packages" not in str(model)  # nothing of the machine that exports


@pytest.mark.parametrize("form", ["safetensors", "torch-export"])
def test_other_formats_answer_and_describe_themselves(learned, tmp_path, form):
    made = export_network(learned, tmp_path / "network", task=1, form=form)
    pixels, text = pixels_of(learned), made.files[1].read_text()
    expected = learned.learner.logits(learned.preprocessing(1).apply(pixels), 1)
    if form == "torch-export":
        extra = {"description.json": ""}
        found = torch.export.load(str(made.files[0]), extra_files=extra).module()(pixels)
        assert json.loads(extra["description.json"])["tasks"] == json.loads(text)["tasks"]
    else:
        from safetensors.torch import load_file

        values = load_file(made.files[0])
        network = PixelNetwork(learned.network(1), learned.preprocessing(1))
        assert {f"task.1.{name}" for name in network.state_dict()} == set(values)
        found = torch.func.functional_call(
            network, {k.removeprefix("task.1."): v for k, v in values.items()}, (pixels,)
        )
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_the_model_card_has_share_map_spec_hash_and_measures(learned, tmp_path):
    card = export_network(learned, tmp_path / "n.safetensors", task=None, form="safetensors").files[2].read_text()
    for bits in learned.result.configurations:
        assert f"| {''.join(map(str, bits))} |" in card
    assert learned.spec.digest in card
    assert learned.spec.toml().strip() in card
    assert f"{learned.result.final_accuracy:.1%}" in card
    assert "are yours to apply before the first layer" in card
    assert "All that follows is inside the network" not in card


def test_exporters_warn_of_nothing_that_a_user_could_mend():
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    before = logger.getEffectiveLevel()
    with exporting_onnx._quiet():
        assert not logger.isEnabledFor(logging.WARNING)
    assert logger.getEffectiveLevel() == before


def test_a_file_whose_answers_differ_is_not_kept(learned, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "pixel_network", lambda run, task: PixelNetwork(run.network(0), None))
    with pytest.raises(RunError, match="must answer like the run"):
        export_network(learned, tmp_path / "n.safetensors", task=1, form="safetensors")
    assert not [*tmp_path.iterdir()]


def test_what_cannot_be_exported_is_refused(learned, tmp_path, monkeypatch):
    with pytest.raises(SpecError, match="torch-export takes one task"):
        export_network(learned, tmp_path / "n", task=None, form="torch-export")
    for form, name, words in (
        ("onnx", "n.pth", r"must end in \.onnx \(got 'n\.pth'\); name it n\.onnx"),
        ("safetensors", "n.onnx", r"must end in \.safetensors .*; set --format onnx, or name it n\.safetensors"),
    ):
        with pytest.raises(SpecError, match=words):
            export_network(learned, tmp_path / name, task=0, form=form)
    assert not [*tmp_path.iterdir()]
    with pytest.raises(LasemError, match="from 0 to 2"):
        export_network(learned, tmp_path / "n", task=3)
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(RunError, match=r"onnxruntime must be installed .* pip install 'lasem\[export\]'"):
        export_network(learned, tmp_path / "n", task=0)


class FakeHub(BaseHTTPRequestHandler):
    """Answers like the hub to the three requests of an upload, and keeps what was sent."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen[self.path] = body
        if "/preupload/" in self.path:
            files = [{"path": file["path"], "uploadMode": "regular"} for file in json.loads(body)["files"]]
            answer = {"files": [file | {"shouldIgnore": False, "oid": None} for file in files]}
        elif "/commit/" in self.path:
            answer = {"commitUrl": f"{self.server.address}/me/net/commit/1", "commitOid": "1", "success": True}
        else:
            answer = {"url": f"{self.server.address}/me/net", "name": "me/net", "id": "1"}
        content = json.dumps(answer).encode()
        self.send_response(403 if self.server.refuses else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub():
    server = HTTPServer(("127.0.0.1", 0), FakeHub)
    server.seen, server.refuses = {}, False
    server.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_export_is_pushed_to_the_hub_in_one_commit(learned, tmp_path, hub):
    made = export_network(learned, tmp_path / "n.safetensors", task=0, form="safetensors")
    url = push_to_hub(made.files, "me/net", token="hf_fake", endpoint=hub.address)
    assert url == f"{hub.address}/me/net/commit/1"
    (commit,) = (body for path, body in hub.seen.items() if "/commit/" in path)
    sent = {}
    for line in map(json.loads, commit.splitlines()):
        if line["key"] == "file":
            sent[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
    names = ["n.safetensors", "n.safetensors.json", "README.md"]
    assert sent == {name: file.read_bytes() for name, file in zip(names, made.files, strict=True)}
    hub.refuses = True
    with pytest.raises(RunError, match="the hub must accept the files for 'me/net'"):
        push_to_hub(made.files, "me/net", token="hf_fake", endpoint=hub.address)


def test_the_command_writes_and_tells_the_difference(learned, tmp_path, capsys):
    folder = tmp_path / "run"
    with pytest.raises(SpecError, match="--task must be a number from 0, or all"):
        cli.app(["export-network", str(folder), "--task", "x", "--out", "n"], standalone_mode=False)


@pytest.mark.slow
@pytest.mark.parametrize("learner", ["lasem-tf", "lasem-dfcnn", "snn", "prognn", "den", "apd", "ewc", "gating", "stl"])
def test_every_learner_exports_to_onnx(tmp_path, learner, capsys):
    learned = trained(tmp_path, f"digits/{learner}", "benchmark.first_tasks=2")
    folder = tmp_path / learned.spec.folder
    words = ["export-network", str(folder), "--task", "1", "--out", str(tmp_path / "n.onnx")]
    cli.app(words, standalone_mode=False)
    assert re.search(r"its logits differ by at most \d\.\de-\d\d", capsys.readouterr().out)


@pytest.mark.slow
def test_a_network_with_batch_norm_exports_to_onnx(tmp_path):
    learned = trained(tmp_path, "digits/lasem-hps", "network.name=resnet-18-bn", "learner.strategy=fixed")
    assert export_network(learned, tmp_path / "n.onnx", task=2).difference < 1e-3


class Residual(torch.nn.Module):
    """A block with batch norm and a residual connection, as libraries have them."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = torch.nn.Conv2d(8, 8, 3, 1, 1), torch.nn.BatchNorm2d(8)

    def forward(self, x):
        return torch.relu(x + self.norm(self.conv(x)))


class Library(torch.nn.Module):
    """A network of such a block, and a classifier."""

    def __init__(self):
        super().__init__()
        self.stem, self.block, self.last = torch.nn.Conv2d(3, 8, 3, 2, 1), Residual(), torch.nn.Conv2d(8, 8, 3, 2, 1)
        self.fc = torch.nn.Linear(8, 10)

    def forward(self, x):
        return self.fc(self.last(self.block(self.stem(x))).mean((2, 3)))


@pytest.mark.slow
@pytest.mark.parametrize("bits", ["000", "101", "111"])
def test_backbones_cut_out_of_other_networks_export_to_onnx(bits):
    backbone = Backbone.of(Library(), stages=["stem", "block", "last"], shape=(3, 16, 16), own="copy")
    learner = SelectiveTransfer(backbone, Fixed(bits), training=Training(batch_size=4))
    learn_task(learner, make_task(shape=(3, 16, 16), identity=0), epochs=1)
    answer = read_onnx(onnx_model([learner.network(0)], (3, 16, 16)).SerializeToString(), with_task=False)
    images = torch.rand(3, 3, 16, 16)
    torch.testing.assert_close(answer(images, 0), learner.logits(images, 0), rtol=1e-4, atol=1e-4)
