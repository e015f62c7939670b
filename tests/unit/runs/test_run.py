import json
import re
from functools import cache

import pytest
import torch
from safetensors.torch import load_file

from lasem import records
from lasem.errors import DataError, LasemError, RunError, SpecError
from lasem.records import DecisionRecord, EpochRecord, EvaluationRecord, TaskRecord
from lasem.runs import RunFolder, RunOptions, load, resolve, run
from lasem.testing import Listener

SETTINGS = [
    "benchmark.first_tasks=3", "benchmark.order=[0, 1, 0]", "benchmark.train_per_class=10", "benchmark.max_test=30",
    "network.name=synthetic-3", "training.epochs=3", "training.decay=0.1", "evaluation.every=2",
]  # fmt: skip
TIMES = {"training_seconds": 0.0, "evaluation_seconds": 0.0, "cpu_seconds": 0.0, "seconds": 0.0}
EVENTS_PER_TASK = 1 + 3 + 2


class Interrupted(Exception):
    pass


def spec_of(learner, *more):
    return resolve(f"digits/{learner}", [*SETTINGS, *more])


def place_in(folder, every=1):
    return RunOptions(out=folder, device="cpu", checkpoint_every=every)


def interrupt_after(number):
    """A watcher that fails at the event of this number, from 1."""
    left = [number]

    def watch(event):
        del event
        left[0] -= 1
        if not left[0]:
            raise Interrupted

    return watch


def newest(folder):
    """File of the last checkpoint."""
    return max((folder / "checkpoint").glob("*.safetensors"))


def timeless(folder):
    """Events without times; result without times; tensors of the checkpoint."""
    events, warnings = records.read_events(folder / "records.jsonl")
    assert not warnings
    plain = [event.model_copy(update={k: v for k, v in TIMES.items() if hasattr(event, k)}) for event in events]
    result = records.read_result(folder / "result.json").model_dump()
    del result["seconds"]
    return plain, result, load_file(newest(folder))


def assert_same_run(one, other):
    (events, result, tensors), (found, result_found, tensors_found) = timeless(one), timeless(other)
    assert found == events
    assert result_found == result
    assert tensors.keys() == tensors_found.keys()
    assert all(torch.equal(tensors_found[name], tensor) for name, tensor in tensors.items())


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    @cache
    def folder(learner):
        out = tmp_path_factory.mktemp("whole")
        run(spec_of(learner), place_in(out))
        return out / spec_of(learner).folder

    return folder


# A whole run


def test_a_run_keeps_its_files_in_a_folder_named_after_its_spec(uninterrupted):
    folder, spec = uninterrupted("lasem-hps"), spec_of("lasem-hps")
    assert folder.name == f"digits-lasem-hps-s0-{spec.digest}"
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    files = {"spec.toml", "environment.json", "stream.json", "records.jsonl", "result.json", "lock"}
    checkpoints = {path.relative_to(folder).as_posix() for path in (folder / "checkpoint").iterdir()}
    assert names == files | checkpoints
    assert len(checkpoints) == 2
    assert resolve(str(folder / "spec.toml")) == spec


def test_events_come_in_order_and_epochs_count_through(uninterrupted):
    events, _ = records.read_events(uninterrupted("lasem-hps") / "records.jsonl")
    kinds = [TaskRecord, EpochRecord, EpochRecord, EpochRecord, DecisionRecord, EvaluationRecord]
    assert [type(event) for event in events] == kinds * 3
    assert [event.task for event in events] == [task for task in range(3) for _ in kinds]
    epochs = [event for event in events if isinstance(event, EpochRecord)]
    assert [event.epoch for event in epochs] == list(range(1, 10))
    assert [event.task_epoch for event in epochs] == [1, 2, 3] * 3
    assert [event.identity for event in events if isinstance(event, TaskRecord)] == [0, 1, 0]


def test_the_test_set_is_evaluated_where_validation_improves_where_due_and_at_the_end(uninterrupted):
    events, _ = records.read_events(uninterrupted("lasem-hps") / "records.jsonl")
    best = -1.0
    for event in events:
        if isinstance(event, TaskRecord):
            best = -1.0
        if isinstance(event, EpochRecord):
            due = event.valid_accuracy > best or event.task_epoch in (2, 3)
            assert (event.test_accuracy is not None) == due
            best = max(best, event.valid_accuracy)


