"""Optional packages: each belongs to an extra of lasem, and a feature that needs one says how to install it."""

from collections.abc import Mapping
from importlib.util import find_spec
from types import MappingProxyType

from lasem.errors import RunError

EXTRA_OF: Mapping[str, str] = MappingProxyType(
    {
        "datasets": "data",
        "sklearn": "data",
        "yaml": "data",
        "jinja2": "report",
        "matplotlib": "report",
        "pandas": "report",
        "plotly": "report",
        "pyarrow": "report",
        "tabulate": "report",
        "huggingface_hub": "export",
        "onnx": "export",
        "onnxruntime": "export",
        "onnxscript": "export",
        "tensorboard": "tracking",
        "mlflow": "mlflow",
        "trackio": "trackio",
        "wandb": "wandb",
        "ray": "ray",
        "submitit": "slurm",
        "timm": "timm",
        "torchvision": "timm",
        "transformers": "transformers",
    }
)
"""Extra of lasem that installs a package, by the name under which the package is imported."""


def require_packages(*packages: str, what: str) -> None:
    """Refuse a feature whose packages are not installed.

    Args:
        packages: Names by which the packages are imported, all of one extra.
        what: What needs them, such as "--format onnx".

    Raises:
        RunError: A package is missing.
    """
    missing = [package for package in packages if not is_installed(package)]
    if missing:
        raise missing_packages(missing, what=what)


def is_installed(package: str) -> bool:
    """Return whether a package can be found, without importing it."""
    return find_spec(package) is not None


def missing_packages(packages: list[str], *, what: str) -> RunError:
    """Make the error about packages that are missing.

    Args:
        packages: Names by which the packages are imported, all of one extra.
        what: What needs them.
    """
    several = "s" if len(packages) > 1 else ""
    return RunError(
        f"the package{several} {' and '.join(packages)} must be installed for {what};"
        f" run: pip install 'lasem[{EXTRA_OF[packages[0]]}]'"
    )
