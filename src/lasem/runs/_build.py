"""From a spec to objects: the benchmark, the learner. Here alone are the registries' names known."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeVar

import torch
from pydantic import TypeAdapter, ValidationError

from lasem.benchmarks import BENCHMARKS, AbstractBenchmark, Outline
from lasem.configurations import Partition
from lasem.errors import SpecError, nearest, require
from lasem.faults import option_faults
from lasem.learners import (
    APD,
    DEN,
    AbstractLearner,
    APDOptions,
    BruteForce,
    ChannelGating,
    DENOptions,
    EWCOptions,
    GatingOptions,
    PlainNetwork,
    ProgNNOptions,
    ProgressiveNetworks,
    SelectiveTransfer,
    SingleNetwork,
    Training,
)
from lasem.nn import MECHANISMS, NETWORKS, AbstractMechanism
from lasem.options import validate
from lasem.search import DARTS, EM, AbstractStrategy, CommitAt, Fixed, InTurn
from lasem.specs import Spec, Table

Built = TypeVar("Built")


def build_benchmark(spec: Spec) -> AbstractBenchmark:
    """The benchmark with its options, checked by the types of its fields.

    Raises:
        SpecError: An option is unknown, or has the wrong type or an impossible value.
    """
    kind, options = spec.benchmark.kind, spec.benchmark.options
    return validate(BENCHMARKS[kind], options, section="benchmark")


def build_mechanism(spec: Spec) -> AbstractMechanism:
    """The mechanism with its options, checked by the types of its fields.

    Raises:
        SpecError: An option is unknown, or has the wrong type or an impossible value.
    """
    name = spec.learner.mechanism
    return _with_options(MECHANISMS[name], spec.mechanism or {}, place="mechanism", name=name)


def _with_options(kind: type[Built], options: Table, *, place: str, name: str) -> Built:
    """An entry of a registry, a dataclass, made of options.

    Args:
        kind: The entry.
        options: Values of its fields.
        place: Section of the spec that holds them.
        name: Key of the entry.
    """
    known = [item.name for item in dataclasses.fields(kind)]  # pyright: ignore[reportArgumentType]
    faults = [
        f"{place}: unknown option {option!r} of {name!r} - {nearest(option, known) if known else 'it has none'}"
        for option in options
        if option not in known
    ]
    if not faults:
        try:
            return TypeAdapter(kind).validate_json(json.dumps(options), strict=True)  # of JSON, a list is a tuple too
        except ValidationError as error:
            faults = option_faults((dict(item) for item in error.errors()), section=place)
    raise SpecError("\n  ".join(faults))


def build_strategy(spec: Spec, layers: int) -> AbstractStrategy:
    """The strategy of a selective learner.

    Raises:
        SpecError: The partition or the candidates do not fit the network.
    """
    if spec.learner.strategy == "fixed" or spec.learner.kind != "selective":
        return Fixed(spec.learner.configuration if spec.learner.kind == "selective" else "none")
    return {"em": searched, "darts": _differentiable, "brute-force": _in_turn}[spec.learner.strategy](spec)


def _in_turn(spec: Spec) -> InTurn:
    """The candidates that a spec describes."""
    search = spec.search
    partition = None if search.partition is None else Partition.parse(search.partition)
    if partition is not None and spec.network.name in NETWORKS:
        partition = NETWORKS[spec.network.name].stage_partition(partition)
    candidates = tuple(tuple(map(int, bits)) for bits in search.candidates or ())
    return InTurn(partition=partition, candidates=candidates or None)


def searched(spec: Spec) -> EM:
    """The search that a spec describes, whether its learner uses it or not."""
    search, listed = spec.search, _in_turn(spec)
    moment = search.commit_at
    return EM(
        partition=listed.partition,
        candidates=listed.candidates,
        evidence=search.evidence,
        prior=search.prior,
        restart=search.restart,
        m_steps=search.m_steps,
        ties=search.ties,
        epsilon=search.epsilon,
        stop_when_certain=search.stop_when_certain,
        commit_at=None if moment is None else CommitAt(prior=moment.prior, share=moment.share),
        memory=search.memory,
    )


def _differentiable(spec: Spec) -> DARTS:
    """The differentiable search that a spec describes."""
    require(
        spec.search.candidates is None,
        "DARTS lets every group decide by itself, among all configurations",
        remedy="leave search.candidates out",
        candidates=spec.search.candidates,
    )
    options = spec.darts
    first, second = options.betas
    return DARTS(
        partition=_in_turn(spec).partition,
        order=options.order,
        held_out=options.held_out,
        optimizer=options.optimizer,
        learning_rate=options.learning_rate,
        betas=(first, second),
        weight_decay=options.weight_decay,
    )


def build_learner(spec: Spec, outline: Outline, *, device: torch.device, capture: bool = False) -> AbstractLearner:
    """A new learner for streams of this outline.

    Args:
        spec: One experiment.
        outline: Of its stream.
        device: Where tensors go.
        capture: Compile the steps of every task.

    Raises:
        SpecError: The learner's steps cannot be captured.
    """
    require(
        not capture or (spec.learner.kind == "selective" and spec.learner.strategy in ("fixed", "em")),
        "steps are captured of static configurations and of LASEM",
        remedy="do without --capture",
        learner=spec.learner.name,
    )
    if spec.learner.kind in _GROWING:
        convs = PlainNetwork(NETWORKS[spec.network.name], shape=outline.shape, seed=spec.seeds.training)
        return _GROWING[spec.learner.kind](spec, convs, device)
    network, mechanism = NETWORKS[spec.network.name], build_mechanism(spec)
    backbone = network.build(outline.shape, mechanism=mechanism, seed=spec.seeds.training)
    backbone.to(device)
    training = build_training(spec)
    if spec.learner.kind == "ewc":
        options = spec.ewc.model_dump()
        return EWCOptions(**options).learner(backbone, training=training, seed=spec.seeds.training)
    if spec.learner.kind == "snn":
        return SingleNetwork(backbone, classes=max(outline.classes), training=training, seed=spec.seeds.training)
    if spec.learner.strategy == "brute-force":
        return BruteForce(
            backbone,
            _in_turn(spec),
            training=training,
            seed=spec.seeds.training,
            ties=spec.search.ties,
            first_task=spec.learner.first_task,
            redraw_unchosen=spec.learner.redraw_unchosen,
        )
    return SelectiveTransfer(
        backbone,
        build_strategy(spec, len(backbone.stages)),
        training=training,
        seed=spec.seeds.training,
        redraw_unchosen=spec.learner.redraw_unchosen,
        capture=capture,
    )


def build_training(spec: Spec) -> Training:
    """How a task is trained."""
    options = spec.training
    return Training(
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        decay=options.decay,
        optimizer=options.optimizer,
        keep=options.keep,
        epochs=options.epochs,
    )


def _progressive(spec: Spec, convs: PlainNetwork, device: torch.device) -> AbstractLearner:
    seed, training = spec.seeds.training, build_training(spec)
    options = ProgNNOptions(**spec.prognn.model_dump())
    return ProgressiveNetworks(convs, options=options, training=training, seed=seed, device=device)


def _gated(spec: Spec, convs: PlainNetwork, device: torch.device) -> AbstractLearner:
    seed, training = spec.seeds.training, build_training(spec)
    options = GatingOptions(**spec.gating.model_dump())
    return ChannelGating(convs, options=options, training=training, seed=seed, device=device)


def den_options(spec: Spec) -> DENOptions:
    """DEN's options.

    Raises:
        SpecError: A value is impossible.
    """
    return _with_options(DENOptions, spec.den.model_dump(), place="den", name="den")


def apd_options(spec: Spec) -> APDOptions:
    """APD's options.

    Raises:
        SpecError: A value is impossible.
    """
    return _with_options(APDOptions, spec.apd.model_dump(), place="apd", name="apd")


def _expandable(spec: Spec, convs: PlainNetwork, device: torch.device) -> AbstractLearner:
    training, options, seed = build_training(spec), den_options(spec), spec.seeds.training
    return DEN(convs, options=options, training=training, seed=seed, device=device)


def _decomposed(spec: Spec, convs: PlainNetwork, device: torch.device) -> AbstractLearner:
    training, options, seed = build_training(spec), apd_options(spec), spec.seeds.training
    return APD(convs, options=options, training=training, seed=seed, device=device)


_GROWING: Mapping[str, Callable[[Spec, PlainNetwork, torch.device], AbstractLearner]] = MappingProxyType(
    {"prognn": _progressive, "gating": _gated, "den": _expandable, "apd": _decomposed}
)
"""Learners that change the network itself, by kind."""
