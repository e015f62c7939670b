import math

import pytest
import torch

from lasem.benchmarks import Task
from lasem.configurations import Partition
from lasem.errors import DataError, LasemError, RunError, SpecError
from lasem.learners import SelectiveTransfer, Training
from lasem.nn import Conv, DeconvolutionalFactorization, Network, TensorFactorization
from lasem.optimizers import OPTIMIZERS
from lasem.search import DARTS, EM, EMSearch, Fixed
from toys import assert_same, assert_same_state, learn, through_disk

TRAINING = Training(batch_size=4, learning_rate=1e-2, decay=0.5)


@pytest.fixture
def make_learner(make_backbone):
    def make(strategy=None, *, seed=0, redraw_unchosen=False, **training):
        options = {"batch_size": 4, "learning_rate": 1e-2, "decay": 0.5} | training
        return SelectiveTransfer(
            make_backbone(),
            strategy or EM(),
            training=Training(**options),
            seed=seed,
            redraw_unchosen=redraw_unchosen,
        )

    return make


def watched_batches(monkeypatch):
    """Replace the step of searches by EM by one that notes each batch."""
    seen = []

    def step(search, task, images, labels):
        seen.append((images, labels))
        return torch.tensor(0.5)

    monkeypatch.setattr(EMSearch, "step", step)
    return seen


# Batches


def test_an_epoch_takes_every_complete_batch_once_and_skips_the_rest(make_learner, make_task, monkeypatch):
    learner, task = make_learner(), make_task(train=14)
    seen = watched_batches(monkeypatch)
    learner.begin_task(task)
    learner.train_epoch()
    assert [len(images) for images, _ in seen] == [4, 4, 4]
    sums = [float(image.sum()) for images, _ in seen for image in images]
    assert len(set(sums)) == 12
    assert set(sums) <= {float(image.sum()) for image in task.train.images}


def test_images_keep_their_labels(make_learner, make_task, monkeypatch):
    learner, task = make_learner(), make_task()
    seen = watched_batches(monkeypatch)
    learner.begin_task(task)
    learner.train_epoch()
    known = {float(image.sum()): int(label) for image, label in zip(task.train.images, task.train.labels, strict=True)}
    assert all(
        known[float(image.sum())] == int(label)
        for images, labels in seen
        for image, label in zip(images, labels, strict=True)
    )


def test_every_epoch_task_and_seed_has_a_shuffle_of_its_own(make_learner, make_task, monkeypatch):
    orders = []
    for seed in (0, 1):
        learner = make_learner(seed=seed)
        seen = watched_batches(monkeypatch)
        for _ in range(2):
            learn(learner, make_task(), epochs=3)
        orders += [tuple(float(image.sum()) for images, _ in seen[i : i + 3] for image in images)
                   for i in range(0, len(seen), 3)]  # fmt: skip
    assert len(orders) == 12
    assert len(set(orders)) == 12


def test_a_train_split_of_less_than_a_batch_is_refused_before_the_task_opens(make_learner, make_task):
    learner = make_learner(batch_size=13)
    with pytest.raises(DataError, match=r"13 here \(got 12 in 'train' of task 'toy'\); lower batch_size"):
        learner.begin_task(make_task(train=12))
    assert learner.task.open_identity is None
    assert learner.backbone.learning is None


def test_a_search_that_needs_the_number_of_epochs_opens_nothing_without_it(make_learner, make_task):
    learner = make_learner(EM(stop_when_certain=True))
    for _ in range(2):  # so that the second one finds no open task
        with pytest.raises(SpecError, match="epochs"):
            learner.begin_task(make_task())


def test_a_task_that_comes_back_with_other_classes_is_refused(make_learner, make_task):
    learner, task = make_learner(), make_task()
    learner.begin_task(task)
    learner.train_epoch()
    learner.end_task()
    more = Task(
        name=task.name, classes=task.classes + 1, train=task.train, valid=task.valid, test=task.test, identity=0
    )
    with pytest.raises(DataError, match=f"same number of classes .got {task.classes + 1} after {task.classes}"):
        learner.begin_task(more)
    learner.begin_task(make_task())  # nothing was opened


def test_a_train_split_of_exactly_a_batch_is_enough(make_learner, make_task):
    assert math.isfinite(*learn(make_learner(batch_size=12), make_task(train=12)))


