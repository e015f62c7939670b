"""Specs that ask which layers of a network to freeze, share or tune, for images of the user's own, and their rivals."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lasem.benchmarks import Images
from lasem.configurations import FROZEN, OWN, SHARED, Partition
from lasem.errors import SpecError, nearest
from lasem.nn import find_network, timm_defaults
from lasem.options import Table, merge, parse_assignment, validate
from lasem.presets import compose
from lasem.runs._read_spec import prune, read_spec
from lasem.runs._spec import Spec

PRESET = "images/efficientnet-lite0/lasem-hps-frozen"
NETWORK = PRESET.split("/")[1]
BUDGET: Table = {"valid_per_class": 0.2, "max_train": 100, "max_valid": 50, "max_test": 200, "max_tasks": 1}
"""Images of a task, so that an answer takes minutes whatever a folder holds; its classes are one task."""
ORDERED = "ordered"
"""Candidates in which frozen stages come before shared ones and these before own ones, whatever their number."""
LIBRARIES = ("timm", "transformers")
"""Libraries whose networks have names; what else stands before a colon is a module of the user's."""
FEW_VALUES = 1e-3 / 3e-4
"""Factor of the learning rate where few values are trained, which want a higher one; that of the presets."""
IN_A_NAME = str.maketrans(":/", "--")
"""What the name of a spec has for characters of a network's name."""


@dataclass(frozen=True, kw_only=True)
class LayerQuestion:
    """What a user asks: which layers of a network to freeze, share or tune for some images.

    Attributes:
        images: Folders of images, or data sets of the hub; each of them is a task, and so is each domain in it.
        network: "efficientnet-lite0" of the presets, or a network of a library, such as "timm:resnet18".
        stages: Names of submodules of every stage, those of one stage joined by commas; None for those of the preset,
            or where the resolution of a network of timm changes.
        weights: A file of weights, or "library"; None for those of the preset, and random ones for other networks.
        epochs: Epochs per task; None for those of the preset.
        settings: Options set over all others, such as "benchmark.max_train=200".
    """

    images: Sequence[str]
    network: str = NETWORK
    stages: Sequence[str] | None = None
    weights: str | None = None
    epochs: int | None = None
    settings: Sequence[str] = ()

    def spec(self, data: Path | None) -> Spec:
        """Compose the spec of a search, from the preset for pretrained networks.

        Args:
            data: Data root; None if none is given.

        Raises:
            SpecError: The network or a setting is unknown or impossible.
            DataError: The folders are missing or cannot be understood.
        """
        network, size = self._network()
        name = PRESET if "name" not in network else PRESET.replace(NETWORK, self.network.translate(IN_A_NAME))
        sources = self.images[0] if len(self.images) == 1 else list(self.images)
        asked: Table = {
            "name": name,
            "benchmark": BUDGET | {"source": sources} | ({"size": size} if size else {}),
            "network": network,
            "training": {"epochs": self.epochs} if self.epochs else {},
        }
        above = merge(asked, *map(parse_assignment, self.settings))
        composed = compose(PRESET, above).table
        whole = merge(prune(composed, above), above)
        options = {key: value for key, value in whole["benchmark"].items() if key not in ("name", "kind")}
        tasks = validate(Images, options, section="benchmark").count_tasks(data)
        stages = len(find_network(_without_none(whole["network"])).layers)
        listed = {"candidates", "partition"} & above.get("search", {}).keys()
        search = whole["search"] | ({} if listed else _fitting(whole["search"], stages, tasks))
        return read_spec(whole | {"search": search}, place=name)

    def _network(self) -> tuple[Table, int | None]:
        """Return what [network] says over the preset, and the size that images must have, if any."""
        known = compose(PRESET, {}).table["network"]
        stages = [text.split(",") for text in self.stages or ()]
        chosen: Table = {"stages": stages} if stages else {}
        if self.weights:
            chosen |= {"weights": self.weights, "weights_sha256": None}
        if self.network in (NETWORK, known["name"]):
            return chosen, None
        library, colon, name = self.network.partition(":")
        if not colon:
            raise SpecError(
                f"--network must be {NETWORK} or name a library (got {self.network!r}); write for example timm:resnet18"
            )
        plain = dict.fromkeys(key for key in known if key not in ("own", "frozen"))  # those are of the preset's weights
        if library not in LIBRARIES and not _is_module(library):
            raise SpecError(
                f"--network must be of timm, of transformers, or of a module that can be imported (got"
                f" {self.network!r}); {nearest(library, LIBRARIES)}"
            )
        if library == "timm":
            found = timm_defaults(name, stages=stages or None)
            plain |= {"stages": list(map(list, found.stages)), "mean": list(found.mean)}
            plain |= {"deviation": list(found.deviation)}
            return plain | {"name": self.network} | chosen, found.size
        if not stages:
            raise SpecError(
                f"--stages must be given for a network that is not of timm (got {self.network!r} without); name the"
                " submodules that end each stage, such as --stages conv1,bn1 --stages layer1"
            )
        return plain | {"name": self.network} | chosen, None


