"""Records and tables of the results book, against numbers worked out by hand."""

import json
import re
from pathlib import Path

import pytest
from run_folders import task_events, write_learner, write_run

from book import labels_of
from book_claims import Claim, claims_table, read_claims, read_elsewhere
from book_figures import write
from book_pages import build
from book_records import COLUMNS, Label, Records, Trial
from book_tables import (
    choices_table,
    grouped,
    learners_table,
    ordered_streams,
    streams_table,
    task_titles,
    tasks_table,
    training_table,
)
from lasem.report import collect
from lasem.sweeps import read_sweep

ROOT = Path(__file__).parents[3]


def trial(row="stl", seed=0, *ends, stream="", **more):
    """One recorded run whose tasks end at these accuracies, half of what they had at their own end."""
    common = dict.fromkeys(COLUMNS) | {
        "run": f"{row}-{stream}-{seed}", "row": row, "stream": stream, "seed": seed, "fingerprint": f"images {seed}",
        "parameters_shared": 1000, "parameters_task": 10, "training_seconds": 30.0, "epochs": 4,
        "result": '{"parameters": {"shared": 1000, "per_task": [10], "search": 1010, "beside": 2000}}',
    }  # fmt: skip
    rows = [
        common | {"task": task, "name": f"t{task}", "end": end, "own_end": 2 * end, "forgetting_ratio": ratio} | more
        for task, (end, ratio) in enumerate(zip(ends, [0.5] * (len(ends) - 1) + [None], strict=True))
    ]
    return Trial(tuple(rows))


@pytest.fixture
def folders(tmp_path):
    write_learner(tmp_path / "runs", "hps", seeds=(0, 1))
    events = [event for task in range(3) for event in task_events(task)]
    write_run(tmp_path / "runs" / "small-s2-open", events, seed=2)
    return sorted((tmp_path / "runs").iterdir())


def test_finished_runs_are_recorded_once_and_come_back_as_folders(folders, tmp_path):
    labels = {path.name: Label("hps", "train_per_class=5") for path in folders}
    records = Records(tmp_path / "records" / "sweep.parquet")
    assert records.add([*folders, tmp_path / "runs" / "not begun"], labels, commit="abc") == 2
    assert records.add(folders, labels) == 0

    again = Records(records.path)
    assert again.table == records.table
    assert again.runs == {"hps-s0-abc", "hps-s1-abc"}
    one = again.trials[1]
    assert (one.label, one["seed"], one["commit"], one["machine"]) == (
        labels["hps-s1-abc"],
        1,
        "abc",
        "a <small> device",
    )
    assert [row["end"] for row in one.rows] == [0.4, 0.72, 0.5]
    assert [row["own_end"] for row in one.rows] == [0.8, 0.9, 0.5]
    assert [row["configuration"] for row in one.rows] == ["11", "10", "00"]
    assert [row["validation"] for row in one.rows] == [
        pytest.approx(values) for values in ([0.5, 0.7], [0.9, 0.9], [0.1, 0.4])
    ]
    assert one.stored == 160

    again.restore(tmp_path / "restored")
    again.restore(tmp_path / "restored")
    restored, before = collect([tmp_path / "restored"]), collect(folders[:2])
    assert [run.result for run in restored] == [run.result for run in before]
    assert [run.spec for run in restored] == [run.spec for run in before]


def test_a_label_parts_settings_of_the_stream_from_those_of_the_learner():
    values = [("benchmark.train_per_class", 5), ("learner.configuration", "20"), ("training.epochs", 3)]
    assert Label.of("hps", values) == Label("hps (configuration=20, epochs=3)", "train_per_class=5")
    assert Label.of("hps", []) == Label("hps")


def test_learners_are_compared_in_pairs_of_the_same_images():
    stl = [trial("stl", seed, 0.2, 0.4) for seed in range(6)]
    hps = [trial("hps", seed, 0.25 + seed / 100, 0.45 + seed / 100) for seed in range(5)]
    hps.append(trial("hps", 5, 0.9, 0.9, fingerprint="other images"))
    first, last = learners_table([*stl, *hps], against=["stl"])
    assert (first["learner"], first["seeds"]) == ("`hps`", "6")
    assert first["less `stl`, points"] == "+7.0 ± 2.0 * (5 in common)"
    assert (last["at the end, %"], last["at own end, %"]) == ("30.0 ± 0.0", "60.0 ± 0.0")
    assert last["forgetting ratio"] == "0.500 ± 0.000"
    assert last["less `stl`, points"] == ""
    assert last["parameters, shared + per task"] == "1,000 + 10"
    assert last["training"] == "≤ 30 s"


