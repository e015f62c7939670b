"""Several folders of images as one source, with a domain for each of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from lasem.benchmarks._plans import TaskPlan
from lasem.benchmarks._source import Rows, Source
from lasem.errors import DataError
from lasem.text import printable


def require_different(places: Sequence[Path | str]) -> None:
    """Refuse a folder that is given twice, since its images would train one task and test another.

    Raises:
        DataError: Two paths lead to one folder.
    """
    known: dict[Path | str, Path | str] = {}
    for place in places:
        real = place.resolve() if isinstance(place, Path) else place
        if real in known:
            raise DataError(
                f"several folders in source must differ (got {printable(known[real])} and {printable(place)}, which are"
                " the same); name each folder once"
            )
        known[real] = place


def joined(sources: Mapping[str, Source]) -> Source:
    """Join sources, whose classes are the same where they have the same name.

    Args:
        sources: Sources by the name of their domain. Those with domains of their own get one domain for each.

    Raises:
        DataError: The sources have different splits.
    """
    if len(sources) == 1:
        return next(iter(sources.values()))
    first = next(iter(sources.values()))
    other = next((source for source in sources.values() if source.rows.keys() != first.rows.keys()), None)
    if other is not None:
        raise DataError(
            f"several folders must have the same splits (got {', '.join(first.rows)} in {first.name} and"
            f" {', '.join(other.rows)} in {other.name}); divide both alike"
        )
    classes = tuple(sorted({name for source in sources.values() for name in source.class_names}))
    ids = {name: number for number, name in enumerate(classes)}

    def decode(split: str, chosen: np.ndarray) -> np.ndarray:
        pieces, start = [], 0
        order = np.empty(len(chosen), dtype=np.int64)
        for source in sources.values():
            size = len(source.rows[split].labels)
            here = np.flatnonzero((chosen >= start) & (chosen < start + size))
            order[here] = sum(map(len, pieces)) + np.arange(len(here))
            pieces += [source.decode(split, chosen[here] - start)] if len(here) else []
            start += size
        return np.concatenate(pieces)[order]

    return Source(
        name=", ".join(source.name for source in sources.values()),
        class_names=classes,
        rows={split: _rows(sources, split, ids=ids) for split in first.rows},
        decode=decode,
        about="; ".join(filter(None, (source.about for source in sources.values()))),
    )


def plans_by_domain(source: Source, chosen: Sequence[str] | None, *, split: str) -> list[TaskPlan]:
    """Plan a task for each domain, with the classes that it has images of.

    Args:
        source: Joined sources.
        chosen: Names of the domains; None for all, in the order of the sources.
        split: Split of the training images.

    Raises:
        DataError: A domain has a single class.
    """
    domains = source.split(split).domains
    assert domains is not None, "joined sources have domains"
    plans = []
    for domain in chosen or dict.fromkeys(map(str, domains)):
        found = [label for label in range(len(source.class_names)) if len(source.split(split).where(label, domain))]
        if len(found) < 2:
            raise DataError(
                f"a task must have at least 2 classes (got {len(found)} in '{domain}' of {source.name}); add a class"
            )
        plans.append(TaskPlan(classes=tuple(found), domain=domain))
    return plans


def _rows(sources: Mapping[str, Source], split: str, *, ids: Mapping[str, int]) -> Rows:
    """Return the rows of all sources one after another, with the ids of their classes and the names of domains."""
    labels, domains = [], []
    for name, source in sources.items():
        rows = source.split(split)
        labels.append(np.asarray([ids[text] for text in source.class_names], dtype=np.int64)[rows.labels])
        own = [name] * len(rows.labels) if rows.domains is None else [f"{name}/{text}" for text in rows.domains]
        domains.append(np.asarray(own, dtype=np.str_))
    return Rows(labels=np.concatenate(labels), domains=np.concatenate(domains))
