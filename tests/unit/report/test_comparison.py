import re
from io import StringIO

import pytest
from rich.console import Console
from run_folders import result, task_events, write_learner, write_run

from lasem.metrics import Spread, spread
from lasem.report import collect, comparison, run_table, show, table, write_page
from lasem.report._comparison import comparison_rows, duration, percent, task_rows, with_interval


def text_of(renderable):
    console = Console(width=200, record=True, file=StringIO())
    console.print(renderable)
    return console.export_text()


def test_numbers_are_written_for_readers():
    assert percent(0.4567) == "45.7"
    assert percent(None) == "-"
    assert with_interval(Spread(3, 0.454, 0.001, 0.0041), scale=100) == "45.4 ± 0.4"
    assert with_interval(spread([0.5]), scale=100, sign="+") == "+50.0"
    assert with_interval(spread([])) == "-"
    assert [duration(spread([s])) for s in (75.2, 750, 11160)] == ["75.2 s", "12.5 min", "3.1 h"]


def test_a_comparison_row_is_the_mean_over_the_seeds_of_one_spec(finished, second_seed, unfinished):
    row, open_row = comparison_rows(collect([finished.parent]))
    assert (row.learner, row.benchmark, row.finished, row.tasks, len(row.runs)) == ("lasem-hps", "digits", True, "3", 2)
    values = row.spreads
    assert values["peak"].mean == pytest.approx((0.8 + 0.95 + 0.5) / 3)  # 0.75
    assert values["peak-test"].mean == pytest.approx((0.82 + 0.95 + 0.5) / 3)
    assert values["final"].mean == pytest.approx((0.4 + 0.72 + 0.5) / 3)
    assert values["forgetting-ratio"].mean == pytest.approx((0.5 + 0.8) / 2)
    assert values["backward-transfer"].mean == pytest.approx((-0.4 - 0.18) / 2)
    assert values["parameters"].mean == 100 + 10 + 20 + 30
    assert values["seconds"][:2] == (2, 10.0)  # 9 and 11
    assert values["seconds"].half_width == pytest.approx(12.706, rel=1e-3)  # t(1) sd / sqrt 2, sd = sqrt 2
    assert (open_row.finished, open_row.tasks, len(open_row.runs)) == (False, "1 of 3", 1)
    values = open_row.spreads
    assert values["peak"].mean == pytest.approx(0.8)
    assert values["seconds"].mean == pytest.approx(3 * 1.5)
    assert values["parameters"].runs == 0


def test_a_run_is_told_task_by_task(finished):
    rows = task_rows(collect([finished])[0])
    assert [row.name for row in rows] == ["t0", "t1", "t2"]
    assert [row.configuration for row in rows] == ["11", "10", "00"]
    assert [row.end for row in rows] == [0.8, 0.9, 0.5]
    assert [row.now for row in rows] == [0.4, 0.72, 0.5]
    assert [row.forgetting_ratio for row in rows] == [pytest.approx(0.5), pytest.approx(0.8), None]
    assert [row.epochs_to_98_percent for row in rows] == [1, 1, 2]  # 0.98 * 0.82 = 0.8036


def test_the_task_that_is_being_learned_has_no_end_yet(unfinished):
    learned, learning = task_rows(collect([unfinished])[0])
    assert (learned.end, learned.configuration) == (0.8, "11")
    assert (learning.end, learning.now, learning.configuration, learning.peak_validation) == (None, None, None, 0.95)


def test_a_result_alone_fills_the_tables(finished):
    (finished / "records.jsonl").unlink()
    (run,) = collect([finished])
    assert [row.now for row in task_rows(run)] == [0.4, 0.72, 0.5]
    assert comparison_rows([run])[0].tasks == "3"


def test_the_terminal_shows_the_comparison_and_the_tasks(finished, second_seed, unfinished):
    runs = collect([finished.parent])
    text = text_of(comparison(runs))
    assert "75.0 ± 0.0" in text
    assert "lasem-hps*" in text
    assert "1 of 3" in text
    assert "72.0" in text_of(run_table(runs[0]))


def test_showing_a_running_run_tells_where_it_stands(unfinished):
    text = text_of(show(collect([unfinished])[0]))
    assert "task 1 (t1), epoch 1 of the task, 3 of the stream" in text
    assert "valid 90.0 %, test 95.0 %" in text
    assert "leading: 00 0.250, 01 0.250" in text
    assert "line 10: not a record" in text


def test_showing_a_run_that_has_not_begun(tmp_path):
    assert "no epoch yet" in text_of(show(collect([write_run(tmp_path / "run", [])])[0]))


def test_names_in_brackets_are_shown_as_they_are(tmp_path):
    first, *others = task_events(0)
    events = [first.model_copy(update={"name": "[red]x"}), *others]
    assert "[red]x" in text_of(run_table(collect([write_run(tmp_path / "run", events)])[0]))


def test_showing_a_finished_run_sums_it_up(finished):
    text = text_of(show(collect([finished])[0]))
    assert "backward transfer, points" in text
    assert "-29.0" in text
    assert "warning" not in text


