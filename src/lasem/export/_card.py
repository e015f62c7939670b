"""The model card: what an exported network is, in Markdown, for people and for the Hugging Face hub."""

from collections.abc import Mapping
from typing import Any

from lasem.configurations import FROZEN
from lasem.runs import Learned
from lasem.text import escape_markdown

USAGE = {
    "onnx": """import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("{file}")
(logits,) = session.run(["logits"], {{"images": pixels{task}}})  # pixels: (batch, {shape}), float32, 0 to 1""",
    "torch-export": """import torch

network = torch.export.load("{file}").module()
logits = network(pixels)  # pixels: (batch, {shape}), float32, 0 to 1""",
    "safetensors": """from safetensors.torch import load_file

values = load_file("{file}")  # parameters of the layers that {file}.json lists, by "task.N." and their names""",
}
"""Code for each format that reads a file."""


INSIDE = "All that follows is inside the network."
OUTSIDE = (
    "The file has parameters alone: the order of pixels and channels, inversion and scaling of each task, which"
    " `preprocessing` lists, are yours to apply before the first layer."
)
"""What a file says of the steps after decoding, with a network inside and without."""


def model_card(run: Learned, about: Mapping[str, Any], *, file: str) -> str:
    """Write the model card of an exported network.

    Args:
        run: The run that it comes from.
        about: Description of the export, as the JSON beside the file has it.
        file: Name of the file.
    """
    name = escape_markdown(run.spec.name)
    shape, several = ", ".join(map(str, run.image_shape)), len(about["tasks"]) > 1
    colors = "RGB" if run.image_shape[0] == 3 else "gray"
    task = ', "task": np.asarray(0)' if several and about["format"] == "onnx" else ""
    rest = OUTSIDE if about["format"] == "safetensors" else INSIDE
    usage = USAGE[about["format"]].format(file=file, shape=shape, task=task)
    return f"""---
library_name: lasem
pipeline_tag: image-classification
tags: [lasem, lifelong-learning, continual-learning]
---

# {name}

A network for image classification that lasem {about["lasem"]} trained on {run.num_tasks} tasks,
one after another. The run has the hash `{about["hash"]}` and the seed {about["seed"]}. The task of an image
must be known.

## Use

```python
{usage}
```

Decode an image to {colors}, resize it to {run.image_shape[1]} x {run.image_shape[2]} pixels (height x width;
bilinear, antialiased) and divide by 255. {rest} `{file}.json` lists every step.

## Tasks

{_tasks(run, about)}

## Measures of the whole run

{_measures(run)}

The exported logits differ by at most {about["check"]["largest_difference"]:.1e} from those of the run, on
{about["check"]["images"]} images.

## Spec

```toml
{run.spec.toml().strip()}
```
"""


def _tasks(run: Learned, about: Mapping[str, Any]) -> str:
    """Return a table of the exported tasks, with the share map: one digit per layer."""
    lines = ["| task | name | classes | shares | accuracy at its end, % | accuracy now, % |", "|" + " --- |" * 6]
    for task in about["tasks"]:
        position, digits = task["task"], task["configuration"]
        end, now = (row[position] for row in (run.result.accuracy[position], run.result.accuracy[-1]))
        cells = [
            str(position),
            escape_markdown(task["name"]),
            ", ".join(map(escape_markdown, task["classes"])),
            "" if digits is None else "".join(map(str, digits)),
            f"{100 * end:.1f}",
            f"{100 * now:.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    frozen = any(FROZEN in (task["configuration"] or ()) for task in about["tasks"])
    note = "One digit per layer, the layer nearest the input first; 1 = shared with other tasks"
    return "\n".join([*lines, "", f"{note}{', 2 = frozen at the initial values' if frozen else ''}."])


def _measures(run: Learned) -> str:
    """Return the measures of the whole run as a list."""
    final, ratio = run.result.final_accuracy, run.result.forgetting_ratio.mean
    lines = [] if final is None else [f"- final accuracy: {final:.1%}"]
    lines += [] if ratio is None else [f"- forgetting ratio: {ratio:.3f}"]
    parameters = run.result.parameters
    return "\n".join([*lines, f"- parameters: {parameters.shared + sum(parameters.per_task):,}"])
