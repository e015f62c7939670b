import shutil
import subprocess
import sys

import pytest
from run_folders import task_events, write_learner, write_run

from lasem.errors import RunError
from lasem.records import InterruptedRecord
from lasem.report import collect
from lasem.report._groups import learner_names, same_spec


def test_a_finished_run_is_read_whole(finished):
    (run,) = collect([finished])
    assert (run.name, run.seed, run.finished, run.warnings) == ("small", 0, True, ())
    assert [run.learner, run.benchmark] == ["lasem-hps", "digits"]
    assert len(run.events) == 3 * 5


def test_a_parent_folder_gives_every_run_below_it_once(finished, unfinished):
    runs = collect([finished.parent, finished])
    assert [run.path for run in runs] == [finished, unfinished]


@pytest.mark.parametrize("make", [lambda path: path, lambda path: path.mkdir() or path])
def test_a_folder_without_a_run_is_refused_with_a_remedy(tmp_path, make):
    with pytest.raises(RunError, match="lasem run"):
        collect([make(tmp_path / "nothing")])


def test_an_unfinished_run_is_read_and_its_bad_lines_are_named(unfinished):
    (run,) = collect([unfinished])
    assert (run.seed, run.finished, run.learner) == (1, False, "lasem-hps")
    warnings = " | ".join(run.warnings)
    for words in ("line 10: not a record", "line 11: not a record", "not finished", "the data stands in"):
        assert words in warnings
    assert len(warnings.split(" | ")) == 4


def test_why_a_run_was_interrupted_is_told(unfinished):
    records = unfinished / "records.jsonl"
    lines = records.read_text().splitlines()[:9]
    record = InterruptedRecord(reason="failed", text="the disk is full - free some", task=1, epoch=5)
    records.write_text("\n".join([*lines, record.model_dump_json(), ""]))
    (run,) = collect([unfinished])
    assert any("not finished" in text and "it ended with: the disk is full" in text for text in run.warnings)


def test_damaged_and_missing_files_are_warnings(finished):
    (finished / "environment.json").unlink()
    (finished / "spec.toml").write_text("name = ")
    (finished / "result.json").write_text('{"name": "small"')
    (run,) = collect([finished])
    assert (run.environment, run.spec, run.result, run.name) == ({}, {}, None, "small-s0-abc0")
    for words in ("environment.json: missing", "spec.toml: cannot", "result.json: cannot"):
        assert words in " ".join(run.warnings)


def test_runs_that_differ_in_seeds_only_belong_together(finished, second_seed, unfinished):
    groups = same_spec(collect([finished.parent]))
    assert [[run.seed for run in group] for group in groups] == [[0, 2], [1]]


def test_another_stream_seed_is_another_experiment(finished, second_seed):
    spec = second_seed / "spec.toml"
    spec.write_text(spec.read_text().replace("stream = 0", "stream = 1"))
    groups = same_spec(collect([finished.parent]))
    assert len(groups) == 2
    assert learner_names(groups) == ["lasem-hps (stream=0)", "lasem-hps (stream=1)"]
    assert learner_names(groups[:1]) == ["lasem-hps"]


def test_the_reference_of_the_forgetting_ratio_is_the_specs(tmp_path):
    folder = write_run(tmp_path / "run", [*task_events(0), *task_events(1)])
    with (folder / "spec.toml").open("a") as file:
        file.write('\n[evaluation]\nreference = "peak"\n')
    (run,) = collect([folder])
    # validation selects the second epoch of t0, with test accuracy 0.8
    assert run.measures.forgetting_ratio.reference == "peak"
    assert run.measures.forgetting_ratio.mean == pytest.approx(0.6 / 0.8)


def test_runs_without_a_spec_stay_apart(finished, second_seed):
    for folder in (finished, second_seed):
        (folder / "spec.toml").unlink()
    assert len(same_spec(collect([finished.parent]))) == 2


def test_of_an_epoch_repeated_after_a_resumption_the_later_record_counts(tmp_path):
    events = list(task_events(0))
    repeated = events[2].model_copy(update={"valid_accuracy": 0.1, "test_accuracy": 0.2})
    (run,) = collect([write_run(tmp_path / "run", [*events[:3], repeated, *events[3:]])])
    (task,) = run.tasks
    assert task.curve.valid.tolist() == [0.5, 0.1]
    assert run.measures.peak_accuracy.validation.per_task == [0.82]


def test_a_lost_epoch_leaves_the_others_in_their_places(tmp_path):
    events = list(task_events(0))
    (run,) = collect([write_run(tmp_path / "run", [*events[:1], *events[2:]])])
    (task,) = run.tasks
    assert task.curve.test.tolist()[1] == 0.8
    assert task.curve.test.shape == (2,)


def test_records_and_result_give_the_same_measures(finished):
    (complete,) = collect([finished])
    (finished / "result.json").unlink()
    (rebuilt,) = collect([finished])
    ours, theirs = rebuilt.measures, complete.result
    assert (ours.accuracy, ours.final_accuracy) == (theirs.accuracy, theirs.final_accuracy)
    assert ours.forgetting_ratio.per_task == theirs.forgetting_ratio.per_task


def test_a_run_that_has_not_begun_is_a_run(tmp_path):
    folder = write_run(tmp_path / "run", [])
    (run,) = collect([folder])
    assert run.tasks == []


def test_candidates_are_named_by_their_bits_or_by_the_tasks_list(tmp_path):
    events = list(task_events(0))
    listed = events[0].model_copy(update={"candidates": ["11", "00", "01", "10"]})
    (run,) = collect([write_run(tmp_path / "run", [*events, listed])])
    assert run.tasks[0].candidate(0) == "11"
    (run,) = collect([write_run(tmp_path / "other", events)])
    assert [run.tasks[0].candidate(k) for k in range(4)] == ["00", "01", "10", "11"]


def test_the_report_needs_no_torch():
    code = "import lasem.report, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_small_variant_is_a_warning_with_its_changes(tmp_path):
    folder = write_run(tmp_path / "run", [])
    text = (folder / "spec.toml").read_text()
    (folder / "spec.toml").write_text('small = ["training.epochs is 3 instead of 2000"]\n' + text)
    (run,) = collect([folder])
    assert any("training.epochs is 3 instead of 2000" in warning for warning in run.warnings)


def test_one_run_in_two_folders_is_counted_once(finished, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    (copy / "result.json").unlink()
    (run,) = collect([copy, finished])
    assert (run.path, run.finished) == (finished, True)
    assert run.warnings == (f"{finished}: {copy} is the same run; it is left out",)


def test_learners_on_other_data_are_told_apart(tmp_path):
    """Every folder of images is the benchmark "images", so its name says nothing of the data."""
    source = '[benchmark]\nname = "images"\n'
    for name, images in (("stl", "photos"), ("hps", "photos"), ("ewc", "scans")):
        write_learner(tmp_path, name, benchmark="images")
        spec = tmp_path / f"{name}-s0-abc" / "spec.toml"
        spec.write_text(spec.read_text().replace(source, f'{source}source = "{images}"\n'))
    names = learner_names(same_spec(collect([tmp_path])))
    assert names == ["ewc (source=scans)", "hps (source=photos)", "stl (source=photos)"]
