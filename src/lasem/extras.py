"""Optional packages: each belongs to an extra of lasem, and a feature that needs one says how to install it."""

from importlib.util import find_spec

from lasem.errors import RunError


def require_packages(*packages: str, extra: str, what: str) -> None:
    """Refuse a feature whose packages are not installed.

    Args:
        packages: Names by which the packages are imported.
        extra: Extra of lasem that installs them.
        what: What needs them, such as "--format onnx".

    Raises:
        RunError: A package is missing.
    """
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        several = "s" if len(missing) > 1 else ""
        raise RunError(
            f"the package{several} {' and '.join(missing)} must be installed for {what};"
            f" run: pip install 'lasem[{extra}]'"
        )
