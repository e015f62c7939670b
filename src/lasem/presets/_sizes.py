"""Small variants: what they change, which depends on the learner, and how that is told.

A benchmark's file has the changes in `[small.*]`; one of its further networks lays its own over them. Sections of a
spec, such as `[small.training]`, hold for all learners. Over them come those for the learners of one strategy, such as
`[small.learners.brute-force.training]`, or of one kind, such as `[small.learners.apd.apd]`, and then those for a
strategy over a named partition, `[small.learners.brute-force-7-groups.training]`.
"""

from collections.abc import Mapping
from typing import Any

from lasem.specs import LearnerSpec, Table, merge


def small_settings(benchmark: Mapping[str, Any], full: Mapping[str, Any]) -> Table:
    """The settings of the small variant of an experiment.

    Args:
        benchmark: A benchmark's table, with its further network where one is named.
        full: Table of the experiment.
    """
    everyone = {key: value for key, value in benchmark["small"].items() if key != "learners"}
    learners, strategy = benchmark["small"].get("learners", {}), _strategy(full.get("learner", {}))
    partition = full.get("search", {}).get("partition")
    groups = [key for key, text in benchmark.get("partitions", {}).items() if text == partition]
    parts = [strategy, *(f"{strategy}-{key}" for key in groups)]
    return merge(everyone, *(learners.get(part, {}) for part in parts))


def short_settings(profile: Mapping[str, Any], table: Mapping[str, Any]) -> Table:
    """What a profile sets for a learner where tasks take few steps: the section of its kind, or nothing.

    Args:
        profile: A profile's table.
        table: Table of the experiment.
    """
    learner, sections = table.get("learner"), profile.get("short", {})
    kind = learner.get("kind") if isinstance(learner, Mapping) else None
    return {kind: sections[kind]} if isinstance(kind, str) and kind in sections else {}


def changes(full: Mapping[str, Any], spec: Mapping[str, Any], small: Mapping[str, Any]) -> list[str]:
    """In words, what a small variant changes: the settings of its sections, with both values."""
    places = [(section, key) for section, values in small.items() for key in values]
    pairs = [(f"{section}.{key}", spec[section].get(key), full.get(section, {}).get(key)) for section, key in places]
    return [
        f"{name} is {now!r} instead of {'the default' if before is None else repr(before)}"
        for name, now, before in pairs
        if now != before
    ]


def _strategy(learner: Mapping[str, Any]) -> str:
    """Strategy of a learner that searches, kind of any other."""
    kind = learner.get("kind", LearnerSpec.model_fields["kind"].default)
    default = LearnerSpec.model_fields["strategy"].default
    return str(learner.get("strategy", default) if kind == "selective" else kind)