# Learning rate and optimizer


def test_the_learning_rate_decays_over_the_whole_stream(make_learner, make_task):
    learner, rates = make_learner(Fixed("all")), []
    for seed in range(2):
        learner.begin_task(make_task(seed=seed))
        for _ in range(3):
            learner.train_epoch()
            rates.append(learner.task.optimizer.param_groups[0]["lr"])
        learner.end_task()
    assert rates == pytest.approx([1e-2 / (1 + epoch * 0.5) for epoch in range(6)])


def test_a_step_is_as_long_as_the_decayed_rate_says(make_backbone, make_task):
    task = make_task(train=4)
    lengths = []
    for epochs in (0, 3):
        learner = SelectiveTransfer(
            make_backbone(), Fixed("none"), training=Training(batch_size=4, decay=2.0, optimizer="sgd", keep=1.0)
        )
        learner.task.epochs_trained = epochs
        learner.begin_task(task)
        parameters = learner.backbone.task_parameters(0)
        before = torch.cat([p.detach().flatten().clone() for p in parameters])
        learner.train_epoch()
        lengths.append(float((torch.cat([p.detach().flatten() for p in parameters]) - before).norm()))
    assert lengths[0] / lengths[1] == pytest.approx(1 + 3 * 2.0, rel=1e-3)


@pytest.mark.parametrize(("name", "key"), [("rmsprop-tf", "mean_square"), ("adam", "exp_avg")])
def test_the_optimizers_state_is_new_for_every_task(make_learner, make_task, name, key):
    learner = make_learner(Fixed("all"), optimizer=name)
    learn(learner, make_task(), epochs=2)
    learner.begin_task(make_task(seed=1))
    for parameter in learner.backbone.task_parameters(1):
        state = learner.task.optimizer.state[parameter]
        assert key not in state or (state[key] == 1).all()


def test_every_m_step_is_an_optimizer_step(make_learner, make_task):
    learner = make_learner(EM(m_steps=3), optimizer="adam")
    learner.begin_task(make_task(train=8))
    learner.train_epoch()
    head = next(learner.backbone.heads["0"].parameters())
    assert int(learner.task.optimizer.state[head]["step"]) == 2 * 3


def test_an_unknown_optimizer_is_a_clear_error_that_opens_nothing(make_learner, make_task):
    with pytest.raises(LasemError, match="rmsprop"):
        make_learner(optimizer="rmsprp").begin_task(make_task())


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_largest_learning_rate_ends_in_words(make_learner, make_task, optimizer):
    """Larger ones overflow single precision inside an optimizer, so options refuse them."""
    learner = make_learner(Fixed("all"), optimizer=optimizer, learning_rate=1e30)
    learner.begin_task(make_task())
    with pytest.raises(RunError, match="losses and gradients must be finite"):
        list(iter(learner.train_epoch, None))
    for rate in (1e38, 1e308):
        with pytest.raises(SpecError, match=r"learning_rate must be at most 1e\+30 \(got 1e\+"):
            Training(learning_rate=rate, optimizer=optimizer)


# A loop of the user's own


@pytest.mark.parametrize("strategy", [EM(restart="epoch"), DARTS()], ids=["em", "darts"])
def test_a_loop_over_the_same_batches_equals_train_epoch_bit_for_bit(make_learner, make_task, strategy):
    learner, own, listed = (make_learner(strategy) for _ in range(3))
    task = make_task()
    for made in (learner, own, listed):
        made.begin_task(task)
    for _ in range(3):
        mean = learner.train_epoch()
        own.begin_epoch()
        batches = list(own.task.batches())
        assert own.end_epoch([own.train_step(*batch) for batch in batches]) == mean
        listed.begin_epoch()
        assert listed.end_epoch([listed.train_step(*batch) for batch in listed.task.batches()]) == mean
    for made in (own, listed):
        assert_same_state(made.state(), learner.state())
        made.end_task()
    learner.end_task()
    assert_same_state(own.state(), learner.state())


def test_every_step_of_a_loop_drops_other_features(make_learner, make_task):
    learner, task = make_learner(Fixed("all"), learning_rate=1e-30), make_task()
    learner.begin_task(task)
    learner.begin_epoch()
    batch = task.train.images[:4], task.train.labels[:4]
    assert len({float(learner.train_step(*batch)) for _ in range(5)}) == 5


