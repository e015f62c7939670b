"""The notebooks of the tutorials are stored without outputs, and their code names things that exist."""

import ast
import builtins
import importlib
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="nbformat comes with the extra docs")
NOTEBOOKS = sorted((Path(__file__).parents[1] / "docs" / "tutorials").glob("*.ipynb"))

by_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path):
    """Code cells of a notebook in order."""
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def test_there_are_tutorials():
    assert NOTEBOOKS


@by_notebook
def test_a_notebook_is_valid_and_has_no_outputs(path):
    nbformat.validate(nbformat.read(path, as_version=nbformat.NO_CONVERT))
    for cell in code_cells(path):
        assert not cell.outputs
        assert cell.execution_count is None


@by_notebook
def test_a_notebook_names_nothing_of_the_package_that_does_not_exist(path):
    """Imports are looked up, and so are attributes of modules, such as `lasem.load`."""
    imported = {}
    tree = ast.parse("\n".join(cell.source for cell in code_cells(path)))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names if alias.name.partition(".")[0] == "lasem"]
            imported |= {name: importlib.import_module(name) for name in modules}
        elif isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] == "lasem":
            for alias in node.names:
                assert hasattr(importlib.import_module(node.module), alias.name), f"{node.module}.{alias.name}"
    used = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)]
    for node in used:
        if node.value.id in imported:
            assert hasattr(imported[node.value.id], node.attr), f"{node.value.id}.{node.attr}"


@by_notebook
def test_a_notebook_reads_no_name_before_it_is_made(path):
    """Every cell compiles, and reads names that this cell or an earlier one makes."""
    known = set(dir(builtins))
    for cell in code_cells(path):
        nodes = list(ast.walk(compile(cell.source, path.name, "exec", ast.PyCF_ONLY_AST)))
        names = [node for node in nodes if isinstance(node, ast.Name)]
        known |= {node.id for node in names if isinstance(node.ctx, ast.Store)}
        known |= {node.arg for node in nodes if isinstance(node, ast.arg)}
        known |= {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
        imports = [alias for node in nodes if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names]
        known |= {(alias.asname or alias.name).partition(".")[0] for alias in imports}
        assert {node.id for node in names if isinstance(node.ctx, ast.Load)} <= known
