"""Packages whose public names are imported when they are first used.

Importing torch takes seconds, and much of lasem can do without: lists of names, help, completion, a wrong preset. The
public names of such a package are declared once, as ordinary imports in its `__init__.pyi`, which type checkers and
editors read too; `lazy_exports` reads the same file when the package is imported.
"""

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from lasem.extras import EXTRA_OF, missing_packages


def lazy_exports(package: str) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Make `__getattr__` and `__dir__` of a package from the imports in the `__init__.pyi` beside its `__init__.py`.

    Args:
        package: Name of the package, which is being imported.
    """
    stub = Path(str(sys.modules[package].__file__)).with_suffix(".pyi")
    sources = {
        alias.asname or alias.name: (node.module or "", alias.name)
        for node in ast.parse(stub.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    def load(name: str) -> object:
        """Import a public name, and keep it so that it is found at once next time.

        Raises:
            RunError: It needs an optional package that is not installed.
        """
        if name not in sources:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, original = sources[name]
        try:
            found = (
                import_module(f"{module}.{original}") if module == package else getattr(import_module(module), original)
            )
        except ModuleNotFoundError as error:
            missing = str(error.name).split(".")[0]
            if missing not in EXTRA_OF:
                raise
            raise missing_packages([missing], what=f"{package}.{name}") from None
        setattr(sys.modules[package], name, found)
        return found

    def names() -> list[str]:
        """List the public names of the package."""
        return sorted({*sources, *(name for name in vars(sys.modules[package]) if name.startswith("__"))})

    return load, names
