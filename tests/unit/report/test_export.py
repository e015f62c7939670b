import csv
import re
from pathlib import Path

import pyarrow.parquet as pa_parquet
import pytest
from run_folders import grown, write_learner

from lasem.report import collect, export
from lasem.report._export import schema
from lasem.report._exported_tables import EXPORTED

DOCUMENTED = Path(__file__).parents[3] / "docs" / "data-export.md"


@pytest.fixture
def written(finished, unfinished, tmp_path):
    export(collect([finished.parent]), tmp_path / "out")
    return tmp_path / "out"


def rows(folder, table):
    return pa_parquet.read_table(folder / f"{table}.parquet").to_pylist()


def test_both_formats_hold_the_same_rows(written):
    for table in EXPORTED:
        with (written / f"{table}.csv").open(newline="") as file:
            text = list(csv.DictReader(file))
        data = rows(written, table)
        assert len(text) == len(data) > (0 if table != "units" else -1)
        for one, other in zip(text, data, strict=True):
            assert one.keys() == other.keys()
            for key, value in other.items():
                read = {"": None, "true": True, "false": False}.get(one[key], one[key])
                assert read == value or (isinstance(value, int | float) and float(read) == pytest.approx(value)), key


def test_accuracy_has_a_row_per_epoch_and_split(written):
    found = [row for row in rows(written, "accuracy") if row["run"] == "small-s0-abc0"]
    assert len(found) == 3 * 2 * 2
    (row,) = [r for r in found if (r["task"], r["task_epoch"], r["split"]) == (1, 2, "test")]
    assert (row["learner"], row["seed"], row["epoch"], row["accuracy"]) == ("lasem-hps", 0, 4, 0.9)


def test_retention_is_the_accuracy_matrix(written):
    found = {(r["after_task"], r["task"]): r["accuracy"] for r in rows(written, "retention") if r["seed"] == 0}
    assert found == {(0, 0): 0.8, (1, 0): 0.6, (1, 1): 0.9, (2, 0): 0.4, (2, 1): 0.72, (2, 2): 0.5}


def test_configurations_probabilities_and_marginals_are_long(written):
    shared = {(r["task"], r["layer"]): r["shared"] for r in rows(written, "configurations") if r["seed"] == 0}
    assert shared == {(0, 1): True, (0, 2): True, (1, 1): True, (1, 2): False, (2, 1): False, (2, 2): False}
    found = [r for r in rows(written, "probabilities") if (r["seed"], r["task"], r["task_epoch"]) == (0, 1, 2)]
    assert {r["configuration"]: r["probability"] for r in found} == {"00": 0.0, "01": 0.1, "10": 0.7, "11": 0.2}
    found = [r for r in rows(written, "marginals") if (r["seed"], r["task"], r["task_epoch"]) == (0, 0, 2)]
    assert {r["group"]: r["probability"] for r in found} == {1: pytest.approx(0.7), 2: pytest.approx(0.6)}


def test_units_have_a_row_per_task_and_layer(finished, tmp_path):
    (run,) = collect([finished])
    export([grown(run, units=[(2, 3), (4, 5), (6, 7)])], tmp_path / "out")
    found = {(row["task"], row["layer"]): (row["units"], row["split"]) for row in rows(tmp_path / "out", "units")}
    assert list(found) == [(task, layer) for task in range(3) for layer in (1, 2)]
    assert list(found.values()) == [(units, None) for units in range(2, 8)]


def test_tasks_and_runs_tell_what_was_committed_and_what_is_finished(written):
    found = {r["task"]: (r["configuration"], r["configuration_name"]) for r in rows(written, "tasks") if r["seed"] == 0}
    assert found == {0: ("11", "all"), 1: ("10", "bottom-1"), 2: ("00", "none")}
    runs = {r["seed"]: r for r in rows(written, "runs")}
    assert (runs[0]["finished"], runs[1]["finished"]) == (True, False)
    assert (runs[0]["parameters_shared"], runs[0]["parameters_tasks"], runs[1]["parameters_shared"]) == (100, 60, None)
    measures = {r["measure"]: r["value"] for r in rows(written, "measures") if r["seed"] == 0}
    assert measures["final_accuracy"] == pytest.approx((0.4 + 0.72 + 0.5) / 3)


def test_folders_of_one_name_are_told_apart(finished, tmp_path):
    (tmp_path / "again").mkdir()
    finished.rename(tmp_path / "again" / "x")
    (tmp_path / "more").mkdir()
    for file in ("a", "b"):
        folder = tmp_path / "more" / file / "x"
        folder.mkdir(parents=True)
        for name in ("spec.toml", "records.jsonl", "result.json"):
            (folder / name).write_bytes((tmp_path / "again" / "x" / name).read_bytes())
        spec = (folder / "spec.toml").read_text()
        (folder / "spec.toml").write_text(spec.replace("data = 0", f"data = {len(file) + ord(file)}"))
    export(collect([tmp_path / "more"]), tmp_path / "out")
    assert len({row["run"] for row in rows(tmp_path / "out", "runs")}) == 2


def test_every_column_is_documented_where_it_is_and_in_the_page():
    page = DOCUMENTED.read_text(encoding="utf-8")
    for table in EXPORTED:
        section = re.search(rf"^## {table}\n(.*?)(?=^## |\Z)", page, flags=re.DOTALL | re.MULTILINE)
        assert section, table
        for field in list(schema(table))[4:]:
            meaning = field.metadata[b"meaning"].decode()
            assert f"| `{field.name}` | {field.type} | {meaning} |" in section[1], (table, field.name)


def test_every_setting_that_differs_is_a_column_of_the_runs(tmp_path):
    for number, (rate, kind) in enumerate([(0.01, "adam"), (0.002, "sgd")]):
        more = f'\n[training]\nlearning_rate = {rate}\noptimizer = "{kind}"\nepochs = 5\n'
        write_learner(tmp_path / "runs" / str(number), "hps", extra=more)
    export(collect([tmp_path / "runs"]), tmp_path / "out")
    found = [(row["training.learning_rate"], row["training.optimizer"]) for row in rows(tmp_path / "out", "runs")]
    assert found == [(0.01, "adam"), (0.002, "sgd")]
    assert "training.epochs" not in rows(tmp_path / "out", "runs")[0]
