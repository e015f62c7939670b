"""`lasem layers` on images: one command searches, compares and answers; it resumes, and refuses in words."""

import json

import pytest
from torch import nn
from typer.testing import CliRunner

from lasem.cli import app
from lasem.errors import DataError, LasemError, ReportError, RunError, SpecError
from toys import write_photos

NETWORK = ["--network", f"{__name__}:small", "--stages", "0", "--stages", "1", "--epochs", "1"]
SMALL = [*NETWORK, "--set", "benchmark.size=8", "--set", "training.batch_size=4", "--device", "cpu"]


def small():
    """A network of one's own, which specs name as "test_cli_layers:small"."""
    first, second = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), nn.Conv2d(4, 5, 3)
    return nn.Sequential(first, second, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 2))


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LASEM_DATA", raising=False)
    for name in ("pets", "birds"):
        write_photos(tmp_path / name, ["a", "b"], images=12, size=(9, 8))
    return tmp_path


def layers(*arguments):
    return CliRunner().invoke(app, ["layers", *map(str, arguments)], catch_exceptions=False)


def test_one_command_searches_compares_and_answers(photos):
    both = ["--images", "pets", "--images", "birds", *SMALL]
    shown = layers(*both, "--baselines", "--picture", "branches.png")
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert ["layers", "own", "shared", "frozen"] in lines
    assert [line[2] for line in lines if line[:1] == ["task"]] == ["pets:", "birds:"]
    head = next(number for number, line in enumerate(lines) if line[:2] == ["test", "accuracy,"])
    rivals = ["full", "linear", "last-1", "auto-rgn", "own-norms", "own-lora"]
    assert [line[0] for line in lines[head + 1 : head + 8]] == ["search", *rivals]
    assert "by chance" in shown.stdout
    assert "times the multiply-adds of one static training" in shown.stdout
    assert "random weights" in shown.stderr
    assert "epochs" not in shown.stdout  # progress is on the error stream
    assert (photos / "branches.png").read_bytes().startswith(b"\x89PNG")
    assert len(list((photos / "runs").iterdir())) == 1 + len(rivals)

    again = layers(*both, "--format", "json", "--out", "answer.json")
    assert "finished already" in again.stderr
    first, second = json.loads((photos / "answer.json").read_text())
    assert first["stages"][0]["modules"] == ["0"]
    assert second["accuracy"].keys() == second["seconds"].keys() == {"search"}
    assert second["static_steps"] > 1


def test_one_folder_is_one_task_and_nothing_is_shared(photos):
    (record,) = json.loads(layers("--images", "pets", *SMALL, "--format", "json", "--quiet").stdout)
    assert all(stage["probabilities"]["shared"] == 0 for stage in record["stages"])
    assert record["name"] == "a / b"


def test_a_spec_is_searched_with_fewer_epochs(photos):
    (photos / "own.toml").write_text('preset = "digits/lasem-hps/small"\n[network]\nname = "synthetic-2"\n')
    shown = layers("own.toml", "--epochs", 1, "--set", "benchmark.first_tasks=1", "--device", "cpu")
    assert "test accuracy, %" in shown.stdout
    assert "cost: " in layers(next((photos / "runs").iterdir())).stdout


def test_a_dry_run_trains_nothing(photos):
    assert "run folder" in layers("--images", "pets", *SMALL, "--dry-run").stdout
    assert not (photos / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ([], SpecError, "either images or a run .*neither"),
        (["runs/x", "--images", "pets"], SpecError, "either images or a run .*images and a run"),
        (["runs/x"], RunError, "a run must be a folder"),
        (["pets"], SpecError, "a folder of images must be given by --images .*write lasem layers --images pets"),
        (["pets", "--epochs", "3"], SpecError, "--epochs must come with --images"),
        (["digits/lasem-hps", "--weights", "a.pt"], SpecError, "--weights must come with --images"),
        (["digits/stl"], SpecError, "a learner that searches .*'stl'"),
        (["digits/lasem-hps", "--baselines"], SpecError, "--baselines must come with a network of a library"),
        (["digits/nosuch"], SpecError, "got learner 'nosuch'"),
        (["--images", "pets", "--images", "pets", *SMALL], SpecError, "several folders in source must differ"),
        (["--images", "pets", *SMALL, "--set", "training.batch_size=40"], DataError, "batch"),
        (["--images", "pets", *SMALL, "--picture", "p.jpg"], ReportError, r"must end in one of .*p\.jpg"),
        (["--images", "pets", "--images", "birds", *SMALL, "--task", "2"], SpecError, "--task must be from 0 to 1 .*2"),
        (["digits/lasem-hps", "--task", "-1"], SpecError, "--task must be from 0 to 9 .*-1"),
        (["--images", "pets", "--set", "training.epochs=few"], SpecError, "epochs must be a whole number .*'few'"),
    ],
)
def test_what_cannot_be_answered_is_refused_before_work_starts(photos, arguments, error, message):
    with pytest.raises(LasemError, match=message) as caught:
        layers(*arguments)
    assert isinstance(caught.value, error)
    assert not (photos / "runs").exists()


def test_broken_images_and_classes_with_too_few_are_named(photos):
    (photos / "pets" / "a" / "broken.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"broken\.png"):
        layers("--images", "pets", *SMALL)
    write_photos(photos / "few", ["a"], images=12, size=(9, 8))
    write_photos(photos / "few", ["b"], images=2, size=(9, 8))
    with pytest.raises(DataError, match="class 'b' must have at least 4 images"):
        layers("--images", "few", *SMALL)
