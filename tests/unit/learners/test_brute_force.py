from dataclasses import replace

import pytest
import torch

from lasem import learn
from lasem.benchmarks import TaskStream
from lasem.configurations import Partition
from lasem.errors import LasemError
from lasem.learners import BruteForce, SelectiveTransfer, TakesTurns, Training
from lasem.records import DecisionRecord, EpochRecord, TaskRecord
from lasem.search import Fixed, FixedSearch, InTurn, Schedule, TaskNetwork
from toys import assert_same, through_disk

EPOCHS = 3
TRAINING = Training(batch_size=4, learning_rate=1e-2, decay=0.5)
BITS = [(0, 0), (0, 1), (1, 0), (1, 1)]


@pytest.fixture
def make_learner(make_backbone):
    def make(strategy=None, **options):
        return BruteForce(make_backbone(), strategy, training=TRAINING, **options)

    return make


@pytest.fixture
def tasks(make_task):
    return [make_task(seed=seed, valid=10, name=f"t{seed}") for seed in range(3)]


def accuracy(learner, task, number):
    return float((learner.logits(task.valid.images, number).argmax(1) == task.valid.labels).double().mean())


def train(learner, task, number, *, epochs=EPOCHS, scores=None):
    """Learn a task by the verbs alone; accuracies come from the validation split, or from a list."""
    learner.begin_task(task)
    turns = learner.turns() if isinstance(learner, TakesTurns) else None
    for turn in range(len(turns or "1")):
        found = []
        for _ in range(epochs):
            learner.train_epoch()
            found.append(accuracy(learner, task, number))
        if isinstance(learner, TakesTurns):
            learner.end_turn(max(found) if scores is None else scores[turn])
    learner.end_task()


def of(kind, events):
    return [event for event in events if isinstance(event, kind)]


# Against learners with a fixed configuration


def test_every_candidate_trains_as_a_fixed_learner_would_and_the_best_one_stays(make_learner, make_backbone, tasks):
    """The naive twin: per task one learner per configuration, each with its own copy of everything so far."""
    learner, stream = make_learner(), TaskStream.of(tasks)
    events = learn(learner, stream, epochs=EPOCHS).events
    chosen: list[tuple[int, ...]] = []
    for number, task in enumerate(tasks):
        twins, scores = [], []
        for bits in BITS:
            twin = SelectiveTransfer(make_backbone(), Fixed("all"), training=TRAINING)
            for earlier, past in zip(tasks, chosen, strict=False):
                twin.strategy, twin.space = Fixed("".join(map(str, past))), Fixed("".join(map(str, past))).space(2)
                twin.begin_task(earlier)
                [twin.train_epoch() for _ in range(EPOCHS)]
                twin.end_task()
            twin.strategy, twin.space = Fixed("".join(map(str, bits))), Fixed("".join(map(str, bits))).space(2)
            twin.begin_task(task)
            accuracies, losses = [], []
            for _ in range(EPOCHS):
                losses.append(twin.train_epoch())
                accuracies.append(accuracy(twin, task, number))
            mine = [event for event in of(EpochRecord, events)
                    if (event.task, event.candidate) == (number, BITS.index(bits))]  # fmt: skip
            assert [event.loss for event in mine] == losses
            assert [event.valid_accuracy for event in mine] == accuracies
            assert all(event.configuration == list(bits) for event in mine)
            twin.end_task()
            twins.append(twin)
            scores.append(max(accuracies))
        best = max(range(4), key=lambda k: (scores[k], sum(BITS[k]), BITS[k]))
        chosen.append(BITS[best])
        last = twins[best]
    assert [learner.configuration(t) for t in range(3)] == chosen
    state, expected = learner.backbone.state_dict(), last.backbone.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in state.items())


def test_candidates_come_from_a_partition_or_a_list(make_learner, tasks):
    learner = make_learner(InTurn(partition=Partition.parse("{1,2}")))
    learner.begin_task(tasks[0])
    assert learner.turns() == ["0", "1"]
    learner = make_learner(InTurn(candidates=((1, 0), (0, 1))))
    learner.begin_task(tasks[0])
    assert learner.turns() == ["10", "01"]
    assert learner.configuration(0) == (1, 0)


# The choice