# Ranks


def compared(folder, peaks, *, more=""):
    """Finished runs of two learners over some seeds: {learner: final accuracy per seed}."""
    for learner, values in peaks.items():
        for seed, value in enumerate(values):
            end = result(seed).model_copy(update={"final_accuracy": value, "learner": learner})
            path = write_run(folder / f"{learner}-s{seed}-abc", list(task_events(0)), seed=seed, end=end)
            text = (path / "spec.toml").read_text().replace("lasem-hps", learner) + more
            (path / "spec.toml").write_text(text)
    rows = comparison_rows(collect([folder]))
    return {row.learner: row.ranks for row in rows}


FIVE = [0.50, 0.52, 0.54, 0.56, 0.58]


@pytest.mark.parametrize(
    ("others", "rank"),
    [
        ([0.48, 0.50, 0.52, 0.54, 0.5601], ""),  # 2 points less in every pair, though the intervals overlap
        ([0.52, 0.49, 0.55, 0.50, 0.56], "level"),  # now more, now less
        (FIVE, "best"),
    ],
)
def test_with_five_seeds_a_paired_test_tells_what_is_level_with_the_best(tmp_path, others, rank):
    ranks = compared(tmp_path, {"a": FIVE, "b": others})
    assert ranks["a"]["final"] == "best"
    assert ranks["b"]["final"] == rank


def test_with_fewer_seeds_nothing_is_said_about_differences(tmp_path):
    ranks = compared(tmp_path, {"a": FIVE[:4], "b": [0.52, 0.49, 0.55, 0.50]})
    assert (ranks["a"]["final"], ranks["b"]["final"]) == ("best", "")


def test_costs_single_rows_and_unfinished_runs_have_no_rank(finished, second_seed, unfinished, tmp_path):
    assert all(rank == "" for row in comparison_rows(collect([finished.parent])) for rank in row.ranks.values())
    ranks = compared(tmp_path / "two", {"a": FIVE, "b": FIVE[:3]})
    assert {(row["seconds"], row["parameters"]) for row in ranks.values()} == {("", "")}


def test_ranks_are_within_a_stream(tmp_path):
    compared(tmp_path, {"a": FIVE[:1]})
    compared(tmp_path / "other", {"b": [0.1]}, more='[benchmark.x]\nname = "other"\n')
    assert {
        rank for row in comparison_rows(collect([tmp_path / "other", tmp_path])) for rank in row.ranks.values()
    } == {""}


def test_the_best_is_bold_and_what_is_level_is_marked(tmp_path):
    compared(tmp_path, {"a": FIVE, "b": [0.52, 0.49, 0.55, 0.50, 0.56]})
    console = Console(width=250, record=True, file=StringIO(), force_terminal=True)
    console.print(comparison(collect([tmp_path])))
    text = console.export_text(styles=True)
    assert re.search(r"\x1b\[1m *54\.0 ± 3\.9", text)
    assert re.search(r"(?<!\x1b\[1m)52\.4 ± 3\.8 ≈", text)
    write_page(collect([tmp_path]), tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "<strong>54.0 ± 3.9</strong>" in page
    assert '52.4 ± 3.8 <span title="not distinguishable from the best">≈</span>' in page


def test_rows_of_different_settings_never_bear_one_name(tmp_path):
    for number, (rate, epochs) in enumerate([(0.01, 5), (0.002, 5), (0.002, 7)]):
        more = f"\n[training]\nlearning_rate = {rate}\nepochs = {epochs}\n"
        write_learner(tmp_path / str(number), "hps", seeds=(0, 1), extra=more)
    write_learner(tmp_path / "other", "stl")
    rows = comparison_rows(collect([tmp_path]))
    assert [row.learner for row in rows] == [
        "hps (learning_rate=0.01, epochs=5)", "hps (learning_rate=0.002, epochs=5)",
        "hps (learning_rate=0.002, epochs=7)", "stl",
    ]  # fmt: skip
    numbers = table("comparison", collect([tmp_path])).numbers
    assert numbers["training.epochs"].tolist()[:3] == [5, 5, 7]


def test_of_many_settings_a_name_has_the_fewest_that_tell_rows_apart(tmp_path):
    for number, rate in enumerate((0.01, 0.002)):
        more = f"\n[training]\nlearning_rate = {rate}\n[search]\n" + "".join(f"a{i} = {number}\n" for i in range(5))
        write_learner(tmp_path / str(number), "hps", extra=more)
    names = [row.learner for row in comparison_rows(collect([tmp_path]))]
    assert names == ["hps (learning_rate=0.01)", "hps (learning_rate=0.002)"]


def test_runs_that_no_setting_tells_apart_are_named_after_their_folders(tmp_path):
    for name in ("one", "two"):
        write_learner(tmp_path / name, "hps")
    for file in list(tmp_path.rglob("spec.toml")):
        file.unlink()
        file.parent.rename(file.parent.with_name(f"of-{file.parent.parent.name}"))
    assert [row.learner for row in comparison_rows(collect([tmp_path]))] == ["hps (of-one)", "hps (of-two)"]
