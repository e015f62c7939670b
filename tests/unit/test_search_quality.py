"""The benchmark of searches in `perf/search_quality.py`: what it measures, and what it measures again."""

import json

import pytest
import search_quality
from search_quality import append, missing, read

from book_searches import regret, searches_table, summary


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
        assert regret(found)["agreement"] == 100.0
    assert searches_table([line(row=row) | found])[0]["search"] == row
    counted = found["accuracy"][1][1]  # without the first task
    assert summary(found)["at the end, %"] == pytest.approx(100 * counted)