def test_the_result_is_what_the_records_say(uninterrupted):
    folder = uninterrupted("lasem-hps")
    events, _ = records.read_events(folder / "records.jsonl")
    result = records.read_result(folder / "result.json")
    rows = [event.accuracy for event in events if isinstance(event, EvaluationRecord)]
    assert [row[: i + 1] for i, row in enumerate(result.accuracy)] == rows
    assert all(value is None for i, row in enumerate(result.accuracy) for value in row[i + 1 :])
    assert result.configurations == [event.configuration for event in events if isinstance(event, DecisionRecord)]
    assert result.final_accuracy == pytest.approx(sum(rows[-1]) / 3)
    assert (result.name, result.learner, result.benchmark) == ("digits/lasem-hps", "lasem-hps", "digits")
    assert (result.network, result.profile, result.seed, result.device) == ("synthetic-3", "paper", 0, "cpu")
    assert result.complete


def test_the_result_has_measures_configurations_counts_and_times_under_their_documented_names(uninterrupted):
    result = json.loads((uninterrupted("lasem-hps") / "result.json").read_bytes())
    assert result.keys() >= {
        "peak_accuracy", "final_accuracy", "forgetting_ratio", "backward_transfer", "configurations", "parameters",
        "seconds", "device", "seed", "complete",
    }  # fmt: skip
    assert result["peak_accuracy"].keys() == {"validation", "test"}
    assert result["parameters"].keys() >= {"shared", "per_task", "search"}
    assert result["seconds"].keys() >= {"training", "evaluation"}
    assert result["forgetting_ratio"].keys() >= {"per_task", "mean", "curve", "reference"}


def test_learners_without_configurations_have_none_in_the_result(uninterrupted):
    assert records.read_result(uninterrupted("snn") / "result.json").configurations is None


def test_single_task_learning_never_forgets(tmp_path):
    result = run(spec_of("stl", "benchmark.order=[0, 1, 2]"), place_in(tmp_path))
    assert [ratio for ratio in result.forgetting_ratio.per_task if ratio is not None] == [1.0, 1.0]
    assert result.backward_transfer == 0


def test_the_environment_says_what_it_ran_on(uninterrupted):
    environment = json.loads((uninterrupted("lasem-hps") / "environment.json").read_bytes())
    assert environment["device"] == "cpu"
    assert environment["torch"] == torch.__version__
    assert environment["threads"] == torch.get_num_threads()
    channels = [layer["channels"] for layer in environment["layers"] if layer["kind"] == "convolution"]
    assert channels == [8, 16, 16]  # synthetic-3


def test_split_indices_and_the_fingerprint_are_kept(uninterrupted):
    stream = json.loads((uninterrupted("lasem-hps") / "stream.json").read_bytes())
    assert re.fullmatch("[0-9a-f]{64}|[0-9a-f]{32}", stream["fingerprint"])
    assert len(stream["choices"]) == len(stream["outline"]["identities"])


def test_two_runs_of_one_spec_are_alike(uninterrupted, tmp_path):
    spec = spec_of("lasem-hps")
    run(spec, place_in(tmp_path, every=0))
    assert_same_run(uninterrupted("lasem-hps"), tmp_path / spec.folder)


def test_another_seed_is_another_folder_and_another_result(uninterrupted, tmp_path):
    spec = spec_of("lasem-hps").with_seed(1)
    run(spec, place_in(tmp_path))
    folder = tmp_path / spec.folder
    assert folder.name.startswith("digits-lasem-hps-s1-")
    assert timeless(folder)[0] != timeless(uninterrupted("lasem-hps"))[0]


def test_a_finished_run_is_not_run_again(uninterrupted):
    folder, spec, starts = uninterrupted("lasem-hps"), spec_of("lasem-hps"), []
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    again = run(spec, place_in(folder.parent), sinks=[Listener(started=starts.append, event=interrupt_after(1))])
    assert again == records.read_result(folder / "result.json")
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert (starts[0].finished, starts[0].num_tasks, starts[0].folder) == (True, 3, folder)


# Interrupted and resumed


