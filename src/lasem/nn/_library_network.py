"""Networks of libraries in specs: names such as "timm:resnet18", cut into stages and filled with pretrained weights."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from lasem.configurations import Partition
from lasem.errors import SpecError, require
from lasem.nn._networks import NETWORKS, Network
from lasem.options import NonNegative, Positive, Rate, must, options, validate

if TYPE_CHECKING:  # lists of presets need no torch
    from torch import nn

    from lasem.nn._backbone import Backbone
    from lasem.nn._mechanisms import AbstractMechanism

LibraryName = Annotated[
    str,
    must(
        lambda name: all(name.partition(":")[::2]),
        "the name of a library and of a network in it",
        'write "timm:resnet18", "transformers:vit" or "package.module:function"',
    ),
]
LIBRARY_NAMES = {
    "timm:NAME": "a network of timm, such as timm:resnet18, cut into network.stages, with random or pretrained weights",
    "transformers:NAME": "an image classifier of transformers, such as transformers:vit, cut alike",
    "PACKAGE.MODULE:FUNCTION": "what a function of your own returns, any torch.nn.Module, cut alike",
}
"""How a spec names networks of libraries, with a line about each."""
NO_TABLE = (
    "it changes the layers of a network itself, and needs a table of them, which networks of libraries don't have;"
    " choose a network of lasem, such as cifar-4, or a learner such as lasem-hps, hps, stl, snn or ewc"
)
"""Reason why learners that change layers exclude networks of libraries."""
NO_WEIGHTS = (
    "it draws the weights of convolutions anew, so pretrained weights would be lost; choose hps, or leave out"
    " network.weights"
)
"""Reason why mechanisms that generate weights exclude pretrained networks."""


@dataclass(frozen=True)
class CutStage:
    """A stage that was cut out of a model, as a row in the table of a network.

    Attributes:
        name: Names of the submodules.
    """

    name: str
    convolutions: ClassVar[int] = 1
    channels: ClassVar[int] = 0

    @property
    def summary(self) -> str:
        """The names of the submodules."""
        return self.name

    def describe(self) -> dict[str, object]:
        """Describe the stage as JSON, with the same keys as other layers."""
        about: dict[str, object] = {"kind": "stage", "name": self.name, "kernel": 1, "channels": 0}
        return about | {"convolutions": 1, "divides": 1, "skip": 0}


@options(kw_only=True)
class LibraryNetwork:
    """A network of a library or of your own code, cut into stages: keys of [network].

    Attributes:
        name: Library and network, such as "timm:resnet18" or "transformers:vit", or a function of your own that returns
            a module, as "package.module:function". Nothing is downloaded unless `weights` is "library".
        stages: Names of submodules, patterns such as "blocks.*", or lists of these, which make one stage each.
        classifier: Name of the layer that gives logits; "" takes the last linear layer.
        tail: Names of the modules behind the last stage, for a network whose code cannot be traced; see
            `lasem.nn.CutOptions`.
        own: Kind of a task's own branch; see `lasem.nn.TransferModule`.
        rank: Rank of own branches of the kind "lora"; 8 by default.
        alpha: Factor of their product, which is divided by the rank; 8 by default.
        frozen: Whether stages have a third branch, the initial values; see `lasem.nn.TransferModule`.
        norms: Which statistics batch norm uses, "task" or "frozen"; by default those of pretrained weights are frozen.
        weights: A file of weights (safetensors, or a state dict of torch), a file of an installed package as
            "package:file", or "library" for what the library fetches. By default weights are drawn.
        weights_sha256: SHA-256 of the weights, which must agree; a run fills it in.
        mean: Mean of each channel, subtracted from the benchmark's images before the first stage.
        deviation: Number for each channel by which the difference is divided.
        options: Keyword arguments of the function that makes the network.
    """

    name: LibraryName
    stages: tuple[str | tuple[str, ...], ...]
    classifier: str = ""
    tail: tuple[str, ...] = ()
    own: Literal["new", "copy", "initial", "lora", "norms"] = "copy"
    rank: Positive | None = None
    alpha: NonNegative | None = None
    frozen: bool = False
    norms: Literal["task", "frozen"] | None = None
    weights: str | None = None
    weights_sha256: str | None = None
    mean: tuple[float, ...] = ()
    deviation: tuple[Rate, ...] = ()
    options: dict[str, Any] | None = None

    hidden: ClassVar[tuple[int, ...]] = ()
    skips: ClassVar[tuple[()]] = ()

    def __post_init__(self) -> None:
        require(bool(self.stages), "stages must name submodules", remedy="name one or more", stages=())
        require(
            len(self.mean) == len(self.deviation),
            "mean and deviation must have one number per channel",
            remedy="give both, or none",
            mean=self.mean,
            deviation=self.deviation,
        )
        require(
            self.own == "lora" or self.rank is None is self.alpha,
            "rank and alpha must come with own = 'lora'",
            remedy="set it, or leave them out; the mechanism lora has its own in [mechanism]",
            rank=self.rank,
            alpha=self.alpha,
            own=self.own,
        )

    @property
    def branches(self) -> int:
        """Number of branches of every stage."""
        return 3 if self.frozen else 2

    @property
    def layers(self) -> tuple[CutStage, ...]:
        """Stages from input to output; patterns need the library to be expanded."""
        if not any(set("*?[") & set(text) for entry in self.stages for text in _texts(entry)):
            return tuple(CutStage("+".join(_texts(entry))) for entry in self.stages)
        from lasem.nn._make_model import expanded

        names = expanded(self.name, json.dumps(self.options or {}), self.stages)
        return tuple(CutStage("+".join(stage)) for stage in names)

    @property
    def excludes(self) -> Mapping[str, str]:
        """Mechanisms and learners that cannot run on this network, each with the reason."""
        mechanisms = ["tf", "dfcnn"] if self.weights else []
        reasons: dict[str, str] = dict.fromkeys(mechanisms, NO_WEIGHTS)
        return reasons | dict.fromkeys(("prognn", "den", "apd", "gating"), NO_TABLE)

    @property
    def summary(self) -> str:
        """The stages in one line of text."""
        return self.table.summary

    @property
    def table(self) -> Network:
        """The stages as the table of a network."""
        return Network(self.layers, self.hidden)  # pyright: ignore[reportArgumentType]

    def layers_table(self) -> list[dict[str, object]]:
        """Describe all stages as JSON, from input to output; their kind is "stage"."""
        return self.table.layers_table()

    def stage_partition(self, partition: Partition) -> Partition:
        """Check a partition, which counts stages.

        Raises:
            SpecError: It has another number of stages.
        """
        return self.table.stage_partition(partition)

    def multiply_adds(self, shape: tuple[int, int, int]) -> int:
        """Count multiply-adds of the stages for one image of this shape, (C, H, W)."""
        return sum(self.layer_multiply_adds(shape))

    def layer_multiply_adds(self, shape: tuple[int, int, int]) -> list[int]:
        """Count multiply-adds stage by stage: (d,)."""
        return self.build(shape).multiply_adds()

    def model(self) -> "nn.Module":
        """Make the library's network with its weights.

        Raises:
            SpecError: The library or the weights are missing, or the weights do not fit.
        """
        from lasem.nn._make_model import make_model

        return make_model(self.name, self.options or {}, weights=self.weights, sha256=self.weights_sha256)

    def without_weights(self) -> "LibraryNetwork":
        """Return the network for a state that will replace all values, so that the weights need not be there.

        A name that only the library knows where to find, such as that of a model on the hub, keeps its weights.
        """
        if not self.weights or (self.weights == "library" and self.name.startswith("transformers:")):
            return self
        return replace(self, weights=None, weights_sha256=None, norms=self.statistics)

    @property
    def statistics(self) -> Literal["task", "frozen"] | None:
        """Which statistics batch norm uses: by default those of pretrained weights; None if the values tell."""
        return self.norms or ("frozen" if self.weights else None)

    def fingerprint(self) -> str | None:
        """Return the SHA-256 of the weights; None without any.

        Raises:
            SpecError: The weights cannot be read.
        """
        from lasem.nn._make_model import fingerprint

        return self.weights_sha256 or (
            fingerprint(self.name, self.options or {}, self.weights) if self.weights else None
        )

    def build(
        self, shape: tuple[int, ...], *, mechanism: "AbstractMechanism | None" = None, seed: int = 0
    ) -> "Backbone":
        """Make the backbone for inputs of a shape.

        Args:
            shape: Shape of an input, such as (C, H, W).
            mechanism: How stages share parameters; hard parameter sharing by default.
            seed: Seed of all values that are drawn, those of the model included.

        Raises:
            SpecError: The model cannot be made or cut.
        """
        import torch

        from lasem.nn._backbone import Backbone
        from lasem.nn._low_rank import LoRA
        from lasem.nn._mechanisms import HardParameterSharing
        from lasem.seeds import derive_seed

        low_rank = {"rank": self.rank, "alpha": self.alpha}
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(derive_seed(seed, "library"))  # libraries draw from torch's own generator
            model = self.model()
        return Backbone.of(
            model,
            stages=self.stages,
            shape=shape,
            classifier=self.classifier or None,
            tail=self.tail,
            own=self.own,
            frozen=self.frozen,
            low_rank=LoRA(**{name: value for name, value in low_rank.items() if value is not None}),
            norms=self.statistics,
            mechanism=mechanism or HardParameterSharing(),
            mean=self.mean,
            deviation=self.deviation,
            seed=seed,
        )


AnyNetwork = Network | LibraryNetwork
"""A network that a spec can name."""


def find_network(section: Mapping[str, Any]) -> AnyNetwork:
    """Return the network that a section [network] of a spec names.

    Raises:
        SpecError: There is none of that name, or its options are wrong.
    """
    name = section.get("name")
    if not isinstance(name, str):
        raise SpecError(f'network.name must be the name of a network (got {name!r}); write one, such as "cifar-4"')
    return validate(LibraryNetwork, dict(section), section="network") if ":" in name else NETWORKS[name]


def _texts(entry: str | tuple[str, ...]) -> tuple[str, ...]:
    return (entry,) if isinstance(entry, str) else entry
