import csv
import re
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO

import pytest
from rich.cells import cell_len
from rich.console import Console
from run_folders import task_events, write_learner, write_run

from lasem.errors import ReportError
from lasem.metrics import Spread
from lasem.report import FORMATS, TABLES, TableView, collect, comparison, table
from lasem.report._published import RESULTS, SETTINGS
from lasem.report._table import Column, make_table

FULL = "\n[training]\nepochs = 500\nlearning_rate = 1e-4\n"


def cells(table, key):
    return dict(zip(table.texts.iloc[:, 0], table.texts[key], strict=True))


NAN = float("nan")
SAMPLE = make_table(
    "A <script>sample</script> & more",
    (
        Column("learner", "learner", ["a_b & c", "<i>", "c"], words=True),
        Column(
            "peak", "peak, %", ["50.0 ± 2.5", "49.0 ± 2.0", "-"],
            [Spread(3, 0.5, 0.01, 0.025), Spread(3, 0.49, 0.02, 0.02), Spread(0, NAN, NAN, NAN)], ["best", "level", ""],
        ),
        Column("odd", "a|b & c_d", ["1", "x|y", "3"]),
        Column("empty", "empty", ["", "", ""]),
    ),
    "best in bold; 95% intervals, $5 {each} ~^\\",
)  # fmt: skip


def test_markdown_is_a_pipe_table_with_the_best_in_bold():
    lines = FORMATS["markdown"](SAMPLE).splitlines()
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[:5]]
    assert rows[0] == ["learner", "peak, %", "a\\|b & c_d"]
    assert [bool(re.fullmatch("-+:", cell)) for cell in rows[1]] == [False, True, True]
    assert rows[2][:2] == ["a_b & c", "**50.0 ± 2.5**"]
    assert rows[3] == [r"\<i\>", "49.0 ± 2.0 ≈", "x\\|y"]
    assert lines[-1] == r"best in bold; 95% intervals, \$5 {each} \~^\\"


def test_latex_has_booktabs_rules_and_escapes_what_is_special():
    text = FORMATS["latex"](SAMPLE)
    for words in (
        r"\toprule",
        r"\midrule",
        r"\bottomrule",
        r"\begin{tabular}{lrr}",
        r"a\_b \& c",
        r"95\% intervals",
        r"\$5 \{each\}",
    ):
        assert words in text
    assert r"\bfseries 50.0 $\pm$ 2.5" in text
    assert r"49.0 $\pm$ 2.0 $\approx$" in text
    assert text.count(r"\\") == 1 + len(SAMPLE.texts)
    assert text.count("{") == text.count("}")