@pytest.mark.parametrize(
    ("every", "number"),
    [
        *((1, number) for number in (1, 2, 4, 5, 6, 7, 9, 13, 15, 18)),
        (2, 4),
        (2, 5),
        (2, 9),
        (2, 18),
        (100, 5),
        (100, 13),
    ],
)
def test_a_resumed_run_equals_one_that_was_never_interrupted(uninterrupted, tmp_path, number, every):
    spec, starts = spec_of("lasem-hps"), []
    with pytest.raises(Interrupted):
        run(spec, place_in(tmp_path, every), sinks=[Listener(event=interrupt_after(number))])
    assert not (tmp_path / spec.folder / "result.json").exists()
    run(spec, place_in(tmp_path, every), sinks=[Listener(started=starts.append)])
    assert_same_run(uninterrupted("lasem-hps"), tmp_path / spec.folder)
    finished = number // EVENTS_PER_TASK * 3
    inside = min(max(number % EVENTS_PER_TASK - 1, 0), 3)
    if every == 1:
        # The event that failed was watched after its checkpoint.
        assert starts[0].resumed == finished + inside
    assert finished <= starts[0].resumed <= finished + inside
    assert not starts[0].finished


@pytest.mark.parametrize("learner", ["snn", "stl", "hps-top-1", "darts-hps"])
@pytest.mark.parametrize("number", [3, 6, 8, 16])
def test_every_kind_of_learner_resumes(uninterrupted, tmp_path, learner, number):
    with pytest.raises(Interrupted):
        run(spec_of(learner), place_in(tmp_path), sinks=[Listener(event=interrupt_after(number))])
    run(spec_of(learner), place_in(tmp_path))
    assert_same_run(uninterrupted(learner), tmp_path / spec_of(learner).folder)


@pytest.mark.parametrize("number", [1, 5, 26, 55])
def test_brute_force_resumes_inside_and_between_candidates(uninterrupted, tmp_path, number):
    spec, starts, again = spec_of("brute-force-hps"), [], []
    with pytest.raises(Interrupted):
        run(spec, place_in(tmp_path), sinks=[Listener(event=interrupt_after(number))])
    run(spec, place_in(tmp_path), sinks=[Listener(started=starts.append, event=again.append)])
    assert_same_run(uninterrupted("brute-force-hps"), tmp_path / spec.folder)
    assert starts[0].epochs == 3 * (8 + 8 + 1)
    done = [event for event in again if isinstance(event, EpochRecord)]
    assert len(done) == starts[0].epochs - starts[0].resumed  # none is trained twice


def test_a_brute_force_run_of_the_release_resumes(tmp_path):
    spec = spec_of("brute-force-hps", "profile=release", "search.partition={1,2},{3}")
    run(spec, place_in(tmp_path / "whole"))
    for number in (3, 8, 12, 19, 21):
        out = tmp_path / f"cut-{number}"
        with pytest.raises(Interrupted):
            run(spec, place_in(out), sinks=[Listener(event=interrupt_after(number))])
        run(spec, place_in(out))
        assert_same_run(tmp_path / "whole" / spec.folder, out / spec.folder)
    result = records.read_result(tmp_path / "whole" / spec.folder / "result.json")
    assert result.configurations[0] == result.configurations[1]


def test_training_time_counts_all_candidates(uninterrupted):
    folder = uninterrupted("brute-force-hps")
    events, _ = records.read_events(folder / "records.jsonl")
    epochs = [event for event in events if isinstance(event, EpochRecord)]
    result = records.read_result(folder / "result.json")
    assert len(epochs) == 3 * (8 + 8 + 1)
    assert result.seconds.training == pytest.approx(sum(event.training_seconds for event in epochs))
    assert result.seconds.cpu == pytest.approx(sum(event.cpu_seconds for event in epochs))
    assert result.seconds.cpu > 0


def test_a_run_interrupted_again_and_again_ends_alike(uninterrupted, tmp_path):
    spec = spec_of("lasem-hps")
    for _ in range(30):
        try:
            run(spec, place_in(tmp_path), sinks=[Listener(event=interrupt_after(3))])
            break
        except Interrupted:
            continue
    assert_same_run(uninterrupted("lasem-hps"), tmp_path / spec.folder)


