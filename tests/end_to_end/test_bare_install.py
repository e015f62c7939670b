"""The built packages work where only the packages that they ask for are installed."""

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
MOST = 25
"""Largest number of packages of the core, those of torch included and without lasem itself."""


def core():
    """Distributions that `pip install lasem` installs on this system, besides lasem."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    known, to_do = {}, list(project["dependencies"])
    while to_do:
        requirement = Requirement(to_do.pop())
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if name in known or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        known[name] = distribution(name)
        to_do += known[name].requires or []
    return known


@pytest.mark.slow
def test_wheel_and_sdist_work_with_the_core_alone(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(tmp_path / "dist")]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,), (sdist,) = (tmp_path / "dist").glob("*.whl"), (tmp_path / "dist").glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        assert any(name.endswith("src/lasem/py.typed") for name in archive.getnames())
    venv.create(tmp_path / "env", symlinks=True, with_pip=False)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = tmp_path / "env" / "lib" / version / "site-packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    assert (site / "lasem" / "py.typed").exists()
    packages = core()
    assert len(packages) <= MOST, sorted(packages)
    for package in packages.values():
        folder = Path(str(package.locate_file("")))
        for top in {file.parts[0] for file in package.files or [] if file.parts[0] not in ("..", "__pycache__")}:
            if not (site / top).exists():
                (site / top).symlink_to(folder / top)
    photos = tmp_path / "photos"
    make = (
        "import sys; from pathlib import Path; from PIL import Image\n"
        "for name, level in (('dark', 40), ('light', 200)):\n"
        "    (Path(sys.argv[1]) / name).mkdir(parents=True)\n"
        "    for i in range(12):\n"
        "        Image.new('RGB', (8, 8), (level + i,) * 3).save(Path(sys.argv[1]) / name / f'{i}.png')\n"
    )
    python = str(tmp_path / "env" / "bin" / "python")

    def call(*words):
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        done = subprocess.run(
            [python, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    assert call("-c", make, str(photos))[0] == 0
    status, text = call("-c", "import lasem; print(lasem.__file__)")
    assert (status, text.strip()) == (0, str(site / "lasem" / "__init__.py"))
    settings = [f"benchmark.source={photos}", "network.name=synthetic-3", "training.epochs=1", "training.batch_size=4"]
    run = ["-m", "lasem", "run", "images/lasem-hps", *(word for setting in settings for word in ("--set", setting))]
    assert call(*run, "--seeds", "0,1")[0] == 0, call(*run)
    folder = next((tmp_path / "runs").iterdir())
    assert call("-m", "lasem", "show", "runs")[0] == 0
    status, text = call("-m", "lasem", "predict", str(folder), str(photos))
    assert (status, len(text.splitlines())) == (0, 24), text
    for words, extra in (
        (["run", "digits/stl"], "data"),
        (["report", "runs", "--out", "r.html"], "report"),
        (["figure", "forgetting", "runs", "--out", "f.pdf"], "report"),
        (["export", "runs"], "report"),
        (["table", "comparison", "runs"], "report"),
        (["export-network", str(folder), "--task", "0", "--out", "n.onnx"], "export"),
        ([*run[2:], "--tensorboard"], "tracking"),
    ):
        status, text = call("-m", "lasem", *words)
        assert (status, f"pip install 'lasem[{extra}]'" in text) == (2, True), text
