import pytest

from lasem.sweeps import SweepFolder, execute, read_plan, read_sweep

SWEEP = 'presets = ["digits/stl", "own.toml"]\n[grid]\ntraining.keep = [0.5, 0.25]\n'


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """A sweep's file, whose plan stands in its folder."""
    path = tmp_path_factory.mktemp("planned") / "mine.toml"
    path.write_text(SWEEP, encoding="utf-8")
    (path.parent / "own.toml").write_text('preset = "digits/hps"', encoding="utf-8")
    sweep = read_sweep(path)
    folder = SweepFolder.of("mine", path.parent)
    folder.create()
    folder.plan_path.write_text(sweep.plan.model_dump_json(), encoding="utf-8")
    return path, sweep


def test_a_plan_lists_the_runs_of_an_unchanged_sweep(planned):
    path, sweep = planned
    plan = read_plan(path, (), path.parent)
    assert plan is not None
    assert [(run.folder, run.label) for run in plan.runs] == [(run.spec.folder, run.label) for run in sweep.runs]
    assert {run.epochs for run in plan.runs} == {sweep.runs[0].spec.training.epochs}


def test_a_plan_counts_no_more_once_anything_that_decides_the_runs_has_changed(planned, monkeypatch):
    path, _ = planned
    out = path.parent
    assert read_plan(path, ["training.epochs=2"], out) is None
    assert read_plan(path, ['plugins=["lasem"]'], out) is None
    changes = ((path, SWEEP + "training.epochs = [2]"), (out / "own.toml", 'preset = "digits/stl"'))
    for file, text in changes:
        before = file.read_text()
        file.write_text(text, encoding="utf-8")
        assert read_plan(path, (), out) is None
        file.write_text(before, encoding="utf-8")
    assert read_plan(path, (), out) is not None
    monkeypatch.setattr("lasem.__version__", "another")
    assert read_plan(path, (), out) is None


@pytest.mark.parametrize(
    "content", ["", "[", "{}", "\0", '{"name": "mine", "runs": [{"folder": "../x", "label": ""}]}']
)
def test_a_damaged_plan_is_not_read(planned, content):
    path, _ = planned
    plan = SweepFolder.of("mine", path.parent).plan_path
    before = plan.read_text()
    plan.write_text(content, encoding="utf-8")
    assert read_plan(path, (), path.parent) is None
    plan.write_text(before, encoding="utf-8")


def test_an_execution_writes_the_plan(planned, in_this_process, options_of, tmp_path, monkeypatch):
    path, sweep = planned
    monkeypatch.setattr("lasem.sweeps._execute._done", lambda folder: True)
    execute(sweep, options_of(tmp_path), in_this_process)
    assert read_plan(path, (), tmp_path) == sweep.plan
