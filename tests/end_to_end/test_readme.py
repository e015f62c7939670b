"""The README's first block of Python, run as it stands, and its commands in the order in which they stand."""

import os
import re
import shlex
import shutil
import sys
from functools import partial
from glob import glob
from pathlib import Path

import pytest
import torch

from lasem import cli
from lasem.report import watch_page
from lasem.runs import load
from toys import write_photos

README = Path(__file__).parents[2] / "README.md"
SHORT = ["--set", "training.epochs=2", "--set", "benchmark.first_tasks=2", "--set", "benchmark.max_test=30"]


def test_first_block_of_the_python_interface_learns_its_stream(capsys):
    text = README.read_text(encoding="utf-8").partition("## Python")[2]
    block = re.search(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    assert block is not None
    left: dict = {}
    exec(compile(block[1], str(README), "exec"), left)
    stream, outcome = left["stream"], left["outcome"]
    assert len(outcome.configurations) == len(stream)
    assert all(len(bits) == 3 and set(bits) <= {0, 1} for bits in outcome.configurations)
    assert outcome.measures.final_accuracy > 0.7
    assert left["classes"].shape == stream[0].test.labels.shape
    printed = capsys.readouterr().out
    for task, bits in zip(stream, outcome.configurations, strict=True):
        assert f"{task.name} shares layers {bits}" in printed
    assert f"accuracy at the end {outcome.measures.final_accuracy:.1%}" in printed


def status():
    """Exit status of the command in `sys.argv`."""
    try:
        cli.main()
    except SystemExit as end:
        return end.code or 0
    return 0


@pytest.mark.slow
def test_commands_succeed_in_the_order_in_which_they_stand(tmp_path, monkeypatch, capsys):
    """Runs are shortened, and nothing else is changed."""
    data = os.environ.get("LASEM_DATA", "")
    if not (Path(data) / "cifar100").is_dir():
        pytest.skip("LASEM_DATA has no folder 'cifar100'" if data else "LASEM_DATA is not set")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LASEM_DATA")
    monkeypatch.setattr("lasem.report.watch_page", partial(watch_page, settle=0))
    shutil.copytree(README.parent / "examples", "examples")
    block = (
        README.read_text(encoding="utf-8").partition("## Command line")[2].partition("```sh\n")[2].partition("```")[0]
    )
    lines = [shlex.split(line.partition("#")[0]) for line in block.splitlines()]
    assert len(lines) > 10
    for line in lines:
        words = [data if word == "DIR" else word for word in line]
        short = SHORT if words[1] in ("run", "sweep") and "--dry-run" not in words else []
        monkeypatch.setattr(sys, "argv", [*words, *short])
        assert status() == 0, (line, capsys.readouterr().err)
    assert {path.name for path in tmp_path.iterdir()} >= {
        "runs",
        "report.html",
        "table.tex",
        "forgetting.pdf",
        "export",
    }


@pytest.mark.slow
def test_own_images_become_an_onnx_file_by_the_commands_that_stand_there(tmp_path, monkeypatch, capsys):
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    write_photos(tmp_path / "photos", ("ant", "bee", "cat", "dog"), images=40, size=(40, 48), suffix="jpg")
    shutil.copy(tmp_path / "photos" / "ant" / "0.jpg", "photo.jpg")
    section = README.read_text(encoding="utf-8").partition("### From your own images to an ONNX file")[2]
    block, program = (section.partition(f"```{kind}\n")[2].partition("```")[0] for kind in ("sh", "python"))
    lines = block.splitlines()
    assert len(lines) < 10
    for line in (shlex.split(line) for line in lines if line.startswith("lasem ")):
        words = [found for word in line for found in (sorted(glob(word)) or [word])]
        monkeypatch.setattr(sys, "argv", [*words, *(["--set", "training.epochs=1"] if words[1] == "run" else [])])
        assert status() == 0, (line, capsys.readouterr().err)
    left: dict = {}
    exec(compile(program, str(README), "exec"), left)
    (folder,) = (tmp_path / "runs" / "photos").iterdir()
    found = torch.from_numpy(left["logits"]).softmax(1)
    torch.testing.assert_close(found, load(folder).classify("photo.jpg", task=0).probabilities, rtol=0, atol=1e-4)
    assert (tmp_path / "predictions.csv").read_text().count("\n") == 161
