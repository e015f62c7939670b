"""The benchmark of searches in `perf/search_quality.py`: what it measures, and what it measures again."""

import json

import pytest
import search_quality
import torch
from search_quality import append, missing, read

from book_searches import regret, searches_table, summary
from lasem.runs import build_learner


def line(**changes):
    return {"stream": "digits", "row": "published", "seed": 0, "chosen": ["01"], "probes": [{}]} | changes


def test_seed_is_measured_again_only_where_probes_are_asked_for(tmp_path):
    out = tmp_path / "quality.jsonl"
    lines = [line(probes=[]), line(seed=1, probes=[]), line(row="111")]
    out.write_text("".join(json.dumps(one) + "\n" for one in lines) + '{"stream": "dig', encoding="utf-8")
    rows = ["published", "111"]
    assert missing(out, "digits", rows, seeds=2, probes=0) == [("111", 1)]
    assert missing(out, "digits", rows, seeds=2, probes=1) == [("published", 0), ("111", 1)]
    append(out, line(chosen=["10", "10"]))
    [measured] = [one for one in read(out, "digits") if one["row"] == "published" and one["seed"] == 0]
    assert measured["chosen"] == ["10", "10"]


@pytest.mark.parametrize("row", ["published", "brute-force", "late", "10", "10-best-of-2", "brute-force-again"])
def test_row_of_a_planted_stream_is_measured_with_probes(monkeypatch, row):
    preset, *settings = search_quality.STREAMS["synthetic-10"]
    small = ["benchmark.tasks=2", "benchmark.train_per_class=5", "benchmark.test_per_class=5", "training.epochs=2"]
    monkeypatch.setitem(search_quality.STREAMS, "synthetic-10", [preset, *settings, *small])
    spec = search_quality.spec_of("synthetic-10", row, 3)
    found = search_quality.measure(spec, None, probed=True, training=search_quality.training_of(row))
    assert [len(accuracies) for accuracies in found["accuracy"]] == [1, 2]
    assert found["planted"] == ["10", "10"]
    assert [set(probes) for probes in found["probes"]] == [{"00", "01", "10", "11"}] * 2
    if row.startswith("10"):
        assert found["chosen"] == ["10", "10"]
    if row.startswith("brute-force"):
        assert regret(found)["agreement"] == 100.0
    assert searches_table([line(row=row) | found])[0]["search"] == f"`{row}`"
    counted = found["accuracy"][1][1]  # without the first task
    assert summary(found)["at the end, %"] == pytest.approx(100 * counted)


def test_best_training_is_the_one_that_validates_best(monkeypatch):
    preset, *settings = search_quality.STREAMS["synthetic-01"]
    small = ["benchmark.tasks=1", "training.epochs=1"]
    monkeypatch.setitem(search_quality.STREAMS, "synthetic-01", [preset, *settings, *small])
    spec = search_quality.spec_of("synthetic-01", "00-best-of-3", 0)
    stream = search_quality.stream_of(spec, None)
    learner = build_learner(spec, stream.outline, device=torch.device("cpu"))
    alone = [search_quality.copy_of(learner, spec, stream, position=0, again=again) for again in range(3)]
    for one in alone:
        search_quality.train(one, stream[0], identity=0, epochs=1)
    valid = [search_quality.accuracy(one, stream[0], identity=0, split="valid") for one in alone]
    assert len(set(valid)) > 1
    best, _ = search_quality.training_of("00-best-of-3")(spec, stream, learner, 0)
    assert search_quality.accuracy(best, stream[0], identity=0, split="valid") == max(valid)


def test_choice_is_trained_again_from_other_values():
    spec = search_quality.spec_of("synthetic-01", "brute-force-again", 0)
    spec = spec.changed({"training": {"epochs": 1}, "benchmark": {"tasks": 1, "train_per_class": 5}})
    stream = search_quality.stream_of(spec, None)
    learner = build_learner(spec, stream.outline, device=torch.device("cpu"))
    searched = search_quality.copy_of(learner, spec, stream, position=0)
    search_quality.train(searched, stream[0], identity=0, epochs=1)
    kept, _ = search_quality.training_of("brute-force-again")(spec, stream, learner, 0)
    assert search_quality.chosen_by(kept, 0) == search_quality.chosen_by(searched, 0)
    images = stream[0].splits["test"].images
    assert not torch.equal(kept.logits(images, 0), searched.logits(images, 0))
