"""Imports run one way, from the bottom; see docs/design.md."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import lasem

SOURCE = Path(lasem.__file__).parent
LAYERS = (
    ("errors",),
    ("extras",),
    ("lazy", "seeds", "formats", "files", "memory", "text"),
    ("configurations", "options", "registry", "metrics"),
    ("records",),
    ("nn", "benchmarks", "optimizers"),
    ("search",),
    ("training",),
    ("learners",),
    ("presets",),
    ("runs",),
    ("export", "preflight", "sweeps", "report"),
    ("cli", "testing"),
    ("__main__",),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
WITHOUT_TORCH = {
    "errors",
    "extras",
    "seeds",
    "formats",
    "files",
    "lazy",
    "text",
    "configurations",
    "options",
    "registry",
    "records",
    "metrics",
    "report",
    "cli",
}
FILES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


def imports(path):
    """Dotted names of all that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part(path):
    """The part of the package that a file belongs to: "search/_tree.py" -> "search"."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def test_every_part_of_the_package_has_its_place():
    assert {part(path) for path in FILES} == {*LEVEL}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_imports_run_one_way(path):
    here = part(path)
    for name in imports(path):
        package, _, rest = name.partition(".")
        there = rest.split(".")[0]
        if package == "torch":
            assert here not in WITHOUT_TORCH, f"{here} imports {name}"
        elif package == "lasem" and there != here and there in LEVEL:
            assert LEVEL[there] < LEVEL[here], f"{here} imports {name}"
            assert not any(word.startswith("_") for word in rest.split(".")), f"{here} imports {name}, which is private"


def test_what_needs_no_torch_loads_without_it():
    names = ", ".join(f"lasem.{name}" for name in sorted(WITHOUT_TORCH))
    code = f"import sys, {names}; print([name for name in sys.modules if name.split('.')[0] == 'torch'])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[]"
