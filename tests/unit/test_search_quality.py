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


@pytest.mark.parametrize("row", ["published", "brute-force", "late", "10", "10-best-of-2"])
def test_row_of_a_planted_stream_is_measured_with_probes(monkeypatch, row):
    preset, *settings = search_quality.STREAMS["synthetic-10"]
    small = ["benchmark.tasks=2", "benchmark.train_per_class=5", "benchmark.test_per_class=5", "training.epochs=2"]
    monkeypatch.setitem(search_quality.STREAMS, "synthetic-10", [preset, *settings, *small])
    spec, trainings = search_quality.spec_of("synthetic-10", row, 3), search_quality.trainings_of(row)
    found = search_quality.measure(spec, None, probed=True, trainings=trainings)
    assert [len(accuracies) for accuracies in found["accuracy"]] == [1, 2]
    assert found["planted"] == ["10", "10"]
    assert [set(probes) for probes in found["probes"]] == [{"00", "01", "10", "11"}] * 2
    if row.startswith("10"):
        assert found["chosen"] == ["10", "10"]
    if row == "brute-force":
        assert regret(found)["agreement"] == 100.0
    assert searches_table([line(row=row) | found])[0]["search"] == row
    counted = found["accuracy"][1][1]  # without the first task
    assert summary(found)["at the end, %"] == pytest.approx(100 * counted)


def test_best_training_is_the_one_that_validates_best(monkeypatch):
    preset, *settings = search_quality.STREAMS["synthetic-01"]
    small = ["benchmark.tasks=1", "training.epochs=1"]
    monkeypatch.setitem(search_quality.STREAMS, "synthetic-01", [preset, *settings, *small])
    spec = search_quality.spec_of("synthetic-01", "00-best-of-3", 0)
    stream = search_quality.stream_of(spec, None)
    learner = build_learner(spec, stream.outline, device=torch.device("cpu"))
    alone = []
    for seed in (0, 1000, 2000):
        one = build_learner(spec.changed({"seeds": {"training": seed}}), stream.outline, device=torch.device("cpu"))
        search_quality.train(one, stream[0], identity=0, epochs=1)
        alone.append(search_quality.accuracy(one, stream[0], identity=0, split="valid"))
    assert len(set(alone)) > 1
    best, _ = search_quality.best_training(spec, stream, learner, position=0, trainings=3)
    assert search_quality.accuracy(best, stream[0], identity=0, split="valid") == max(alone)