def test_a_loop_that_does_not_begin_or_end_its_epochs_is_refused(make_learner, make_task):
    learner, task = make_learner(), make_task()
    batch = task.train.images[:4], task.train.labels[:4]
    learner.begin_task(task)
    with pytest.raises(LasemError, match=r"an epoch must be begun before .* call begin_epoch first"):
        learner.train_step(*batch)
    with pytest.raises(LasemError, match="an epoch must be begun and have batches"):
        learner.end_epoch([])
    learner.begin_epoch()
    learner.train_step(*batch)
    for verb in (learner.begin_epoch, learner.train_epoch, learner.state):
        with pytest.raises(LasemError, match=r"epoch 1 of the task, which stopped at batch 1\)"):
            verb()
    for unfit, message in (
        ((batch[0].double(), batch[1]), "images must have the dtype"),
        ((batch[0][0], batch[1]), "images must have the shape"),
        ((batch[0], batch[1].float()), r"labels must be an int64 tensor of shape \(4,\)"),
        ((batch[0], batch[1][:3]), "labels must be"),
        ((batch[0], batch[1] + 7), r"must be from 0 to \d \(got 7 to \d+ in a batch\)"),
        ((batch[0], batch[1] - 9), "labels of a task with"),
    ):
        with pytest.raises(DataError, match=message):
            learner.train_step(*unfit)


def test_labels_that_were_changed_after_their_task_was_made_are_found_before_training(make_learner, make_task):
    learner, task = make_learner(), make_task()
    task.train.labels[0] = task.classes
    with pytest.raises(DataError, match=rf"must be from 0 to {task.classes - 1} .*in split 'train' of task"):
        learner.begin_task(task)
    assert learner.task.open_identity is None


def test_a_state_of_another_optimizer_is_refused_within_a_task_only(make_learner, make_task):
    learner, task = make_learner(optimizer="adam"), make_task()
    learner.begin_task(task)
    learner.train_epoch()
    within = learner.state()
    with pytest.raises(RunError, match=r"its optimizer, 'adam' \(got 'sgd'\); set Training\(optimizer='adam'\)"):
        make_learner(optimizer="sgd").restore(within, task=task)
    make_learner(optimizer="adam").restore(within, task=task)
    learner.end_task()
    make_learner(optimizer="sgd").restore(learner.state(), task=None)


@pytest.mark.parametrize("prior", ["running-mean", "counts"])
def test_a_prior_that_is_set_is_the_prior_until_posteriors_outweigh_it(make_learner, make_task, prior):
    learner, task = make_learner(EM(prior=prior)), make_task()
    learner.begin_task(task)
    search, given = learner.search, torch.tensor([4.0, 3.0, 2.0, 1.0])
    search.set_prior(given)
    torch.testing.assert_close(search.prior(), given.double() / 10)
    learner.train_epoch()
    before = search.prior()
    search.set_prior(given)
    torch.testing.assert_close(search.prior(), given.double() / 10)
    search.set_prior(before)
    learner.begin_epoch()
    learner.train_step(task.train.images[:4], task.train.labels[:4])
    posterior = learner.posterior()
    if prior == "running-mean":  # three batches before
        torch.testing.assert_close(search.prior(), (3 * before + posterior) / 4)
    else:
        winner = torch.zeros(4, dtype=torch.float64).index_fill_(0, posterior.argmax(), 1)
        torch.testing.assert_close(search.prior(), (7 * before + winner) / 8)
    for wrong in (given[:3], given - 1, given * float("nan")):
        with pytest.raises(LasemError, match="a prior must have a positive finite number for each of the 4"):
            search.set_prior(wrong)


def test_a_prior_that_is_set_before_the_first_batch_decides_its_posterior(make_learner, make_task):
    plain, told = make_learner(EM()), make_learner(EM())
    task = make_task()
    for learner in (plain, told):
        learner.begin_task(task)
        learner.begin_epoch()
    told.search.set_prior(torch.tensor([8.0, 1.0, 1.0, 1.0]))
    for learner in (plain, told):
        learner.train_step(task.train.images[:4], task.train.labels[:4])
    odds = told.posterior() / plain.posterior()
    torch.testing.assert_close(odds[0] / odds[1:], torch.full((3,), 8.0, dtype=torch.float64))
    fixed = make_learner(Fixed("all"))
    fixed.begin_task(task)
    with pytest.raises(LasemError, match="a search must have a prior"):
        fixed.search.set_prior(torch.ones(1))


