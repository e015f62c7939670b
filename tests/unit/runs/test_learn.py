import pickle
import re
import tracemalloc
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import pytest
import torch

from lasem import learn
from lasem.benchmarks import TaskStream
from lasem.errors import DataError, RunError, SpecError
from lasem.learners import AbstractLearner, LearnerState, SelectiveTransfer, SingleNetwork, Training
from lasem.nn import Conv, Network
from lasem.records import DecisionRecord, EpochRecord, EvaluationRecord, TaskRecord
from lasem.report import collect
from lasem.report._costs import memory
from lasem.report._groups import same_spec
from lasem.runs import Evaluation, load, resolve, run
from lasem.search import EM, Fixed

TRAINING = Training(batch_size=4, learning_rate=1e-2)


@pytest.fixture
def stream(make_task):
    return TaskStream.of([make_task(seed=seed, name=f"t{seed}") for seed in range(3)])


@pytest.fixture
def learner(make_backbone):
    return SelectiveTransfer(make_backbone(), EM(), training=TRAINING)


def of(kind, outcome):
    return [event for event in outcome.events if isinstance(event, kind)]


def test_learning_in_memory_gives_events_measures_and_configurations(learner, stream):
    seen = []
    outcome = learn(learner, stream, epochs=2, watch=seen.append)
    assert seen == outcome.events
    assert [event.name for event in of(TaskRecord, outcome)] == ["t0", "t1", "t2"]
    assert outcome.configurations == [list(learner.configuration(task)) for task in range(3)]
    last = of(EvaluationRecord, outcome)[-1].accuracy
    assert outcome.measures.final_accuracy == pytest.approx(sum(last) / 3)
    assert re.fullmatch(r"Outcome\(3 tasks, final accuracy .*%, forgetting ratio .*, \d+ events\)", repr(outcome))


@pytest.mark.parametrize("kind", [SelectiveTransfer, SingleNetwork])
def test_a_learner_that_has_learned_is_refused_before_training(make_backbone, stream, kind):
    wanted = {"classes": 4} if kind is SingleNetwork else {"strategy": EM()}
    learner = kind(make_backbone(), training=TRAINING, **wanted)
    learn(learner, stream, epochs=1)
    with pytest.raises(RunError, match=r"a learner must be new \(got one that has learned before, .* make another"):
        learn(learner, stream, epochs=1, watch=pytest.fail)


def test_slips_are_named(learner, make_backbone, stream):
    with pytest.raises(SpecError, match=r"stream must be a TaskStream \(got 'list'\); make one by TaskStream.of"):
        learn(learner, list(stream), epochs=1)
    for wrong in ("em", EM):
        with pytest.raises(SpecError, match=r"strategy must be an object of a strategy .* write for example EM\(\)"):
            SelectiveTransfer(make_backbone(), wrong)
    with pytest.raises(SpecError, match=r"settings must be a list of texts .* write \['training.epochs=1'\]"):
        resolve("digits/hps", "training.epochs=1")
    with pytest.raises(SpecError, match=r"spec must be a Spec \(got 'digits/hps'\)"):
        run("digits/hps")


def test_progress_is_shown_where_it_is_asked_for(learner, stream, capsys):
    outcome = learn(learner, stream, epochs=1, progress=True)
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if "test accuracy" in line]) == len(stream)
    assert len(outcome.events) > len(stream)


def test_recorded_accuracies_are_the_share_of_right_answers(learner, stream):
    outcome = learn(learner, stream, epochs=2)
    for task, accuracy in enumerate(of(EvaluationRecord, outcome)[-1].accuracy):
        test = stream[task].test
        right = sum(
            int(learner.logits(image.unsqueeze(0), task).argmax()) == int(label)
            for image, label in zip(test.images, test.labels, strict=True)
        )
        assert accuracy == right / len(test)


@pytest.mark.parametrize("batch_size", [1, 4, 500])
def test_accuracy_does_not_depend_on_the_batches_of_evaluation(make_backbone, stream, batch_size):
    rows = []
    for size in (batch_size, 9):
        learner = SelectiveTransfer(make_backbone(), EM(), training=TRAINING)
        outcome = learn(learner, stream, epochs=2, evaluation=Evaluation(batch_size=size))
        rows.append([event.accuracy for event in of(EvaluationRecord, outcome)])
    assert rows[0] == rows[1]


