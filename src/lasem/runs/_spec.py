"""One experiment with one seed: everything that determines a run's result.

What does not (where to write, where data lies, the device, how often to checkpoint) is no part of a spec, so the digest
of a spec names its result. A spec has the sections that its learner, mechanism, strategy and benchmark read, no others.
"""

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass, field
from dataclasses import field as required
from typing import Annotated, Generic, Literal, TypeVar

import tomli_w

from lasem.benchmarks import AbstractBenchmark
from lasem.learners import AbstractLearnerOptions, RetentionOptions, Training
from lasem.nn import AbstractMechanism, AnyNetwork
from lasem.options import Positive, Rate, Seed, Table, merge, must, options
from lasem.runs._evaluation import Evaluation
from lasem.runs._readers import Reader
from lasem.search import AbstractStrategy

Chosen = TypeVar("Chosen")
LONGEST_NAME = 200
"""Bytes of a spec's name. The name of a file may have 255, and that of the run folder has a seed and a digest too."""


def _fits_folder(name: str) -> bool:
    """Whether a folder can have this name."""
    return bool(name.isprintable() and name.strip() and len(name.encode()) <= LONGEST_NAME)


Name = Annotated[str, must(_fits_folder, f"up to {LONGEST_NAME} bytes of printable text", "write another name")]
Precision = Literal["float32", "tf32", "bfloat16"]
"""Precision in which convolutions and matrix products are computed."""


@options(kw_only=True)
class TrainingSection(Training):
    """How tasks are trained, and in which precision.

    Attributes:
        precision: Precision of convolutions and matrix products; see `arithmetic`.
    """

    epochs: Positive = required()
    batch_size: Positive = required()
    learning_rate: Rate = required()
    precision: Precision = "float32"


@options(kw_only=True)
class Seeds:
    """Every source of randomness.

    Attributes:
        stream: Decides classes, noise and channel orders: the same in all trials.
        data: Decides which images a task gets.
        training: Decides initial values, batches and dropout.
    """

    stream: Seed = 0
    data: Seed = 0
    training: Seed = 0


@options(kw_only=True)
class Heading:
    """What stands above the sections of a spec.

    Attributes:
        name: Name of the experiment: a preset's, or one of your own.
        profile: Whose choices are taken where the paper and the authors' release differ; "recommended" are the paper's
            with what measurements here add to its search.
        plugins: Modules that are imported because they add to the registries.
        small: What differs from the full experiment, in words; None for a full one.
    """

    name: Name
    profile: Literal["paper", "release", "recommended"] = "paper"
    plugins: tuple[str, ...] = ()
    small: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Choice(Generic[Chosen]):
    """An entry of a registry that a spec names, with its options.

    Attributes:
        kind: Name in the registry.
        options: The entry, made with the options of the spec.
        name: What results are called after; the kind unless the spec says otherwise.
    """

    kind: str
    options: Chosen
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class Spec:
    """One experiment with one seed; made by `read_spec` or `resolve`. Two specs are equal if their sections are.

    Attributes:
        heading: Name, profile and plugins.
        benchmark: Which stream.
        network: Which network.
        learner: Which learner.
        mechanism: How shared branches get their parameters; "hps" if the learner does not read it.
        strategy: How configurations are chosen; "fixed" if the learner does not read it.
        training: How tasks are trained.
        evaluation: What is measured, and when.
        seeds: Every source of randomness.
        retention: Penalty on shared knowledge that moves away from what earlier tasks need; None for none.
        readers: Who reads the sections.
        sections: All sections as plain data, defaults included.
    """

    heading: Heading
    benchmark: Choice[AbstractBenchmark] = field(compare=False)
    network: Choice[AnyNetwork] = field(compare=False)
    learner: Choice[AbstractLearnerOptions] = field(compare=False)
    mechanism: Choice[AbstractMechanism] = field(compare=False)
    strategy: Choice[AbstractStrategy] = field(compare=False)
    training: TrainingSection = field(compare=False)
    evaluation: Evaluation = field(compare=False)
    seeds: Seeds = field(compare=False)
    retention: RetentionOptions | None = field(default=None, compare=False)
    readers: tuple[Reader, ...] = field(compare=False, repr=False)
    sections: dict[str, Table] = field(hash=False, repr=False)

    @property
    def name(self) -> str:
        """Name of the experiment, such as "digits/lasem-hps"."""
        return self.heading.name

    @property
    def profile(self) -> str:
        """Whose choices are taken: "paper", "release" or "recommended"."""
        return self.heading.profile

    @property
    def small(self) -> tuple[str, ...] | None:
        """What differs from the full experiment, in words; None for a full one."""
        return self.heading.small

    @property
    def digest(self) -> str:
        """Eight hexadecimal digits that name the result.

        Options that equal their default are left out, so that an option added later renames no run. The options of
        benchmarks and mechanisms count as they are written.
        """
        plain = {("learner", "kind"): "selective", ("learner", "mechanism"): "hps", ("learner", "strategy"): "fixed"}
        for reader in self.readers:
            plain |= reader.defaults() if reader.section not in ("benchmark", "mechanism") else {}
        plain.pop(("retention", "kind"), None)  # whether there is retention counts, also if all options are plain
        told = {
            section: {key: value for key, value in table.items() if plain.get((section, key)) != value}
            for section, table in self.sections.items()
        }
        heading = {key: value for key, value in self._heading().items() if (key, value) != ("profile", "paper")}
        text = json.dumps(_canonical(heading | {name: table for name, table in told.items() if table}), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    @property
    def folder(self) -> str:
        """Name of the run folder."""
        return f"{self.name.replace('/', '-')}-s{self.seeds.training}-{self.digest}"

    def _heading(self) -> Table:
        """What stands above the sections."""
        told: Table = {"name": self.name, "profile": self.profile}
        if self.heading.plugins:
            told["plugins"] = list(self.heading.plugins)
        return told if self.small is None else told | {"small": list(self.small)}

    def table(self) -> Table:
        """Return the spec as plain data."""
        return merge(self._heading(), self.sections)

    def toml(self) -> str:
        """Return the spec as TOML."""
        return tomli_w.dumps(self.table())

    def changed(self, sections: Table, *, without: Collection[str] = ()) -> "Spec":
        """Return the spec with other options; options that are not read any more, as of another strategy, are left out.

        Args:
            sections: Options by section, laid over those of the spec.
            without: Options that get their defaults, such as "search.commit_at".

        Raises:
            SpecError: The new options are wrong.
        """
        from lasem.runs._read_spec import prune, read_spec  # which needs this module

        table = prune(self.table(), sections)
        for section, _, left_out in (option.partition(".") for option in without):
            if section in table:
                table[section] = {key: value for key, value in table[section].items() if key != left_out}
        return read_spec(merge(table, sections), place=self.name)

    def with_seed(self, seed: int) -> "Spec":
        """Return the same experiment as another trial: other images and other initial values.

        Raises:
            SpecError: The seed is negative or too large.
        """
        return self.changed({"seeds": {"stream": self.seeds.stream, "data": seed, "training": seed}})


def _canonical(value: object) -> object:
    """The same data with one way to write a number: 0 for 0.0."""
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
