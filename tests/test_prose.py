"""Docstrings and error messages are plain English, and the names that the pages mention exist."""

import ast
import importlib
import inspect
import itertools
import pkgutil
import re
from pathlib import Path

import pytest

import lasem.runs

ROOT = Path(__file__).parents[1]
SOURCE = Path(lasem.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted(path for path in ROOT.glob("docs/**/*") if path.suffix in (".md", ".ipynb")),
    ROOT / "perf" / "README.md",
]

FRAGMENT = re.compile(r"(Of|By|That|Those|Its|From|As)\b")  # continues the name in place of a sentence
ENTRY = re.compile(r"^ {4}[\w*]+: (.+)$", flags=re.MULTILINE)  # a line below Args, Attributes and the like
ERRORS = {"SpecError", "DataError", "RunError", "ReportError"}
REQUIRE = "... (got ......); ..."  # what `require` makes of a rule, which is looked at where it is given
OLD_NAME = re.compile(r"`[^`]+`(?= ->)")  # what an entry of the change log replaces
SPAN = re.compile(r"`([^`\n]+)`")


by_path = pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())


def text_of(node):
    """Text of a string, without the values that an f-string fills in; None for any other expression."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) or "..." for part in node.values)
    return None


def docstrings(tree):
    """(name, docstring) of a module, of all that it defines, and of attributes that have a string below them."""
    for node in ast.walk(tree):
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        if documented and (text := ast.get_docstring(node)):
            yield getattr(node, "name", "module"), text
        body = node.body if isinstance(node, ast.Module | ast.ClassDef) else []
        for above, below in itertools.pairwise(body):
            if isinstance(above, ast.Assign | ast.AnnAssign) and isinstance(below, ast.Expr):
                name = ast.unparse(above.target if isinstance(above, ast.AnnAssign) else above.targets[0])
                yield name, inspect.cleandoc(text_of(below.value) or "")


def messages(tree):
    """Texts of the errors that a module makes and of the rules that it gives to `require`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in ERRORS and node.args:
                yield text_of(node.args[0])
            elif node.func.id == "require" and len(node.args) > 1 and text_of(node.args[1]):
                yield f"{text_of(node.args[1])} (got ...)"


@by_path
def test_docstrings_are_sentences_that_stand_by_themselves(path):
    for name, text in docstrings(ast.parse(path.read_text(encoding="utf-8"))):
        for start in (text, *ENTRY.findall(text)):
            assert not FRAGMENT.match(start), f"{name}: {start.splitlines()[0]}"
        if not name.startswith("_"):
            assert len(text.split()) >= 5, f"{name}: {text}"


@by_path
def test_an_error_that_tells_what_came_tells_what_must_be(path):
    for text in filter(None, messages(ast.parse(path.read_text(encoding="utf-8")))):
        assert " - got " not in text, text
        if "(got " in text and text != REQUIRE:
            assert " must " in text, text


@pytest.fixture(scope="module")
def classes():
    """All classes of the package by name; several may share one."""
    known = {}
    for info in pkgutil.walk_packages(lasem.__path__, "lasem."):
        if not info.name.endswith("__main__"):
            for name, value in inspect.getmembers(importlib.import_module(info.name), inspect.isclass):
                known.setdefault(name, set()).add(value)
    return known


def has(kind, name):
    """Whether a class or one of its bases has a method or an attribute, or sets it on its instances."""
    bases = [base for base in kind.__mro__ if base.__module__.startswith("lasem")]
    return hasattr(kind, name) or any(
        name in vars(base).get("__annotations__", {}) or re.search(rf"\bself\.{name}\b", inspect.getsource(base))
        for base in bases
    )


def resolves(dotted):
    """Whether a dotted name of the package can be imported: a module, or an attribute of one."""
    parts = dotted.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part, None)
        return found is not None
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_names_in_a_page_exist(page, classes):
    for span in SPAN.findall(OLD_NAME.sub("", page.read_text(encoding="utf-8"))):
        if re.fullmatch(r"(src|tests|examples|perf|docs)/[\w./-]+", span):
            assert (ROOT / span).exists(), span
        elif match := re.fullmatch(r"(lasem(?:\.\w+)+)(\(.*\))?", span):
            assert resolves(match[1]), span
        elif match := re.fullmatch(r"([A-Z]\w*)\.(\w+)(\(.*\))?", span):
            assert any(has(kind, match[2]) for kind in classes.get(match[1], ())), span