@pytest.mark.parametrize(
    ("scores", "ties", "chosen"),
    [
        ([0.5, 0.9, 0.2, 0.1], "most-shared", (0, 1)),
        ([0.5, 0.5, 0.5, 0.5], "most-shared", (1, 1)),
        ([0.5, 0.5, 0.5, 0.4], "most-shared", (1, 0)),
        ([0.5, 0.5, 0.4, 0.4], "most-shared", (0, 1)),
        ([0.5, 0.5, 0.5, 0.4], "enumeration", (0, 1)),
        ([0.9, 0.5, 0.5, 0.4], "enumeration", (0, 0)),
    ],
)
def test_ties_go_to_the_preferred_candidate(make_learner, tasks, scores, ties, chosen):
    learner = make_learner(InTurn(ties=ties))
    train(learner, tasks[0], 0, epochs=1, scores=scores)
    assert learner.configuration(0) == chosen


def test_the_last_epochs_weights_of_the_best_candidate_stay(make_learner, make_backbone, tasks):
    learner = make_learner()
    train(learner, tasks[0], 0, scores=[0.1, 0.9, 0.2, 0.3])
    twin = SelectiveTransfer(make_backbone(), Fixed("01"), training=TRAINING)
    train(twin, tasks[0], 0)
    assert torch.equal(learner.logits(tasks[0].test.images, 0), twin.logits(tasks[0].test.images, 0))


def test_ending_a_task_early_commits_the_best_so_far_or_else_the_current_candidate(make_learner, tasks):
    learner = make_learner()
    learner.begin_task(tasks[0])
    learner.train_epoch()
    learner.end_task()
    assert learner.configuration(0) == (0, 0)
    learner.begin_task(tasks[1])
    for score in (0.1, 0.8):
        learner.train_epoch()
        learner.end_turn(score)
    learner.train_epoch()
    learner.end_task()
    assert learner.configuration(1) == (0, 1)


# Learning rate, revisits, memory


def test_the_learning_rate_counts_one_candidates_epochs_per_earlier_task(make_learner, tasks):
    learner, rates = make_learner(), []
    for number, task in enumerate(tasks[:2]):
        learner.begin_task(task)
        for _ in learner.turns():
            for _ in range(EPOCHS):
                learner.train_epoch()
                rates.append(learner._inner.task.optimizer.param_groups[0]["lr"])
            learner.end_turn(accuracy(learner, task, number))
        learner.end_task()
    expected = [1e-2 / (1 + 0.5 * epoch) for epoch in range(2 * EPOCHS)]
    assert rates == pytest.approx(expected[:EPOCHS] * 4 + expected[EPOCHS:] * 4)


def test_a_revisit_trains_its_configuration_once(make_learner, make_task):
    tasks = [make_task(seed=seed, identity=seed) for seed in (0, 1)]
    learner = make_learner()
    stream = TaskStream.of([tasks[0], tasks[1], tasks[0]])
    assert learner.trainings(stream.outline.identities) == [4, 4, 1]
    events = learn(learner, stream, epochs=2).events
    assert [len([e for e in of(EpochRecord, events) if e.task == t]) for t in range(3)] == [8, 8, 2]
    assert all(event.candidate is None for event in of(EpochRecord, events) if event.task == 2)
    assert of(TaskRecord, events)[2].candidates is None
    first, _, again = of(DecisionRecord, events)
    assert first.configuration == again.configuration


def test_beside_the_current_candidate_only_the_best_one_is_held(make_learner, tasks):
    learner = make_learner()
    learner.begin_task(tasks[0])
    shared = learner.parameter_counts().shared
    sizes = []
    for score in (0.1, 0.4, 0.3, 0.2):
        learner.train_epoch()
        tensors = learner.state().tensors
        best = sum(t.numel() for name, t in tensors.items() if name.startswith("best."))
        held = sum(t.numel() for name, t in tensors.items() if name.startswith("backbone."))
        sizes.append((best, held - shared))
        learner.end_turn(score)
    network = shared + sum(p.numel() for p in learner.backbone.heads["0"].parameters())  # HPS: own = shared in size
    assert sizes == [(0, network), *[(network, network)] * 3]
    counts = learner.parameter_counts()
    assert (counts.search, counts.rollback) == (network, shared + network)


# The release's first task


