"""Tables of how well searches choose, against numbers worked out by hand."""

import json

import pytest

from book_searches import (
    drawn_table,
    gains_table,
    judge,
    planted_table,
    read_lines,
    regret,
    regret_table,
    searches_table,
    summary,
)

ALONE = {"00": [0.6, 0.70, 2.0], "01": [0.8, 0.60, 2.0], "10": [0.8, 0.80, 2.0], "11": [0.5, 0.75, 2.0]}
"""Validation accuracy, test accuracy and seconds of each configuration by itself; two of them validate best."""


def line(**changes):
    return {
        "stream": "digits", "row": "published", "seed": 0, "accuracy": [[0.8], [0.6, 0.9]], "chosen": ["01", "11"],
        "probes": [ALONE, ALONE], "seconds": [4.0, 6.0], "parameters": 100,
    } | changes  # fmt: skip


def test_measures_of_a_line_follow_from_its_accuracies_and_probes():
    assert summary(line()) == pytest.approx(
        {
            "at the end, %": 75,
            "at own end, %": 85,
            "forgetting ratio": 0.75,
            "values stored": 100,
            "planted, %": float("nan"),
            "training, s": 10,
        },
        nan_ok=True,
    )
    assert regret(line()) == pytest.approx(
        {
            "regret": (10 - 5) / 2,  # 70 % by brute force; chosen were 60 and 75 %
            "regret by chance": 70 - (70 + 60 + 80 + 75) / 4,
            "less than chance": (60 + 75) / 2 - (70 + 60 + 80 + 75) / 4,
            "agreement": 50,
            "agreement by chance": 50,
            "cost": 2.5,
        }
    )
    assert regret(line(chosen=["10", "01"]))["agreement"] == 100


def test_first_task_of_a_planted_stream_is_not_counted():
    planted = line(accuracy=[[0.8], [0.1, 0.9]], probes=[], chosen=["00", "01"], planted=["01", "01"])
    assert summary(planted)["at the end, %"] == summary(planted)["at own end, %"] == pytest.approx(90)
    assert summary(planted)["planted, %"] == 100
    [shown] = planted_table([planted])
    assert (shown["at the end, %"], shown["planted, %"]) == ("90.0", "100")


def test_gains_are_taken_seed_by_seed_and_streams_with_planted_sharing_are_one_column():
    lines = [
        line(stream=stream, seed=seed, row=row, accuracy=[[0.8], [end, last]], planted=planted)
        for stream, planted in (("digits", ()), ("synthetic-01", ["01", "01"]), ("synthetic-10", ["10", "10"]))
        for seed in range(3)
        for row, end, last in (
            ("published", 0.4, 0.8),
            (
                "late",
                0.4 + 0.1 * seed * (stream == "digits"),
                0.8 + {"synthetic-01": 0.1, "synthetic-10": -0.1}.get(stream, 0),
            ),
        )
    ]
    [late] = gains_table(lines)
    assert late["search"] == "`late`"
    assert late["digits, points"] == "+5.0 ± 12.4"  # of 0, 5 and 10 points
    assert late["digits, ratio"] == "+0.125 ± 0.311"
    assert late["planted, points"] == "+0.0 ± 0.0"  # 10 and -10 points in every seed; the first task does not count


def test_brute_force_agrees_with_itself():
    assert judge("10", ALONE)["regret"] == pytest.approx(-10)  # its tie with 01 is broken well
    assert judge("10", ALONE | {"01": [0.7, 0.6, 2.0]})["regret"] == 0


def test_differences_from_the_published_search_are_paired_and_tested_from_five_seeds_on():
    ends = {seed: [[0.5], [0.5 + 0.01 * seed, 0.5]] for seed in range(5)}
    better = {seed: [[0.5], [0.6 + 0.01 * seed, 0.6 + 0.001 * seed]] for seed in range(5)}
    published = [line(seed=seed, accuracy=ends[seed]) for seed in ends]
    other = [line(seed=seed, row="111", accuracy=better[seed]) for seed in better]
    first, second = searches_table([*published, *other])
    assert (first["search"], second["search"], second["less published"]) == ("`111`", "`published`", "")
    assert first["less published"].startswith("+10.1")
    assert first["less published"].endswith("*")
    assert not searches_table([*published, *other[:4]])[0]["less published"].endswith("*")


def test_regret_leaves_fixed_choices_and_seeds_without_probes_out():
    lines = [line(), line(seed=1, probes=[]), line(row="11", chosen=["11", "11"])]
    [shown] = regret_table(lines)
    assert (shown["search"], shown["seeds"], shown["agreement, %"]) == ("`published`", "1", "50")


def test_drawn_searches_are_compared_with_the_exact_one_task_by_task():
    def found(chosen, marginals):
        return {"chosen": chosen, "marginals": marginals, "test": 0.5}

    tasks = [
        {"searches": {"exact": found("01", [0.2, 0.9]), "8 drawn": found("11", [0.6, 0.9])}, "probes": {}},
        {"searches": {"exact": found("00", [0.2, 0.1]), "8 drawn": found("00", [0.2, 0.3])}, "probes": {}},
    ]
    exact, drawn = drawn_table([{"stream": "toy-2", "row": "drawn", "seed": 0, "tasks": tasks}])
    assert (exact["layers alike, %"], exact["marginals apart"]) == ("100", "0.00")
    assert (drawn["layers alike, %"], drawn["marginals apart"]) == ("75", "0.15")
    assert drawn["regret, points"] == ""


def test_lines_are_read_by_stream_and_row_and_the_later_of_two_counts(tmp_path):
    path = tmp_path / "lines.jsonl"
    lines = [line(), line(stream="other"), line(row="111"), line(parameters=7)]
    path.write_text("".join(json.dumps(one) + "\n" for one in lines), encoding="utf-8")
    found = read_lines(path, ["other", "digits"], lambda row: row == "published")
    assert [(one["stream"], one["parameters"]) for one in found] == [("other", 100), ("digits", 7)]
    with pytest.raises(ValueError, match=r"gone.jsonl must be in results/records"):
        read_lines(tmp_path / "gone.jsonl", ["digits"], bool)
