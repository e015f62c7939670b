"""What needs no torch starts without it, and public names are there before they are imported."""

import ast
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import lasem
from lasem.sweeps import SweepFolder, read_sweep

SOURCE = Path(lasem.__file__).parent
SLOW = ("torch", "sklearn", "scipy", "pandas", "datasets", "matplotlib", "plotly")
LAZY = ("", "benchmarks", "learners", "nn", "report", "runs", "search", "sweeps")

CODE = """
import sys
from lasem import cli
from lasem.cli import _completion

print(_completion.complete_targets("digits/lasem-h"))
print(_completion.complete_names("hps-top-1"), _completion.complete_settings("training.ep"))
print(_completion.complete_tables("comp"))
for words in ("--help", "list", "list digits", "run digits/hsp", "run digits/hps --set epochs=2", *sys.argv[1:]):
    sys.argv = ["lasem", *words.split()]
    try:
        cli.main()
    except SystemExit:
        pass
print([name for name in {slow!r} if name in sys.modules])
"""


@pytest.fixture
def planned(tmp_path):
    """A sweep that has been executed, as far as its folder says."""
    path = tmp_path / "mine.toml"
    path.write_text('presets = ["digits/stl"]', encoding="utf-8")
    sweep = read_sweep(path)
    folder = SweepFolder.of(sweep.name, tmp_path)
    folder.create()
    folder.plan_path.write_text(sweep.plan.model_dump_json(), encoding="utf-8")
    return path


def test_help_lists_status_completion_and_wrong_names_import_nothing_slow(planned):
    status = f"sweep {planned} --out {planned.parent} --status"
    found = subprocess.run(
        [sys.executable, "-c", CODE.replace("{slow!r}", repr(SLOW)), status, "sweep nowhere.toml"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.splitlines()[:3] == [
        "['digits/lasem-hps', 'digits/lasem-hps-retained',"
        " 'digits/lasem-hps/small', 'digits/lasem-hps-retained/small']",
        "['hps-top-1'] ['training.epochs=']",
        "['comparison']",
    ]
    assert "did you mean 'hps'" in found.stderr
    assert "did you mean 'training.epochs'" in found.stderr
    assert "a sweep must be a TOML file" in found.stderr
    assert "32@3x3" in found.stdout  # networks have their layers
    assert "1 waiting" in found.stdout
    assert found.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("package", LAZY)
def test_a_package_has_the_names_that_its_stub_declares(package):
    module = getattr(lasem, package) if package else lasem
    stub = ast.parse((SOURCE / package / "__init__.pyi").read_text(encoding="utf-8"))
    names = {alias.name for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert names <= {*dir(module)}
    assert all(getattr(module, name) is not None for name in names)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = module.nothing


def test_the_package_shows_what_a_user_begins_with():
    assert {"learn", "load", "benchmarks", "learners", "nn", "report", "runs"} <= {*dir(lasem)}
    assert not {"version", "lazy_exports"} & {*dir(lasem)}


@pytest.mark.parametrize(("code", "most"), [("import lasem", 0.3), ("from lasem.cli import main; main()", 0.5)])
def test_importing_the_package_and_its_help_take_a_moment(code, most):
    def seconds():
        """Processor time of a new process, which other processes of a busy machine do not lengthen much."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert any(seconds() < most for _ in range(4))
