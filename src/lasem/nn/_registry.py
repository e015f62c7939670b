"""The built-in mechanisms by name, none of which is imported before it is looked up."""

from typing import TYPE_CHECKING

from lasem.registry import Importable, Registry

if TYPE_CHECKING:
    from lasem.nn._mechanisms import AbstractMechanism

MECHANISMS: "Registry[type[AbstractMechanism]]" = Registry(
    "mechanism",
    group="lasem.mechanisms",
    base="lasem.nn:AbstractMechanism",
    builtin={
        "hps": Importable(
            "lasem.nn:HardParameterSharing",
            "HPS: the shared branch uses the shared parameters themselves, for layers of any kind (Caruana 1997).",
        ),
        "tf": Importable(
            "lasem.nn:TensorFactorization", "TF: the kernel is a shared core times the task's factors, one per axis."
        ),
        "lora": Importable(
            "lasem.nn:LoRA",
            "LoRA: the weight of a linear or convolution layer is a shared one plus a product of two thin matrices.",
        ),
        "dfcnn": Importable(
            "lasem.nn:DeconvolutionalFactorization",
            "DF-CNN: a shared tensor, deconvolved by the task and contracted with a tensor of the task.",
        ),
    },
)
"""Registry of mechanisms: ways in which a stage reads shared knowledge, by name."""