def test_a_release_run_resumes(tmp_path):
    spec = spec_of("lasem-hps", "profile=release", "search.restart=epoch")
    run(spec, place_in(tmp_path / "whole"))
    with pytest.raises(Interrupted):
        run(spec, place_in(tmp_path / "cut"), sinks=[Listener(event=interrupt_after(9))])
    run(spec, place_in(tmp_path / "cut"))
    assert_same_run(tmp_path / "whole" / spec.folder, tmp_path / "cut" / spec.folder)


def test_a_resumed_run_remembers_the_best_validation_so_far(tmp_path):
    spec = spec_of("stl", "training.epochs=8", "evaluation.every=100", "benchmark.first_tasks=1")
    run(spec, place_in(tmp_path / "whole"))
    events = timeless(tmp_path / "whole" / spec.folder)[0]
    untested = [i for i, event in enumerate(events) if isinstance(event, EpochRecord) and event.test_accuracy is None]
    assert untested  # an epoch that did not improve, so that forgetting the best would show
    for number in untested:
        out = tmp_path / f"cut-{number}"
        with pytest.raises(Interrupted):
            run(spec, place_in(out), sinks=[Listener(event=interrupt_after(number))])
        run(spec, place_in(out))
        assert_same_run(tmp_path / "whole" / spec.folder, out / spec.folder)


def interrupted(spec, out, number=9):
    with pytest.raises(Interrupted):
        run(spec, place_in(out), sinks=[Listener(event=interrupt_after(number))])
    return out / spec.folder


def test_a_torn_line_behind_the_checkpoint_is_cut_off(uninterrupted, tmp_path):
    spec = spec_of("lasem-hps")
    folder = interrupted(spec, tmp_path)
    with (folder / "records.jsonl").open("ab") as file:
        file.write(b'{"event": "epo')
    run(spec, place_in(tmp_path))
    assert_same_run(uninterrupted("lasem-hps"), folder)


def test_a_half_written_checkpoint_beside_the_old_one_is_ignored(uninterrupted, tmp_path):
    spec = spec_of("lasem-hps")
    folder = interrupted(spec, tmp_path)
    (folder / "checkpoint/000099-half.safetensors.new").write_bytes(b"half")
    run(spec, place_in(tmp_path))
    assert timeless(folder)[1] == timeless(uninterrupted("lasem-hps"))[1]


def test_a_run_killed_before_its_first_checkpoint_starts_anew(uninterrupted, tmp_path):
    spec = spec_of("lasem-hps")
    folder = interrupted(spec, tmp_path, number=1)
    assert list((folder / "checkpoint").iterdir()) == []
    run(spec, place_in(tmp_path))
    assert_same_run(uninterrupted("lasem-hps"), folder)


# Folders that cannot be used


def test_other_data_than_the_run_began_with_is_refused(tmp_path):
    spec = spec_of("lasem-hps")
    folder = interrupted(spec, tmp_path)
    stream = json.loads((folder / "stream.json").read_bytes())
    (folder / "stream.json").write_text(json.dumps(stream | {"fingerprint": "0" * 64}))
    with pytest.raises(
        RunError, match=r"data of a run must not change \(got fingerprint [0-9a-f]{12}, .* began with 000000000000\)"
    ):
        run(spec, place_in(tmp_path))


@pytest.mark.parametrize("finished", [True, False])
def test_a_folder_that_belongs_to_another_spec_is_refused(tmp_path, finished):
    spec = spec_of("lasem-hps")
    folder = tmp_path / spec.folder
    if finished:
        run(spec, place_in(tmp_path))
    else:
        interrupted(spec, tmp_path)
    (folder / "spec.toml").write_text(spec_of("lasem-hps", "training.epochs=4").toml())
    before = (folder / "records.jsonl").read_bytes()
    with pytest.raises(RunError, match="the spec of a run must not change") as caught:
        run(spec, place_in(tmp_path))
    assert str(folder) in str(caught.value)
    assert (folder / "records.jsonl").read_bytes() == before


def test_a_run_is_no_folder_of_runs(uninterrupted):
    folder = uninterrupted("lasem-hps")
    with pytest.raises(RunError, match="is itself a run, of 'digits/lasem-hps'"):
        run(spec_of("stl"), place_in(folder))


def test_a_file_is_no_folder_of_runs(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"is a file\); choose another"):
        run(spec_of("stl"), place_in(tmp_path / "file"))


