"""Models of transformers with random values: image classifiers and text encoders are cut by their names."""

import copy
from importlib.util import find_spec

import pytest
import torch

from lasem.benchmarks import Split, Task
from lasem.errors import SpecError
from lasem.learners import SelectiveTransfer, Training
from lasem.nn import Backbone, LibraryNetwork
from lasem.nn._import_library import import_library
from lasem.search import EM

if find_spec("transformers") is None:
    pytest.skip("needs transformers", allow_module_level=True)
transformers = import_library("transformers", extra="transformers")
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
IMAGES = SIZES | {"image_size": 16, "patch_size": 8, "num_labels": 5}
WORDS = {"vocab_size": 20, "max_position_embeddings": 8}
VIT = transformers.ViTForImageClassification(transformers.ViTConfig(**IMAGES)).eval()
DISTILBERT = transformers.DistilBertForSequenceClassification(
    transformers.DistilBertConfig(dim=16, n_layers=2, n_heads=2, hidden_dim=32, num_labels=5, **WORDS)
).eval()
BERT = transformers.BertModel(transformers.BertConfig(**SIZES, **WORDS)).eval()


def committed(backbone):
    """Commit a first task that owns and shares stages in turn."""
    backbone.begin_task(0, classes=5, uses=[(True, True)] * len(backbone.stages))
    backbone.commit([number % 2 for number in range(len(backbone.stages))])
    return backbone


@pytest.mark.parametrize(
    ("model", "stages", "inputs"),
    [
        (VIT, ["vit.embeddings", "vit.layers.*"], torch.rand(3, 3, 16, 16)),
        (DISTILBERT, ["distilbert.embeddings", "distilbert.transformer.layer.*"], torch.randint(20, (3, 6))),
    ],
)
def test_a_classifier_of_transformers_answers_as_it_did(model, stages, inputs):
    layer, shape = model.classifier, tuple(inputs.shape[1:])
    backbone = committed(
        Backbone.of(model, stages=stages, shape=shape, tokens=inputs.dim() == 2, head=lambda *_: copy.deepcopy(layer))
    )
    with torch.no_grad():
        expected, network = model(inputs).logits, backbone.network(0)
        torch.testing.assert_close(backbone.path_logits(inputs, 0), expected)
        torch.testing.assert_close(network(inputs), expected)
        torch.testing.assert_close(network(inputs[:1]), expected[:1])


def test_an_encoder_without_classifier_gives_its_last_states_as_features():
    backbone = committed(Backbone.of(BERT, stages=["embeddings", "encoder.layer.*"], shape=(6,), tokens=True))
    tokens = torch.randint(20, (3, 6))
    states = BERT(tokens).last_hidden_state.movedim(1, -1).flatten(1)  # positions first, as all features
    torch.testing.assert_close(backbone.path_logits(tokens, 0), backbone.heads["0"](states))
    listed = Backbone.of(BERT, stages=[BERT.embeddings, *BERT.encoder.layer], shape=(6,), tokens=True)
    assert torch.equal(committed(listed).path_logits(tokens, 0), backbone.path_logits(tokens, 0))


def test_lasem_searches_over_a_text_encoder_with_dropout():
    stages = ["distilbert.embeddings", "distilbert.transformer.layer.*"]
    backbone = Backbone.of(DISTILBERT, stages=stages, shape=(6, 1, 1), tokens=True, own="lora", frozen=True)
    assert backbone.stochastic
    learner = SelectiveTransfer(backbone, EM(), training=Training(batch_size=6, learning_rate=1e-3, keep=1.0))
    for number in range(2):
        texts = Split(images=torch.randint(20, (6, 6, 1, 1)).float(), labels=torch.arange(6) % 2)
        task = Task(name="texts", classes=2, train=texts, valid=texts, test=texts, identity=number)
        learner.begin_task(task)
        learner.train_epoch()
        learner.end_task()
    assert set(backbone.configurations) == {0, 1}


def test_specs_name_kinds_of_transformers():
    network = LibraryNetwork(name="transformers:vit", stages=("vit.embeddings", "vit.layers.*"), options=IMAGES)
    assert [layer.name for layer in network.layers] == ["vit.embeddings", "vit.layers.0", "vit.layers.1"]
    assert network.build((3, 16, 16)).output_shapes()[1:] == [(5, 16)] * 3
    with pytest.raises(SpecError, match=r"must match submodules of ViT.*known: vit.layers.\*"):
        LibraryNetwork(name="transformers:vit", stages=("encoder.layer.*",), options=IMAGES).build((3, 16, 16))
    with pytest.raises(SpecError, match=r"must be a kind of network .*got 'google/vit-base.*weights = \"library\""):
        LibraryNetwork(name="transformers:google/vit-base", stages=("vit.layers.*",)).build((3, 16, 16))
