"""DEN and APD on real images, against fine-tuning."""

from itertools import pairwise

import pytest

from lasem.records import DecisionRecord, EpochRecord, EvaluationRecord, read_events
from lasem.runs import RunOptions, resolve, run

pytestmark = pytest.mark.slow
SETTINGS = ["benchmark.first_tasks=3", "training.epochs=25", "training.keep=1.0"]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    own = {"snn": [], "den": ["den.expand=4"], "apd": []}
    specs = {name: resolve(f"digits/{name}", [*SETTINGS, *settings]) for name, settings in own.items()}
    return {name: (run(spec, RunOptions(out=out)), out / spec.folder) for name, spec in specs.items()}


@pytest.mark.parametrize("name", ["den", "apd"])
def test_it_learns_every_task_and_forgets_far_less_than_fine_tuning(results, name):
    learned, fine_tuned = results[name][0], results["snn"][0]
    assert min(row[i] for i, row in enumerate(learned.accuracy)) > 0.7  # chance is a third
    assert learned.forgetting_ratio.mean > 0.9
    assert fine_tuned.forgetting_ratio.mean < 0.75
    assert learned.final_accuracy > fine_tuned.final_accuracy + 0.15


def test_growth_and_what_is_held_are_recorded(results):
    result, folder = results["den"]
    events, _ = read_events(folder / "records.jsonl")
    phases = [event.phase for event in events if isinstance(event, EpochRecord) and event.task == 1]
    assert list(dict.fromkeys(phases)) == ["select", "retrain", "expand", "drift", "settle"]
    units = [event.units for event in events if isinstance(event, DecisionRecord)]
    assert units[0] == [16, 16, 32, 32]
    assert all(a <= b for one, other in pairwise(units) for a, b in zip(one, other, strict=True))
    assert sum(units[0]) < sum(units[1]) < sum(units[2])
    held = [event.parameters for event in events if isinstance(event, EvaluationRecord)]
    assert sorted(held) == held
    assert held[-1] < 2 * 3 * held[0]  # not much more than a network per task
    assert held[-1] == result.parameters.shared + sum(result.parameters.per_task)
    assert (result.growth.parameters, result.growth.units) == (held, units)
    assert results["apd"][0].growth.units is None