def test_a_difference_has_a_star_from_five_seeds_on_and_a_minus_sign():
    trials = [trial(row, seed, end) for seed in range(4) for row, end in (("stl", 0.5), ("hps", 0.3 + seed / 500))]
    assert learners_table(trials, against=["stl"])[1]["less `stl`, points"] == "\N{MINUS SIGN}19.7 ± 0.4"


def test_cpu_time_is_shown_where_all_runs_of_a_row_tell_it():
    trials = [trial("stl", 0, 0.5, cpu_seconds=8.0), trial("stl", 1, 0.5, cpu_seconds=10.0)]
    assert learners_table(trials)[0]["training"] == "9 s"
    assert learners_table([*trials, trial("stl", 2, 0.5)])[0]["training"] == "≤ 30 s"


def test_different_specs_of_one_name_are_refused():
    with pytest.raises(ValueError, match="several of 'stl'"):
        grouped([trial("stl", 0, 0.5), trial("stl", 0, 0.5, run="another")])


def test_streams_are_columns_and_differences_stay_inside_a_stream():
    trials = [
        trial(row, 0, end, stream=stream)
        for row, stream, end in (("stl", "n=5", 0.25), ("hps", "n=5", 0.5), ("stl", "n=10", 0.75), ("ewc", "n=10", 0.5))
    ]
    lines = {line["learner"]: line for line in streams_table(trials, against=["stl"])}
    assert (lines["`stl`"]["n=5, %"], lines["`stl`"]["n=10, %"]) == ("25.0", "75.0")
    assert lines["`hps`"]["n=5, less `stl`"] == "+25.0"
    assert lines["`ewc`"]["n=10, less `stl`"] == "\N{MINUS SIGN}25.0"
    assert "n=10, %" not in lines["`hps`"]
    assert ordered_streams(Label("stl", stream) for stream in ("n=10", "of", "n=5", "n=7.5")) == [
        "n=5",
        "n=7.5",
        "n=10",
        "of",
    ]


def test_tasks_choices_and_training_have_a_line_per_row():
    curves = {"losses": [3.0, 2.0, 1.0, 0.5], "validation": [0.1, 0.2, 0.3, 0.4]}
    trials = [
        trial("em", seed, 0.5, 1.0, configuration=digits, **curves) for seed, digits in enumerate(("01", "11", "11"))
    ]
    assert tasks_table(trials) == [
        {"stream": "", "learner": "`em`", "seeds": "3", "t0, %": "50.0 ± 0.0", "t1, %": "100.0 ± 0.0"}
    ]
    assert choices_table(trials) == [
        {"stream": "", "learner": "`em`", "seeds": "3", "t0": "11 (2), 01 (1)", "t1": "11 (2), 01 (1)"}
    ]
    (line,) = training_table(trials)
    assert (line["loss, at half"], line["loss, at the end"]) == ("2.0000", "0.5000")
    assert (line["validation, %, at half"], line["validation, %, at the end"]) == ("20.0", "40.0")


def test_records_of_runs_that_a_sweep_no_longer_has_can_be_pruned(folders, tmp_path):
    records = Records(tmp_path / "sweep.parquet")
    records.add(folders, {path.name: Label("hps") for path in folders})
    assert records.prune({"hps-s1-abc", "another"}) == 1
    assert Records(records.path).runs == {"hps-s1-abc"}


def test_records_tell_no_paths_of_the_machine(folders, tmp_path):
    environment = folders[0] / "environment.json"
    told = json.loads(environment.read_text())
    environment.write_text(json.dumps(told | {"command": "lasem run --out /secret", "data": "/secret"}))
    records = Records(tmp_path / "sweep.parquet")
    records.add(folders, {path.name: Label("hps") for path in folders})
    kept = json.loads(records.trials[0]["environment"])
    assert kept == {key: value for key, value in told.items() if key != "data"}


def test_a_claim_is_compared_with_the_best_of_the_rows_that_it_names(tmp_path):
    class Recorded:
        path = tmp_path / "cifar.parquet"
        trials = [  # noqa: RUF012
            trial(row, seed, end + seed / 1000, end, peak=end, benchmark="cifar", network="net", configuration=digits)
            for row, end, digits in (("em", 0.5, "011"), ("hps", 0.4, "111"), ("hps-top-1", 0.6, "001"))
            for seed in range(5)
        ]

    common = {"source": "figure 1", "says": "it is so", "sweeps": ["cif*"], "row": "em"}
    claims = [
        Claim(**common, than="hps", measure="peak"),
        Claim(**common, than="hps*", measure="peak"),
        Claim(**common, measure="upper_layers"),
        Claim(**common, measure="no_tree"),
        Claim(**common, than="hps*", measure="forgetting_ratio"),
        Claim(**common, than="none", measure="peak"),
        Claim(**common | {"sweeps": ["other"]}, measure="peak"),
    ]
    above, below, upper, tree, forgetting, *missing = claims_table(claims, [Recorded()])
    assert [line["verdict"] for line in missing] == ["not measured yet"] * 2
    assert (above["here"], above["verdict"], above["on"]) == ("+10.0 ± 0.0", "agrees", "cifar, net, 2 tasks, 4 epochs")
    assert (below["here"], below["verdict"]) == ("\N{MINUS SIGN}10.0 ± 0.0", "disagrees")
    assert below["compared"] == "`em` less `hps-top-1`: peak accuracy, points"
    assert forgetting["compared"] == "`em` less `hps-top-1`: forgetting ratio"  # hps forgets as much, and learns worse
    assert (upper["here"], tree["here"]) == ("100.0 ± 0.0", "50.0 ± 0.0")  # half of the configurations of three layers