def test_as_second_the_first_task_shares_all_and_then_takes_the_second_tasks_choice(make_learner, tasks):
    learner = make_learner(InTurn(first_task="as-second"))
    learner.begin_task(tasks[0])
    assert learner.turns() is None
    for _ in range(EPOCHS):
        learner.train_epoch()
    learner.end_task()
    assert learner.configuration(0) == (1, 1)
    before = learner.logits(tasks[0].test.images, 0)
    kernels = [stage.shared["weight"].clone() for stage in learner.backbone.iter_stages()]
    train(learner, tasks[1], 1, scores=[0.1, 0.2, 0.9, 0.3])
    assert learner.configuration(0) == learner.configuration(1) == (1, 0)
    assert torch.equal(learner.backbone.stages[1].own["0"]["weight"], kernels[1])
    assert not torch.equal(learner.backbone.stages[0].shared["weight"], kernels[0])
    assert not torch.equal(learner.logits(tasks[0].test.images, 0), before)  # it reads what the second has changed
    train(learner, tasks[2], 2, scores=[0.9, 0.2, 0.3, 0.4])
    assert [learner.configuration(t) for t in range(3)] == [(1, 0), (1, 0), (0, 0)]


def test_where_the_second_task_shares_nothing_the_first_one_is_as_it_was(make_learner, tasks):
    learner = make_learner(InTurn(first_task="as-second"))
    train(learner, tasks[0], 0)
    before = learner.logits(tasks[0].test.images, 0)
    train(learner, tasks[1], 1, scores=[0.9, 0.2, 0.3, 0.4])
    assert torch.equal(learner.logits(tasks[0].test.images, 0), before)
    assert "0" not in learner.backbone.stages[0].mapping


def test_a_changed_decision_is_recorded_anew(make_learner, tasks):
    learner = make_learner(InTurn(first_task="as-second"))
    outcome = learn(learner, TaskStream.of(tasks), epochs=EPOCHS)
    records = of(DecisionRecord, outcome.events)
    committed = [list(learner.configuration(t)) for t in range(3)]
    assert outcome.configurations == committed
    expected = [0, 1, 2] if committed[0] == [1, 1] else [0, 1, 0, 2]
    assert [record.task for record in records] == expected
    assert len(of(EpochRecord, outcome.events)) == EPOCHS * (1 + 4 + 4)
    assert learner.trainings([0, 1, 2]) == [1, 4, 4]


# Resuming


@pytest.mark.parametrize("first_task", ["searched", "as-second"])
@pytest.mark.parametrize("stop", [1, 3, 4, 8, 12])
def test_a_learner_restored_inside_a_task_goes_on_bit_for_bit(make_learner, tasks, first_task, stop, monkeypatch):
    one, other = (make_learner(InTurn(first_task=first_task), redraw_unchosen=True) for _ in range(2))
    for learner in (one, other):
        train(learner, tasks[0], 0)
    one.begin_task(tasks[1])
    found, done = [], 0
    while done < 12:
        one.train_epoch()
        found.append(accuracy(one, tasks[1], 1))
        done += 1
        if done == stop:
            state = through_disk(one.state())
            other = make_learner(InTurn(first_task=first_task), redraw_unchosen=True)
            other.restore(state, task=tasks[1])
            assert_same(one, other)
            assert other.parameter_counts() == one.parameter_counts()
        if done % EPOCHS == 0:
            one.end_turn(max(found[-EPOCHS:]))
    trained, step = [], FixedSearch.step
    monkeypatch.setattr(FixedSearch, "step", lambda *given: (trained.append(1), step(*given))[1])
    for number in range(stop, 12):
        if number % EPOCHS == 0:
            other.end_turn(max(found[number - EPOCHS : number]))
        other.train_epoch()
    other.end_turn(max(found[-EPOCHS:]))
    assert len(trained) == (12 - stop) * 3  # three batches an epoch: finished candidates are not repeated
    assert_same(one, other)
    for learner in (one, other):
        learner.end_task()
        train(learner, tasks[2], 2)
    assert_same(one, other)