@pytest.mark.parametrize(("epochs", "every", "due"), [(6, 3, {3, 6}), (5, 2, {2, 4, 5}), (40, 0, set(range(2, 41, 2)))])
def test_the_test_set_is_due_every_so_many_epochs_and_at_the_end(make_backbone, make_task, epochs, every, due):
    learner = SelectiveTransfer(make_backbone(), Fixed("none"), training=TRAINING)
    outcome = learn(learner, TaskStream.of([make_task()]), epochs=epochs, evaluation=Evaluation(every=every))
    best, expected = -1.0, set(due)
    for event in of(EpochRecord, outcome):
        if event.valid_accuracy > best:
            expected.add(event.task_epoch)
            best = event.valid_accuracy
    assert {event.task_epoch for event in of(EpochRecord, outcome) if event.test_accuracy is not None} == expected


def test_a_task_can_be_tested_after_commits_only(make_backbone, stream):
    learner = SelectiveTransfer(make_backbone(), EM(), training=TRAINING)
    outcome = learn(learner, stream, epochs=2, evaluation=Evaluation(while_training=False))
    assert all(event.test_accuracy is None for event in of(EpochRecord, outcome))
    rows = [len(event.accuracy) for event in of(EvaluationRecord, outcome)]
    assert rows == list(range(1, len(stream) + 1))
    assert outcome.measures.peak_accuracy.test.mean is None
    assert "not measured" in outcome.measures.undefined["peak_accuracy.test.mean"]


@pytest.mark.parametrize("option", [{"every": 2}, {"reference": "peak"}])
def test_what_needs_tests_while_training_is_refused_without_them(option):
    with pytest.raises(SpecError, match="while_training = true"):
        Evaluation(while_training=False, **option)


def test_earlier_tasks_are_measured_after_the_commit_or_before_it(make_backbone, stream, monkeypatch):
    asked = {}
    for when in ("after-commit", "before-commit"):
        learner = SelectiveTransfer(make_backbone(), Fixed("all"), training=TRAINING)  # every task affects the others
        calls = []

        def watched(images, task, *, answer, trial, learner=learner, calls=calls):
            if learner.task.open_identity != task:
                calls.append((task, trial, learner.task.open_identity is not None))
            return answer(images, task)

        for name, trial in (("logits", False), ("trial_logits", True)):
            monkeypatch.setattr(learner, name, partial(watched, answer=getattr(learner, name), trial=trial))
        learn(learner, stream, epochs=1, evaluation=Evaluation(earlier_tasks=when))
        asked[when] = calls
    own = [(task, False, False) for task in range(3)]
    assert asked["after-commit"] == [own[0], *own[:2], *own[:3]]
    earlier = [(task, True, True) for task in range(2)]
    assert asked["before-commit"] == [own[0], earlier[0], own[1], *earlier, own[2]]


def test_a_revisit_is_recorded_at_its_position_with_one_identity(learner, make_task):
    tasks = [make_task(seed=seed, identity=seed) for seed in (0, 1)]
    outcome = learn(learner, TaskStream.of([tasks[0], tasks[1], tasks[0]]), epochs=1)
    assert [event.identity for event in of(TaskRecord, outcome)] == [0, 1, 0]
    first, _, again = of(DecisionRecord, outcome)
    assert first.configuration == again.configuration
    assert again.probability is None
    accuracy = of(EvaluationRecord, outcome)[-1].accuracy
    assert accuracy[0] == accuracy[2]


def test_an_epochs_record_tells_of_the_search(learner, stream):
    event = of(EpochRecord, learn(learner, stream, epochs=1))[0]
    assert [index for index, _ in event.prior] == [0, 1, 2, 3]
    prior = dict(event.prior)
    assert sum(prior.values()) == pytest.approx(1, abs=1e-5)
    assert event.marginals == pytest.approx([prior[2] + prior[3], prior[1] + prior[3]], abs=1e-5)
    assert event.configuration == [int(bit) for bit in f"{max(prior, key=prior.get):02b}"]