def rivals(spec: Spec) -> dict[str, Spec]:
    """Return what a search is compared with, by name: the same spec with a static configuration.

    "full" tunes a copy of all stages for every task, "linear" trains the head alone, "last-k" tunes the last k stages
    and leaves the others frozen, and "auto-rgn" is "full" with learning rates by relative gradient norms. "own-norms"
    trains the scales and shifts of norms for every task, and "own-lora" low-rank changes of the weights, both at a
    higher learning rate, as their presets do.

    Args:
        spec: A search on a network of a library.

    Raises:
        SpecError: The network is another one.
    """
    if ":" not in spec.network.name:
        raise SpecError(
            f"--baselines must come with a network of a library, which can be frozen (got {spec.network.name!r}); leave"
            " it out"
        )
    stages = len(spec.network.options.layers)
    few = {"training": {"learning_rate": FEW_VALUES * spec.training.learning_rate}}
    found: dict[str, tuple[str, Table]] = {"full": ("none", {}), "linear": ("frozen", {})}
    for last in range(1, stages):
        found[f"last-{last}"] = (f"{FROZEN}" * (stages - last) + f"{OWN}" * last, {})
    found["auto-rgn"] = ("none", {"training": {"relative_rates": True}})
    found["own-norms"] = ("none", {"network": {"own": "norms"}} | few)
    found["own-lora"] = ("none", {"network": {"own": "lora"}} | few)
    place = spec.name.rpartition("/")[0]
    return {name: spec.changed(_rival(name, place, *given)) for name, given in found.items()}


def _rival(name: str, place: str, configuration: str, changes: Table) -> Table:
    """Return what makes a static configuration of a search."""
    static: Table = {
        "name": f"{place}/{name}" if place else name,
        "network": {"frozen": True},
        "learner": {"name": name, "kind": "selective", "strategy": "fixed", "configuration": configuration},
        "retention": None,
    }
    return merge(static, changes)


def _fitting(search: Table, stages: int, tasks: int) -> Table:
    """Return groups and candidates that fit a network: those of the preset where they do, and else "ordered" ones.

    With a single task there is nothing to share, so no candidate does.
    """
    groups = Partition.parse(search["partition"]) if search.get("partition") else Partition.single(stages)
    fits = groups.num_layers == stages
    size = groups.num_groups if fits else stages
    listed: Any = search.get("candidates")
    if listed != ORDERED and not (fits and listed and all(len(digits) == size for digits in listed)):
        listed = ORDERED
    if tasks == 1 and listed == ORDERED:
        listed = [f"{FROZEN}" * (size - own) + f"{OWN}" * own for own in range(size + 1)]
    elif tasks == 1:
        listed = [digits for digits in listed if str(SHARED) not in digits]
    return {"partition": str(groups) if fits and search.get("partition") else None, "candidates": listed}


def _is_module(name: str) -> bool:
    """Whether a module can be found, for which the packages around it are imported."""
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _without_none(table: Table) -> Table:
    return {key: value for key, value in table.items() if value is not None}