def test_a_folder_below_a_file_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="choose another --out"):
        run(spec_of("stl"), place_in(tmp_path / "file" / "deeper"))


def test_a_damaged_result_is_named(uninterrupted, tmp_path):
    spec = spec_of("lasem-hps")
    RunFolder(tmp_path / spec.folder).create(spec)
    whole = (uninterrupted("lasem-hps") / "result.json").read_bytes()
    (tmp_path / spec.folder / "result.json").write_bytes(whole[:-20])
    with pytest.raises(RunError, match=r"result\.json"):
        run(spec, place_in(tmp_path))


def test_a_wrong_spec_leaves_no_folder(tmp_path):
    with pytest.raises(SpecError):
        run(spec_of("lasem-hps", "search.partition={1}"), place_in(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_batch_larger_than_the_training_split_ends_before_training(tmp_path):
    spec, seen = spec_of("stl", "training.batch_size=31"), []
    with pytest.raises(DataError, match=r"31 here \(got 30 in 'train' of task .*\); lower batch_size"):
        run(spec, place_in(tmp_path), sinks=[Listener(event=seen.append)])
    assert seen == []


@pytest.mark.parametrize("name", ["cuda", "cuda:7", "gpu", "cpuu"])
def test_a_device_that_is_not_there_is_named(tmp_path, name):
    if name.startswith("cuda") and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(RunError, match=name):
        run(spec_of("stl"), RunOptions(out=tmp_path, device=name))


# What a finished run learned


def test_a_loaded_run_answers_as_its_records_say(uninterrupted):
    from lasem.runs import prepare

    folder, spec = uninterrupted("lasem-hps"), spec_of("lasem-hps")
    learned = load(folder)
    stream = prepare(spec, RunOptions(), device=torch.device("cpu")).stream
    for position, task in enumerate(stream):
        classes = learned.predict(task.test.images, position)
        assert classes.shape == task.test.labels.shape
        assert (classes == task.test.labels).double().mean() == pytest.approx(learned.result.accuracy[-1][position])
        logits = learned.network(position)(task.test.images)
        torch.testing.assert_close(
            logits, learned.learner.logits(task.test.images, stream.outline.identities[position])
        )
    assert learned.spec == spec
    final, tasks = learned.result.final_accuracy, len(stream)
    assert (
        repr(learned)
        == f"Learned('digits/lasem-hps', seed 0, {tasks} tasks of 1 x 8 x 8 images, final accuracy {final:.1%})"
    )
    shown, bits = learned._repr_html_(), "".join(map(str, learned.result.configurations[1]))
    assert (shown.count("<tr>"), shown.count("<td>")) == (1 + tasks, 5 * tasks)
    assert f"<tr><td>1</td><td>{stream[1].name}</td><td>{stream[1].classes}</td><td>{bits}</td><td>" in shown


def test_a_loaded_single_network_answers_too(uninterrupted):
    learned = load(str(uninterrupted("snn")))
    images = torch.rand(2, 1, 8, 8)
    assert torch.equal(learned.network(0)(images).argmax(1), learned.predict(images, 0))


@pytest.mark.parametrize("task", [-1, 3])
def test_a_task_outside_the_stream_is_named_with_the_range(uninterrupted, task):
    learned = load(uninterrupted("lasem-hps"))
    with pytest.raises(LasemError, match=rf"a task must be from 0 to 2 \(got {task}\)"):
        learned.predict(torch.rand(1, 1, 8, 8), task)
    with pytest.raises(LasemError, match=f"got {task}"):
        learned.network(task)


def test_images_of_another_shape_are_refused(uninterrupted):
    with pytest.raises(DataError, match=r"images must have the shape \(B, 1, 8, 8\) \(got \(1, 3, 8, 8\)\)"):
        load(uninterrupted("lasem-hps")).predict(torch.rand(1, 3, 8, 8), 0)


def test_an_unfinished_run_cannot_be_loaded(tmp_path):
    folder = interrupted(spec_of("lasem-hps"), tmp_path)
    with pytest.raises(RunError, match=r"without a result\); run it to its end"):
        load(folder)


def test_what_is_no_run_cannot_be_loaded(tmp_path):
    with pytest.raises(RunError, match=r"a run folder must have a spec\.toml"):
        load(tmp_path)
