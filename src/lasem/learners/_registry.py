"""The built-in kinds of learners by name, none of which is imported before it is looked up."""

from typing import TYPE_CHECKING

from lasem.registry import Registry

if TYPE_CHECKING:
    from lasem.learners._interface import AbstractLearnerOptions

LEARNERS: "Registry[type[AbstractLearnerOptions]]" = Registry(
    "learner",
    group="lasem.learners",
    base="lasem.learners:AbstractLearnerOptions",
    builtin={
        "selective": "lasem.learners._kinds:SelectiveOptions",
        "snn": "lasem.learners._kinds:SingleOptions",
        "prognn": "lasem.learners.prognn:ProgNNOptions",
        "ewc": "lasem.learners:EWCOptions",
        "gating": "lasem.learners.gating:GatingOptions",
        "den": "lasem.learners.den:DENOptions",
        "apd": "lasem.learners.apd:APDOptions",
    },
)
"""Kinds of learners by name; presets are made of them and tell what they do."""
