"""Words that a shell completes. None of these functions needs torch, so that a shell need not wait."""

from collections.abc import Iterable
from pathlib import Path


def complete_targets(incomplete: str) -> list[str]:
    """Complete presets and TOML files."""
    from lasem.presets import preset_entries

    names = [entry.name for entry in preset_entries()]
    return [*_beginning([*names, *(f"{name}/small" for name in names)], incomplete), *complete_files(incomplete)]


def complete_files(incomplete: str) -> list[str]:
    """Complete TOML files, and folders in which they may be."""
    folder, _, _ = incomplete.rpartition("/")
    found = sorted(Path(folder or ("/" if incomplete.startswith("/") else ".")).glob("*"))
    names = [f"{path}/" if path.is_dir() else str(path) for path in found if path.is_dir() or path.suffix == ".toml"]
    return _beginning(names, incomplete)


def complete_names(incomplete: str) -> list[str]:
    """Complete benchmarks, networks and learners."""
    from lasem.nn import NETWORKS
    from lasem.presets import benchmark_entries, learner_entries

    entries = [*benchmark_entries(), *learner_entries(pretrained=True)]
    return _beginning([*(entry.name for entry in entries), *NETWORKS], incomplete)


def complete_settings(incomplete: str) -> list[str]:
    """Complete the keys of options that presets set."""
    from lasem.presets import option_keys

    return _beginning([f"{key}=" for key in option_keys()], incomplete)


def complete_tables(incomplete: str) -> list[str]:
    """Complete the names of tables."""
    from lasem.report import TABLES

    return _beginning(TABLES, incomplete)


def complete_figures(incomplete: str) -> list[str]:
    """Complete the names of figures."""
    from lasem.report import FIGURES

    return _beginning(FIGURES, incomplete)


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    """Return the names that begin with what was typed."""
    return [name for name in names if name.startswith(incomplete)]