# Resuming


STRATEGIES = {
    "em": EM(),
    "em-counts-epoch": EM(prior="counts", restart="epoch"),
    "em-groups": EM(partition=Partition.parse("{1,2}"), evidence="mean"),
    "fixed": Fixed("10"),
    "darts": DARTS(learning_rate=0.1),
    "darts-second-half": DARTS(order="second", held_out="half"),
    "darts-release": DARTS(held_out="none", optimizer="rmsprop-tf"),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
def test_a_learner_restored_inside_a_task_goes_on_bit_for_bit(make_learner, make_task, name, strategy):
    tasks = [make_task(seed=seed, classes=2 + seed) for seed in range(3)]
    one, other = (make_learner(strategy, optimizer=name) for _ in range(2))
    learn(one, tasks[0])
    one.begin_task(tasks[1])
    one.train_epoch()
    other.restore(through_disk(one.state()), task=tasks[1])
    assert_same(one, other)
    for learner in (one, other):
        learner.train_epoch()
    assert_same(one, other)
    for learner in (one, other):
        learner.end_task()
        learn(learner, tasks[2])
    assert_same(one, other)


@pytest.mark.parametrize("redraw_unchosen", [False, True])
def test_a_learner_restored_between_tasks_goes_on_bit_for_bit(make_learner, make_task, redraw_unchosen):
    tasks = [make_task(seed=seed) for seed in range(3)]
    one, other = (make_learner(redraw_unchosen=redraw_unchosen) for _ in range(2))
    for task in tasks[:2]:
        learn(one, task)
    other.restore(through_disk(one.state()), task=None)
    assert_same(one, other)
    for learner in (one, other):
        learn(learner, tasks[2], epochs=2)
    assert_same(one, other)


def test_a_learner_restored_on_a_revisit_goes_on_bit_for_bit(make_learner, make_task):
    tasks = [make_task(seed=seed, identity=seed) for seed in range(2)]
    one, other = make_learner(), make_learner()
    for task in tasks:
        learn(one, task)
    one.begin_task(tasks[0])
    one.train_epoch()
    other.restore(through_disk(one.state()), task=tasks[0])
    for learner in (one, other):
        learner.train_epoch()
        learner.end_task()
    assert_same(one, other)


def test_restoring_keeps_the_layout_of_kernels_and_their_squares(make_learner, make_task):
    one, other = make_learner(), make_learner()
    one.begin_task(make_task(shape=(1, 6, 6)))
    one.train_epoch()
    other.restore(through_disk(one.state()), task=make_task())
    for parameter in other.backbone.task_parameters(0):
        square = other.task.optimizer.state[parameter]["mean_square"]
        assert square.stride() == parameter.stride()


def test_a_restored_learner_shares_nothing_with_the_state_it_came_from(make_learner, make_task):
    one, other = make_learner(), make_learner()
    learn(one, make_task())
    other.restore(one.state(), task=None)
    before = through_disk(one.state())
    learn(other, make_task(seed=1), epochs=2)
    assert_same_state(one.state(), before)


# Search and commit


def test_a_revisit_trains_the_committed_configuration_without_a_search(make_learner, make_task):
    learner = make_learner()
    tasks = [make_task(seed=seed, identity=seed) for seed in range(2)]
    for task in tasks:
        learn(learner, task)
    committed = learner.configuration(0)
    before = learner.logits(tasks[0].test.images, 0)
    learner.begin_task(tasks[0])
    assert learner.status() is None
    assert learner.configuration(0) == committed
    assert torch.equal(learner.logits(tasks[0].test.images, 0), before)
    learner.train_epoch()
    learner.end_task()
    assert learner.configuration(0) == committed
    assert not torch.equal(learner.logits(tasks[0].test.images, 0), before)


def test_a_revisit_adds_no_parameters(make_learner, make_task):
    learner = make_learner()
    learn(learner, make_task(identity=0))
    once = learner.parameter_counts()
    learn(learner, make_task(identity=0))
    twice = learner.parameter_counts()
    assert twice.per_task == [*once.per_task, 0]
    assert twice.shared == once.shared


def test_the_status_of_a_search_sums_to_one_and_its_marginals_follow(make_learner, make_task):
    learner = make_learner()
    learner.begin_task(make_task())
    learner.train_epoch()
    status = learner.status()
    prior = dict(zip(status.names, status.prior.tolist(), strict=True))
    assert sum(prior.values()) == pytest.approx(1)
    assert status.marginals.tolist() == pytest.approx([prior["10"] + prior["11"], prior["01"] + prior["11"]])
    assert status.entropy == pytest.approx(-sum(p * math.log(p) for p in prior.values() if p))
    first, second = sorted(prior.values(), reverse=True)[:2]
    assert status.margin == pytest.approx(first - second)


def test_before_training_the_most_shared_configuration_leads(make_learner, make_task):
    learner = make_learner(EM(candidates=((0, 0), (0, 1), (1, 0))))
    learner.begin_task(make_task())
    assert learner.configuration(0) == (1, 0)


@pytest.mark.parametrize("configuration", ["all", "none", "10", "top-1"])
def test_a_fixed_strategy_commits_what_it_names(make_learner, make_task, configuration):
    learner = make_learner(Fixed(configuration))
    learn(learner, make_task())
    named = {"all": (1, 1), "none": (0, 0), "10": (1, 0), "top-1": (0, 1)}
    assert learner.configuration(0) == named[configuration]


def test_redrawing_concerns_only_knowledge_that_no_task_has_chosen(make_learner, make_task):
    learner, seen = make_learner(Fixed("10"), redraw_unchosen=True), []
    for seed in range(3):
        learner.begin_task(make_task(seed=seed))
        seen.append([stage.shared["weight"].detach().clone() for stage in learner.backbone.stages])
        learner.end_task()
    assert torch.equal(seen[1][0], seen[0][0])
    assert torch.equal(seen[2][0], seen[0][0])
    assert not torch.equal(seen[1][1], seen[0][1])
    assert not torch.equal(seen[2][1], seen[1][1])


def test_dropout_is_off_in_answers(make_learner, make_task):
    learner, task = make_learner(keep=0.5), make_task()
    learn(learner, task)
    assert torch.equal(learner.logits(task.test.images, 0), learner.logits(task.test.images, 0))


def test_dropout_keeps_a_share_of_features_scaled_up_with_a_mask_per_candidate(make_learner, make_task):
    learner, features = make_learner(keep=0.25), 36
    learner.begin_task(make_task())
    dropped = learner.task.draw_masks(3, 50, features).apply(torch.ones(3, 50, features))
    assert set(dropped.flatten().tolist()) == {0.0, 4.0}
    assert abs(float((dropped > 0).double().mean()) - 0.25) < 4 * math.sqrt(0.25 * 0.75 / dropped.numel())
    assert not torch.equal(dropped[0], dropped[1])


def test_the_only_candidate_leads_by_all(make_learner, make_task):
    learner = make_learner(EM(candidates=((1, 0),)))
    learner.begin_task(make_task())
    assert (learner.status().margin, learner.status().entropy) == (1.0, 0.0)


@pytest.mark.parametrize("strategy", [EM(), Fixed("all")], ids=["em", "fixed"])
def test_dropout_changes_what_is_learned(make_learner, make_task, strategy):
    answers = []
    for keep in (0.5, 1.0):
        learner = make_learner(strategy, keep=keep)
        learn(learner, make_task())
        answers.append(learner.logits(make_task().test.images, 0))
    assert not torch.equal(*answers)


def test_fitting_a_task_lowers_its_loss(make_learner, make_task):
    losses = learn(make_learner(Fixed("none"), keep=1.0, decay=0.0, learning_rate=0.1), make_task(), epochs=40)
    assert losses[-1] < 0.5 * losses[0]


# Faults


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_names_task_epoch_and_batch(make_learner, make_task, monkeypatch, value):
    learner = make_learner()
    learn(learner, make_task())
    learner.begin_task(make_task(name="the second"))
    factors, steps = iter([1.0] * 5 + [value]), learner.task._opened.steps
    backward = steps.backward
    monkeypatch.setattr(steps, "backward", lambda loss: backward(next(factors) * loss))
    learner.train_epoch()
    with pytest.raises(
        RunError, match=rf"got {value} in task 1 \('the second'\), epoch 2 of the task, batch 3"
    ) as caught:
        learner.train_epoch()
    assert "the batch before it left the posterior " in str(caught.value)
    assert "lower training.learning_rate" in str(caught.value)


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
def test_an_image_that_is_not_a_number_is_noticed_in_its_epoch(make_learner, make_task, strategy):
    task = make_task()
    broken = Task(name="broken", classes=3, train=task.train, valid=task.valid, test=task.test)
    broken.train.images[:] = math.nan  # a split refuses them, but cannot watch over its tensors
    learner = make_learner(strategy)
    place = r"task 0 \('broken'\), epoch 1 of the task, batch 1"

    def train():
        learner.begin_task(broken)
        learner.train_epoch()

    with pytest.raises(LasemError, match=f"{place}|pixels must be finite numbers"):  # halves are splits of their own
        train()


@pytest.mark.parametrize("verb", ["train_epoch", "end_task", "status"])
def test_without_an_open_task_the_remedy_is_to_begin_one(make_learner, verb):
    with pytest.raises(LasemError, match="call begin_task first"):
        getattr(make_learner(), verb)()


def test_a_second_open_task_is_refused(make_learner, make_task):
    learner = make_learner()
    learner.begin_task(make_task())
    with pytest.raises(LasemError, match="one task must end before the next begins"):
        learner.begin_task(make_task(seed=1))


def test_a_task_never_met_is_named_with_those_met(make_learner, make_task):
    learner = make_learner()
    learn(learner, make_task())
    with pytest.raises(LasemError, match=r"got task 3(\)| -).*\[0\]"):
        learner.logits(make_task().test.images, 3)


def test_the_network_of_a_task_never_met_is_refused_as_its_logits_are(make_learner, make_task):
    learner = make_learner()
    learn(learner, make_task())
    with pytest.raises(LasemError, match="got task 3"):
        learner.network(3)


@pytest.mark.parametrize(
    "options", [{"batch_size": 0}, {"learning_rate": -1.0}, {"keep": 0.0}, {"keep": 2.0}, {"decay": -1.0}]
)
def test_impossible_training_is_refused_before_a_task_opens(make_learner, options):
    with pytest.raises(LasemError, match=next(iter(options))):
        make_learner(**options)


@pytest.mark.parametrize(
    "options", [{"evidence": "sum"}, {"prior": "flat"}, {"restart": "never"}, {"m_steps": 0}, {"ties": "first"}]
)
def test_an_impossible_search_is_refused_before_a_task_opens(make_learner, options):
    with pytest.raises(LasemError, match=next(iter(options))):
        make_learner(EM(**options))


def test_a_partition_of_another_number_of_layers_is_refused_before_a_task_opens(make_learner):
    with pytest.raises(LasemError, match="2"):
        make_learner(EM(partition=Partition.single(3)))


def test_the_posterior_is_that_of_the_last_batch(make_learner, make_task):
    learner = make_learner()
    learner.begin_task(make_task(train=4))
    assert learner.posterior().tolist() == pytest.approx([0.25] * 4)
    learner.train_epoch()
    first = learner.posterior()
    assert first.dtype == torch.float64
    assert first.tolist() == pytest.approx(learner.status().prior.tolist())  # of one batch, the prior is its posterior
    learner.train_epoch()
    mean = (first + learner.posterior()) / 2
    assert mean.tolist() == pytest.approx(learner.status().prior.tolist())


def test_without_a_search_there_is_no_posterior(make_learner, make_task):
    learner = make_learner(Fixed("all"))
    learner.begin_task(make_task())
    assert learner.posterior() is None


@pytest.mark.parametrize("mechanism", [TensorFactorization(), DeconvolutionalFactorization()])
def test_knowledge_given_as_kernels_is_ignored_by_mechanisms_that_compute_theirs(mechanism):
    backbone = Network((Conv(3, 3),), hidden=()).build((1, 6, 6), mechanism=mechanism)
    before = {name: value.detach().clone() for name, value in backbone.named_parameters()}
    SelectiveTransfer(backbone, EM()).load_knowledge({"stages.0.shared.weight": torch.ones(3, 1, 3, 3)})
    assert all(torch.equal(value, before[name]) for name, value in backbone.named_parameters())