def test_the_claims_can_be_read():
    path = ROOT / "results" / "claims.toml"
    assert all(claim.says for claim in read_claims(path))
    assert all(line["why"] for line in read_elsewhere(path))


@pytest.mark.parametrize("kind", ["cost", "streams-figure"])
def test_a_figure_is_the_same_file_from_the_same_records(kind, tmp_path):
    trials = [
        trial(row, seed, 0.4 + size / 100, 0.5, stream=f"train_per_class={size}", cpu_seconds=9.0 + seed)
        for row in ("stl", "hps")
        for size in ((5, 10) if kind == "streams-figure" else (5,))
        for seed in range(2)
    ]
    one, two = tmp_path / "one.svg", tmp_path / "images" / "two.svg"
    write(kind, trials, [], one)
    write(kind, trials, [], two)
    assert one.read_bytes() == two.read_bytes()
    assert b"hps" in one.read_bytes()
    names = re.findall(rb'(?:url\(#|<clipPath id=")([\w-]+)', one.read_bytes())
    assert all(name.startswith(b"clip-") for name in names)


def test_the_share_map_is_drawn_of_rows_that_search(tmp_path):
    write_learner(tmp_path / "runs", "hps", seeds=(0,))
    write_learner(tmp_path / "runs", "lasem-hps", strategy="em", seeds=(0, 1))
    folders = sorted((tmp_path / "runs").iterdir())
    records = Records(tmp_path / "sweep.parquet")
    records.add(folders, {path.name: Label(path.name.rpartition("-s")[0]) for path in folders})
    write("share-map", records.trials, [records], tmp_path / "map.svg")
    drawn = (tmp_path / "map.svg").read_text()
    assert "lasem-hps (2 seeds)" in drawn


def test_titles_of_tasks_are_short():
    long = trial("stl", 0, 0.5, 0.5)
    for row, name in zip(long.rows, ("photo: dog / house", "art: dog / house"), strict=True):
        row["name"] = name
    assert task_titles([long]) == ["photo", "art"]
    long.rows[1]["name"] = "photo: cat"
    assert task_titles([long]) == ["task 0", "task 1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- book: learners -->\n<!-- /book -->\n", "a block must have recorded runs"),
        ("<!-- book: learners none -->\n<!-- /book -->\n", "a name must be that of recorded sweeps .got 'none'"),
        ("<!-- book: claim -->\n<!-- /book -->\n", "a block must be one of .* .got 'claim'"),
        ("<!-- book: claims agianst=stl -->\n<!-- /book -->\n", "options against, rows, name .got 'agianst=stl'"),
        ("<!-- book: made a -->\ntext\n<!-- book: made b -->\n<!-- /book -->\n", "must have its own '<!-- /book -->'"),
        ("<!-- book: made a --> \n<!-- /book -->\n", "must have its own '<!-- /book -->'"),
        ("<!-- /book -->\n", "must have its own '<!-- /book -->'"),
    ],
)
def test_a_wrong_marker_is_refused(text, message, tmp_path):
    page = tmp_path / "docs" / "results" / "page.md"
    page.parent.mkdir(parents=True)
    page.write_text(text)
    with pytest.raises(SystemExit, match=message):
        build(tmp_path)


def test_pages_are_as_their_records_are():
    for page, text in build(ROOT, draw=False).items():
        assert page.read_text(encoding="utf-8") == text, f"{page}: run make book"


def test_every_record_is_of_a_run_that_its_sweep_still_has():
    """A preset that changes gives runs new names; their sweeps pin what they were, or are run again."""
    for path in sorted((ROOT / "results" / "records").glob("*.parquet")):
        runs = labels_of(read_sweep(ROOT / "results" / "sweeps" / f"{path.stem}.toml"))
        assert Records(path).runs <= runs.keys(), path.stem
