"""Which layers to freeze, share or tune, from the records of a search."""

import json
from dataclasses import replace

import pytest
from run_folders import task_events, write_run
from typer.testing import CliRunner

from lasem.cli import app
from lasem.errors import ReportError
from lasem.report import collect, layer_advice

MARGINALS = [(0.1, 0.2, 0.7), (0.6, 0.3, 0.1), (0.05, 0.9, 0.05)]
LAYERS = [{"name": "stem+encoder.layer.0"}, {"name": "encoder.layer.1"}, {"name": "encoder.layer.2+encoder.layer.10"}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of two tasks over three stages with three branches."""
    found = []
    for task in range(2):
        for event in task_events(task):
            changes = {"configuration": [2, 0, 1]} if event.event in ("epoch", "decision") else {}
            if event.event == "epoch":
                changes |= {"marginals": [shared for _, shared, _ in MARGINALS], "branch_marginals": MARGINALS}
            if event.event == "decision":
                changes |= {"probability": 0.4, "margin": 0.2 if task else 0.0}
            found.append(event.model_copy(update=changes))
    path = tmp_path_factory.mktemp("runs") / "small-s0-abc0"
    write_run(path, found)
    environment = json.loads((path / "environment.json").read_text())
    (path / "environment.json").write_text(json.dumps(environment | {"layers": LAYERS}))
    return path


def test_advice_has_the_decision_the_probabilities_and_settings_for_other_tools(folder):
    first, second = (advice.record() for advice in layer_advice(collect([folder])[0]))
    assert [stage["branch"] for stage in second["stages"]] == ["frozen", "own", "shared"]
    assert second["stages"][0]["probabilities"] == {"own": 0.1, "shared": 0.2, "frozen": 0.7}
    assert second["freeze"] == ["stem", "encoder.layer.0"]
    assert second["tune"] == ["encoder.layer.1", "encoder.layer.2", "encoder.layer.10"]
    assert [group["learning_rate_factor"] for group in second["parameter_groups"]] == [0.3, 0.9, 0.95]
    assert second["peft"] == {"layers_pattern": "layer", "layers_to_transform": [1, 2, 10]}
    assert second["doubt"] is None
    assert "another seed may decide otherwise" in first["doubt"]


def test_probabilities_count_every_image_once_where_the_prior_was_tempered(folder):
    """Two candidates, 0.6 and 0.4, of a sum that was tempered to a half of what the images say."""
    run = collect([folder])[0]
    changes = {"prior": [(0, 0.6), (1, 0.4)], "marginals": [0.4, 0.0, 1.0]}
    events = []
    for event in run.events:
        if event.event == "task":
            event = event.model_copy(update={"candidates": ["201", "101"], "images": {"train": 40, "valid": 8}})
        events.append(event.model_copy(update=changes) if event.event == "epoch" else event)
    spec = {"search": {"prior": "sum", "temper": 0.5}, "training": {"epochs": 1, "batch_size": 10}}
    first, *_ = layer_advice(replace(run, spec={**run.spec, **spec}, events=tuple(events)))
    chosen = 0.6**2 / (0.6**2 + 0.4**2)
    assert first.stages[0].probabilities == pytest.approx({"own": 0, "shared": 1 - chosen, "frozen": chosen})


def test_peft_is_told_nothing_where_modules_to_tune_have_no_number(folder):
    run = collect([folder])[0]
    unnumbered = replace(run, environment={"layers": [{"name": name} for name in ("a.0", "stem", "a.1")]})
    assert layer_advice(unnumbered)[0].record()["peft"] is None


def test_groups_of_layers_get_the_probabilities_of_their_group(folder):
    run = collect([folder])[0]
    grouped = replace(run, spec={**run.spec, "search": {"partition": "{1,3},{2}"}})
    with pytest.raises(ReportError, match="a partition must count the stages"):
        layer_advice(grouped)
    events = tuple(
        event.model_copy(update={"branch_marginals": MARGINALS[:2]}) if event.event == "epoch" else event
        for event in run.events
    )
    stages = layer_advice(replace(grouped, events=events))[0].stages
    assert [stage.probabilities["frozen"] for stage in stages] == [0.7, 0.1, 0.7]


def test_the_command_prints_a_line_per_stage_or_json(folder):
    shown = CliRunner().invoke(app, ["layers", str(folder), "--task", "1"])
    assert ["stem,", "encoder.layer.0", "10.0%", "20.0%", "70.0%", "freeze"] in map(
        str.split, shown.stdout.splitlines()
    )
    assert "the data cannot tell" not in shown.stdout
    assert "the data cannot tell" in CliRunner().invoke(app, ["layers", str(folder), "--task", "0"]).stdout
    records = json.loads(CliRunner().invoke(app, ["layers", str(folder), "--format", "json"]).stdout)
    assert [record["task"] for record in records] == [0, 1]


def test_runs_without_a_search_and_unknown_tasks_are_refused(folder, tmp_path):
    static = [
        event.model_copy(update={"marginals": None, "prior": None}) if event.event == "epoch" else event
        for event in task_events(0)
    ]
    write_run(tmp_path / "static-s0-abc1", static)
    with pytest.raises(ReportError, match="must come from a run that searched"):
        layer_advice(collect([tmp_path / "static-s0-abc1"])[0])
    with pytest.raises(ReportError, match="a task must be one that the run has searched, 0, 1"):
        CliRunner().invoke(app, ["layers", str(folder), "--task", "7"], catch_exceptions=False)


def test_evidence_that_told_nothing_apart_is_doubted(folder):
    run = collect([folder])[0]
    events = tuple(
        event.model_copy(update={"spread": 0.01}) if event.event == "epoch" else event for event in run.events
    )
    second = layer_advice(replace(run, events=events))[1]
    assert second.doubt == "the evidence of task 1 told candidates apart in no epoch"