def test_a_learner_may_be_restored_between_the_last_turn_and_the_commit(make_learner, tasks):
    one = make_learner()
    one.begin_task(tasks[0])
    for score in (0.1, 0.9, 0.2, 0.3):
        one.train_epoch()
        one.end_turn(score)
    other = make_learner()
    other.restore(through_disk(one.state()), task=tasks[0])
    assert_same(one, other)
    for learner in (one, other):
        learner.end_turn(1.0)  # nothing is left to end
        learner.end_task()
    assert_same(one, other)
    assert one.configuration(0) == (0, 1)


# Records


def test_records_carry_the_candidate_and_count_through(make_learner, tasks):
    outcome = learn(make_learner(), TaskStream.of(tasks[:2]), epochs=EPOCHS)
    epochs = of(EpochRecord, outcome.events)
    assert [event.epoch for event in epochs] == list(range(1, 2 * 4 * EPOCHS + 1))
    assert [event.task_epoch for event in epochs] == [1, 2, 3] * 8
    assert [event.candidate for event in epochs] == [k for _ in range(2) for k in range(4) for _ in range(EPOCHS)]
    assert [event.candidates for event in of(TaskRecord, outcome.events)] == [["00", "01", "10", "11"]] * 2
    for decision in of(DecisionRecord, outcome.events):
        assert list(BITS[decision.candidate]) == decision.configuration
    assert of(DecisionRecord, outcome.events)[-1].epoch == 2 * 4 * EPOCHS


def test_the_test_set_is_evaluated_by_each_candidates_own_schedule(make_learner, tasks):
    for event in of(EpochRecord, learn(make_learner(), TaskStream.of(tasks[:1]), epochs=EPOCHS).events):
        assert event.test_accuracy is not None or event.task_epoch == 2
        assert event.task_epoch != 1 or event.test_accuracy is not None


def test_peak_accuracy_is_that_of_the_chosen_candidate(make_learner, tasks):
    outcome = learn(make_learner(), TaskStream.of(tasks), epochs=EPOCHS)
    for decision in of(DecisionRecord, outcome.events):
        own = [
            e for e in of(EpochRecord, outcome.events) if (e.task, e.candidate) == (decision.task, decision.candidate)
        ]
        assert len(own) == EPOCHS
        tested = [e for e in own if e.test_accuracy is not None]
        best = max(tested, key=lambda e: e.valid_accuracy)
        peaks = outcome.measures.peak_accuracy
        assert peaks.validation.per_task[decision.task] == best.test_accuracy
        assert peaks.test.per_task[decision.task] == max(e.test_accuracy for e in tested)


def test_an_impossible_first_task_is_refused(make_learner):
    with pytest.raises(LasemError, match="first_task"):
        make_learner(InTurn(first_task="skipped"))


def test_candidates_in_turn_are_opened_one_by_one(make_backbone):
    with pytest.raises(LasemError, match="one by one"):
        InTurn().search(InTurn().space(2), network=TaskNetwork(make_backbone(), 0), schedule=Schedule(batches=1))


def test_knowledge_given_reaches_the_backbone_before_the_second_task(make_learner, tasks, monkeypatch):
    learner, seen = make_learner(), []
    value = torch.full((3, 1, 3, 3), 0.25)
    begin = learner.begin_task

    def watched(task):
        seen.append(learner.backbone.state_dict()["stages.0.shared.weight"].clone())
        begin(task)

    monkeypatch.setattr(learner, "begin_task", watched)
    stream = replace(TaskStream.of(tasks[:2]), knowledge={"stages.0.shared.weight": value})
    learn(learner, stream, epochs=1)
    assert not torch.equal(seen[0], value)
    assert torch.equal(seen[1], value)


def test_candidates_that_tie_with_the_best_are_counted(make_learner, tasks):
    learner = make_learner()
    learner.begin_task(tasks[0])
    for score, tied in ((0.5, 0), (0.7, 0), (0.5, 0), (0.7, 1)):
        assert learner.tied() == 0
        learner.train_epoch()
        learner.end_turn(score)
        assert learner.tied() == tied
    learner.end_task()
    assert learner.tied() is None


def test_a_decision_tells_how_many_candidates_tied_with_the_chosen_one(make_learner, tasks):
    events = learn(make_learner(), TaskStream.of(tasks[:1]), epochs=1).events
    best = [event.valid_accuracy for event in events if isinstance(event, EpochRecord)]
    (decision,) = (event for event in events if isinstance(event, DecisionRecord))
    assert decision.tied == best.count(best[decision.candidate]) - 1