@pytest.mark.parametrize(
    ("strategy", "names"), [(EM(), None), (EM(candidates=((1, 1), (0, 1))), ["11", "01"]), (Fixed("all"), None)]
)
def test_candidates_are_named_where_an_index_is_not_its_bits(make_backbone, make_task, strategy, names):
    learner = SelectiveTransfer(make_backbone(), strategy, training=TRAINING)
    outcome = learn(learner, TaskStream.of([make_task()]), epochs=1)
    assert of(TaskRecord, outcome)[0].candidates == names


def test_a_short_list_of_candidates_over_many_layers_takes_little_memory(make_task):
    depth = 18
    network = Network(tuple(Conv(1, 1) for _ in range(depth)), hidden=())
    candidates = ((0,) * depth, (1,) * depth)
    learner = SelectiveTransfer(network.build((1, 6, 6)), EM(candidates=candidates), training=TRAINING)
    tracemalloc.start()
    try:
        learn(learner, TaskStream.of([make_task()]), epochs=1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**depth * 16  # bytes: far less than a word for each of the 2^18 configurations


def test_the_most_probable_candidates_of_a_large_space_are_kept_by_index(make_task):
    network = Network(tuple(Conv(1, 1) for _ in range(7)), hidden=())
    learner = SelectiveTransfer(network.build((1, 6, 6)), EM(), training=TRAINING)
    outcome = learn(learner, TaskStream.of([make_task()]), epochs=1)
    indices = [index for index, _ in of(EpochRecord, outcome)[0].prior]
    assert len(indices) == 64
    assert indices == sorted(set(indices))


def test_knowledge_of_the_stream_arrives_before_the_second_task(make_backbone, make_task):
    value = torch.full((3, 1, 3, 3), 0.25)
    stream = replace(
        TaskStream.of([make_task(seed=seed) for seed in range(2)]), knowledge={"stages.0.shared.weight": value}
    )
    learner, seen = SelectiveTransfer(make_backbone(), Fixed("none"), training=TRAINING), []

    def watch(event):
        if isinstance(event, TaskRecord):
            seen.append(torch.equal(learner.backbone.stages[0].shared["weight"], value))

    learn(learner, stream, epochs=1, watch=watch)
    assert seen == [False, True]


def test_a_single_network_learns_in_memory_too(make_backbone, stream):
    outcome = learn(SingleNetwork(make_backbone(), classes=3, training=TRAINING), stream, epochs=1)
    assert outcome.configurations == [None] * 3
    assert len(of(EvaluationRecord, outcome)) == 3


def test_a_later_task_with_less_than_a_batch_is_noticed_before_training(learner, make_task):
    seen = []
    with pytest.raises(DataError, match="lower batch_size"):
        learn(learner, TaskStream.of([make_task(), make_task(train=3)]), epochs=1, watch=seen.append)
    assert seen == []


# In memory as on the command line


@pytest.mark.parametrize("fails", [False, True])
def test_a_small_network_learns_with_one_thread_and_the_caller_has_as_many_as_before(learner, stream, fails):
    seen = []

    def watch(event):
        seen.append(torch.get_num_threads())
        if fails:
            raise ZeroDivisionError

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(ZeroDivisionError) if fails else nullcontext():
            learn(learner, stream, epochs=1, watch=watch)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {1}


def test_the_number_of_threads_can_be_chosen_and_is_checked(make_backbone, stream):
    seen = []
    single = SingleNetwork(make_backbone(), classes=3, training=TRAINING)
    learn(single, stream, epochs=1, threads=2, watch=lambda event: seen.append(torch.get_num_threads()))
    assert set(seen) == {2}
    with pytest.raises(SpecError, match=r"threads must be .*\(got 30000\)"):
        learn(single, stream, epochs=1, threads=30_000)


def test_a_learner_of_ones_own_is_told_the_identity_of_every_task(learner, make_task, monkeypatch):
    tasks = [make_task(seed=seed) for seed in range(2)]
    assert [task.identity for task in tasks] == [None, None]
    told, begin = [], learner.begin_task
    monkeypatch.setattr(learner, "begin_task", lambda task: told.append(task.identity) or begin(task))
    learn(learner, TaskStream.of(tasks), epochs=1)
    assert told == [0, 1]
    assert [task.identity for task in TaskStream.of([make_task(identity=7), make_task(identity=3)])] == [7, 3]


def test_a_loss_that_is_no_number_ends_learning_in_words(learner, stream, monkeypatch):
    monkeypatch.setattr(learner, "train_epoch", lambda: float("nan"))
    with pytest.raises(RunError, match=r"loss of an epoch must be finite \(got nan in epoch 1 of task 0\)"):
        learn(learner, stream, epochs=1)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Outcomes of two seeds and of a single network, saved; with the outcome of the first seed."""
    from toys import make_backbone, make_task

    out, first = tmp_path_factory.mktemp("saved"), None
    stream = TaskStream.of([make_task(seed=seed, name=f"t{seed}") for seed in range(3)])
    for seed in (0, 1):
        learner = SelectiveTransfer(make_backbone(seed=seed), EM(), training=TRAINING, seed=seed)
        outcome = learn(learner, stream, epochs=2)
        outcome.save(out / f"em-{seed}", learner="own-em", benchmark="toys", network="tiny", seed=seed)
        first = first or outcome
    single = SingleNetwork(make_backbone(), classes=3, training=TRAINING)
    learn(single, stream, epochs=2).save(out / "single", benchmark="toys")
    return out, first


def test_a_saved_outcome_is_read_as_the_run_that_it_was(saved):
    out, outcome = saved
    em, other, single = collect([out])
    assert single.warnings == ()
    assert all("margin that means nothing" in text for run in (em, other) for text in run.warnings)
    assert list(em.events) == outcome.events
    assert (em.learner, em.benchmark, em.network, em.seed, other.seed) == ("own-em", "toys", "tiny", 0, 1)
    assert em.finished
    assert em.measures.accuracy == outcome.measures.accuracy
    assert em.setting("training", "learning_rate") == TRAINING.learning_rate
    assert em.strategy == "SelectiveTransfer"
    assert em.static_configuration is None
    assert [bits and list(map(int, bits)) for bits in em.configurations] == outcome.configurations
    assert single.learner == "SingleNetwork"


def test_a_saved_outcome_has_no_learner_to_load(saved):
    with pytest.raises(RunError, match=r"must have a checkpoint to be loaded .* use the learner itself"):
        load(saved[0] / "em-0")


def test_seeds_of_a_saved_experiment_are_compared_as_one(saved):
    out, _ = saved
    assert [len(group) for group in same_spec(collect([out]))] == [2, 1]


@pytest.mark.parametrize(
    "command",
    [
        ["show"], ["table", "comparison"], ["table", "time"], ["figure", "learning-curves", "--out", "a.svg"],
        ["report", "--out", "page.html"], ["export", "--out", "tables"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_the_commands_that_read_runs_read_saved_outcomes(saved, command, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from lasem import cli

    monkeypatch.chdir(tmp_path)
    name, *options = command
    what = [options.pop(0)] if name in ("table", "figure") else []
    answer = CliRunner().invoke(cli.app, [name, *what, str(saved[0]), *options])
    assert answer.exit_code == 0, answer.output
    assert not options or (tmp_path / options[1]).exists()


class Zeros(AbstractLearner):
    """A learner of one's own with nothing but the interface."""

    def __init__(self):
        self.training, self.task = TRAINING, None

    def begin_task(self, task):
        self.task = task

    def train_epoch(self):
        return 1.0

    def end_task(self):
        self.task = None

    def logits(self, images, task):
        return torch.zeros(len(images), 3)

    def network(self, task):
        raise NotImplementedError

    def state(self):
        return LearnerState()

    def restore(self, state, *, task):
        raise NotImplementedError


def test_a_learner_of_ones_own_that_counts_nothing_is_saved_and_tabled(stream, tmp_path):
    learn(Zeros(), stream, epochs=1).save(tmp_path / "zeros")
    (run,) = collect([tmp_path])
    assert (run.learner, run.warnings, run.num_stored) == ("Zeros", (), 0)
    assert [row.per_task for row in memory([run])] == [0]


def test_an_outcome_is_saved_only_in_a_new_folder(saved, tmp_path):
    out, outcome = saved
    (tmp_path / "file").write_text("")
    for place in (out / "em-0", out, tmp_path / "file"):
        with pytest.raises(RunError, match="must be saved in a new folder"):
            outcome.save(place)
    (tmp_path / "empty").mkdir()
    assert outcome.save(str(tmp_path / "empty")) == tmp_path / "empty"
    assert pickle.loads(pickle.dumps(outcome)) == outcome