class Cells(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.texts.append(data.strip())


def test_html_is_a_table_whose_texts_are_escaped():
    found = Cells(FORMATS["html"](SAMPLE))
    assert (found.tags.count("tr"), found.tags.count("td"), found.tags.count("i")) == (4, 9, 0)
    assert "script" not in found.tags
    for text in ("<i>", "a_b & c", "49.0 ± 2.0 ≈", f"{SAMPLE.title}. {SAMPLE.note}"):
        assert text in found.texts


def test_csv_holds_the_numbers_themselves():
    rows = list(csv.DictReader(StringIO(FORMATS["csv"](SAMPLE))))
    assert rows[0] == {
        "learner": "a_b & c", "peak": "0.5", "peak_ci95": "0.025", "peak_sd": "0.01", "peak_seeds": "3", "odd": "1",
    }  # fmt: skip
    assert (rows[2]["peak"], rows[2]["peak_seeds"]) == ("", "0")


def test_csv_leaves_a_setting_empty_that_a_run_does_not_have():
    held = replace(SAMPLE, numbers=SAMPLE.numbers.assign(odd=["=1", None, "3"]))
    assert [row["odd"] for row in csv.DictReader(StringIO(FORMATS["csv"](held)))] == ["'=1", "", "3"]


def test_a_table_without_lines_is_written_in_every_format(unfinished):
    empty = table("time", collect([unfinished]))
    assert len(empty.texts) == 0
    assert all(write(empty) is not None for write in FORMATS.values())
    assert TableView(empty).text()


@pytest.mark.parametrize("width", [80, 120])
def test_a_comparison_fits_the_terminal_and_loses_no_number(tmp_path, width):
    for name in ("lasem-hps", "hps", "brute-force-hps"):
        write_learner(tmp_path, name, seeds=range(3))
    console = Console(width=width, file=StringIO(), record=True)
    console.print(comparison(collect([tmp_path])))
    lines = console.export_text().splitlines()
    assert max(map(cell_len, lines)) <= width
    assert sum("brute-force-hps" in line for line in lines) == (2 if width == 80 else 1)
    for text in table("comparison", collect([tmp_path])).texts.to_numpy().ravel():
        assert any(text in line for line in lines), text  # on one line: nothing is folded


def test_one_long_name_leaves_room_for_the_numbers(tmp_path):
    write_learner(tmp_path, "a-learner-with-a-name-" + "x" * 60)
    lines = TableView(table("comparison", collect([tmp_path]))).text(80).splitlines()
    assert max(map(cell_len, lines)) <= 80
    assert any("0.650" in line for line in lines)


def test_standard_deviations_come_on_demand(tmp_path):
    write_learner(tmp_path, "hps", seeds=(0, 1), final_accuracy=lambda seed: 0.5 + 0.02 * seed)
    runs = collect([tmp_path])
    # 0.02 apart: sd = 0.02 / sqrt 2, half width = 12.706 * 0.02 / 2
    assert cells(table("comparison", runs), "final") == {"hps": "51.0 ± 12.7"}
    shown = table("comparison", runs, deviation=True)
    assert cells(shown, "final") == {"hps": "51.0 ± 1.4"}
    assert "standard deviation" in shown.note


def test_published_numbers_stand_beside_ours_for_the_full_settings_only(tmp_path):
    write_learner(tmp_path / "full", "dfcnn", benchmark="stl10-15", extra=FULL)
    made = table("comparison", collect([tmp_path / "full"]))
    assert cells(made, "paper-peak") == {"dfcnn": "45.4 ± 0.4"}
    assert cells(made, "paper-seconds") == {"dfcnn": "21.1 h"}  # 7.58e4 s
    write_learner(tmp_path / "short", "dfcnn", benchmark="stl10-15", extra=FULL.replace("500", "5"))
    assert "paper-peak" not in table("comparison", collect([tmp_path / "short"])).titles


def test_every_published_result_is_of_a_benchmark_whose_settings_are_published():
    assert {benchmark for benchmark, _ in RESULTS} <= set(SETTINGS)


def test_times_are_compared_with_sharing_all_layers(tmp_path):
    seconds = {"training": 9.0, "evaluation": 3.0}
    write_learner(tmp_path, "hps")
    write_learner(tmp_path, "stl", configuration="none")
    write_learner(tmp_path, "lasem-hps", strategy="em")
    for file in tmp_path.glob("lasem-*/result.json"):
        file.write_text(file.read_text().replace('"training":9.0', '"training":22.5'))
    made = table("time", collect([tmp_path]))
    assert cells(made, "relative") == {"hps": "1.00x", "lasem-hps": "2.50x", "stl": "1.00x"}
    assert cells(made, "seconds-per-task")["hps"] == f"{seconds['training'] / 3:.1f} s"


def test_groups_are_compared_with_sharing_all_layers_on_their_stream(tmp_path):
    partition = '\n[search]\npartition = "{1},{2}"\n'
    write_learner(tmp_path, "hps")
    write_learner(tmp_path, "hps-top-1", configuration="top-1")
    write_learner(tmp_path, "lasem-hps-2-groups", strategy="em", extra=partition)
    write_learner(tmp_path / "other", "hps", benchmark="elsewhere")
    made = table("groups", collect([tmp_path]))
    assert cells(made, "groups") == {"hps": "all", "lasem-hps-2-groups": "2"}
    with pytest.raises(ReportError, match="lasem-hps-5-groups"):
        table("groups", collect([tmp_path / "other"]))


def reversed_order(run):
    """The same accuracies by position, of tasks that came in the reverse order."""
    events = [e.model_copy(update={"identity": 2 - e.identity}) if e.event == "task" else e for e in run.events]
    spec = {**run.spec, "benchmark": {**run.spec["benchmark"], "order": [2, 1, 0]}}
    return replace(run, events=tuple(events), spec=spec)


def test_orders_are_compared_task_by_task_with_equal_seeds(tmp_path):
    runs = collect([write_learner(tmp_path, "hps", seeds=(0, 1)), write_learner(tmp_path / "alone", "stl")])
    hps = [run for run in runs if run.learner == "hps"]
    (row,) = table("orders", [*runs, *map(reversed_order, hps)]).numbers.to_dict("records")
    # At the end the tasks have 0.4, 0.72 and 0.5 in one order, and 0.5, 0.72 and 0.4 in the other one.
    assert (row["learner"], row["orders"], row["runs"]) == ("hps", "2", "2")
    assert row["mean"] == pytest.approx(0.2 / 3)
    assert row["largest"] == pytest.approx(0.1)
    assert row["final"] == pytest.approx(1.62 / 3)
    with pytest.raises(ReportError, match="equal seeds in two orders"):
        table("orders", [hps[0], reversed_order(hps[1])])


def test_settings_stand_beside_those_of_the_paper(tmp_path):
    more = FULL + 'optimizer = "rmsprop-tf"\n[search]\nm_steps = 1\n'
    write_learner(tmp_path, "dfcnn", benchmark="stl10-15", extra=more)
    made = table("settings", collect([tmp_path]))
    paper, ours = cells(made, "paper-stl10-15-cifar-4"), cells(made, "stl10-15-cifar-4")
    assert (paper["tasks"], ours["tasks"]) == ("15", "3")
    assert paper["epochs per task"] == ours["epochs per task"] == "500"
    assert paper["learning rate"] == ours["learning rate"] == "0.0001"


def test_small_variants_say_what_they_change(tmp_path):
    folder = write_run(tmp_path / "run", list(task_events(0)))
    (folder / "spec.toml").write_text('small = ["training.epochs is 3"]\n' + (folder / "spec.toml").read_text())
    assert "training.epochs is 3" in table("settings", collect([folder])).note
    whole = write_run(tmp_path / "whole", list(task_events(0)))
    assert "small variants" not in table("settings", collect([whole])).note


def test_an_unknown_table_suggests_a_known_one(finished):
    with pytest.raises(ReportError, match="did you mean 'memory'"):
        table("memmory", collect([finished]))
    assert all(len(table(name, collect([finished])).texts) for name in TABLES if name not in ("groups", "orders"))


def test_tables_and_runs_are_shown_in_notebooks(tmp_path):
    runs = collect([write_learner(tmp_path, "hps")])
    made = table("comparison", runs)
    assert made._repr_html_() == TableView(made)._repr_html_() == FORMATS["html"](made)
    assert repr(runs[0]) == f"Run('small', seed=0, 3 tasks learned, finished, '{runs[0].folder}')"
