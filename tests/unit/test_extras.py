"""What needs an optional package says so in one sentence, and nothing else needs it."""

import sys
import tomllib
from pathlib import Path

import pytest
from scipy.special import stdtr, stdtrit

from lasem import report
from lasem.benchmarks import Digits
from lasem.errors import RunError
from lasem.extras import EXTRA_OF, require_packages
from lasem.lazy import lazy_exports
from lasem.metrics import spread
from lasem.metrics._student import central_probability, central_quantile

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DISTRIBUTIONS = {
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
    "huggingface_hub": "huggingface-hub",
    "mlflow": "mlflow-skinny",
}


def test_a_missing_package_is_named_with_the_extra_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(RunError, match=r"package sklearn must be installed for .*; run: pip install 'lasem\[data\]'"):
        Digits().stream(stream_seed=0, data_seed=0, data=None)
    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(RunError, match=r"packages pandas and jinja2 must be installed .*'lasem\[report\]'"):
        require_packages("pandas", "jinja2", what="tables")


def test_a_public_name_that_cannot_be_imported_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for name in ("lasem.report._export", "lasem.report._exported_tables"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    load, _ = lazy_exports(report.__name__)
    with pytest.raises(RunError, match=r"pyarrow must be installed for lasem.report.export; .*'lasem\[report\]'"):
        load("export")


@pytest.mark.parametrize("package", EXTRA_OF)
def test_every_optional_package_is_in_its_extra_and_not_in_the_core(package):
    name = DISTRIBUTIONS.get(package, package)
    assert any(line.startswith(f"{name}>=") for line in PROJECT["optional-dependencies"][EXTRA_OF[package]])
    assert not any(line.startswith(f"{name}>=") for line in PROJECT["dependencies"])


def test_torch_has_no_upper_bound():
    (torch,) = (line for line in PROJECT["dependencies"] if line.startswith("torch"))
    assert "<" not in torch


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 9, 10, 99])
def test_the_t_distribution_is_that_of_scipy(freedom):
    assert central_quantile(0.95, freedom) == pytest.approx(stdtrit(freedom, 0.975), rel=1e-9)
    assert central_probability(1.3, freedom) == pytest.approx(2 * stdtr(freedom, 1.3) - 1, rel=1e-12)


def test_an_interval_is_the_t_interval():
    assert spread([1.0, 2.0, 4.0]).half_width == pytest.approx(stdtrit(2, 0.975) * (7 / 3) ** 0.5 / 3**0.5)


def test_the_version_to_cite_is_that_of_the_package():
    cited = (Path(__file__).parents[2] / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {PROJECT['version']}\n" in cited


def test_the_tested_version_of_torch_is_pinned_where_environments_are_made():
    assert "\ntorch==" in (Path(__file__).parents[2] / "constraints.txt").read_text(encoding="utf-8")
