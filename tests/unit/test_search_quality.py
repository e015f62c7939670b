"""The benchmark of searches in `perf/search_quality.py`: its measures, and what it measures again."""

import json

import pytest
import search_quality
from search_quality import append, missing, read, summary, table

ALONE = {"00": [0.6, 0.70, 2.0], "01": [0.8, 0.60, 2.0], "10": [0.8, 0.80, 2.0], "11": [0.5, 0.75, 2.0]}
"""Validation accuracy, test accuracy and seconds of each configuration by itself; two of them validate best."""


def line(**changes):
    return {
        "stream": "digits",
        "row": "published",
        "seed": 0,
        "accuracy": [[0.8], [0.6, 0.9]],
        "chosen": ["01", "11"],
        "probes": [ALONE, ALONE],
        "seconds": [4.0, 6.0],
        "parameters": 100,
    } | changes


def test_measures_of_a_line_follow_from_its_accuracies_and_probes():
    found = summary(line())
    assert found["final, %"] == pytest.approx(75.0)
    assert found["at own end, %"] == pytest.approx(85.0)
    assert found["forgetting ratio"] == pytest.approx(0.75)
    assert found["regret, points"] == pytest.approx((10 - 5) / 2)  # 70 % by brute force; chosen were 60 and 75 %
    assert found["agreement, %"] == 50.0
    assert found["regret by chance, points"] == pytest.approx(70 - (70 + 60 + 80 + 75) / 4)
    assert found["agreement by chance, %"] == 50.0
    assert found["cost, static steps"] == pytest.approx(2.5)
    assert summary(line(chosen=["10", "01"]))["agreement, %"] == 100.0


def test_first_task_of_a_planted_stream_is_not_counted():
    found = summary(line(accuracy=[[0.8], [0.1, 0.9]], probes=[], chosen=["00", "01"], planted=["01", "01"]))
    assert found["final, %"] == found["at own end, %"] == pytest.approx(90.0)
    assert found["planted, %"] == 100.0


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


@pytest.mark.parametrize("row", ["published", "brute-force", "10"])
def test_row_of_a_planted_stream_is_measured_with_probes(monkeypatch, row):
    preset, *settings = search_quality.STREAMS["synthetic-10"]
    small = ["benchmark.tasks=2", "benchmark.train_per_class=5", "benchmark.test_per_class=5", "training.epochs=1"]
    monkeypatch.setitem(search_quality.STREAMS, "synthetic-10", [preset, *settings, *small])
    found = search_quality.measure(search_quality.spec_of("synthetic-10", row, 3), None, probed=True)
    assert [len(accuracies) for accuracies in found["accuracy"]] == [1, 2]
    assert found["planted"] == ["10", "10"]
    assert [set(probes) for probes in found["probes"]] == [{"00", "01", "10", "11"}] * 2
    if row == "10":
        assert found["chosen"] == ["10", "10"]
    if row == "brute-force":
        assert summary({"stream": "synthetic-10", "row": row, "seed": 3} | found)["agreement, %"] == 100.0
    assert row in table([{"stream": "synthetic-10", "row": row, "seed": 3} | found])
