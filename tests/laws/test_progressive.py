"""A column reads the older ones as Rusu et al. (2016) write it, and nothing changes an older column."""

import pytest
import torch
import torch.nn.functional as F

from lasem.learners import PlainNetwork, ProgressiveNetworks, SelectiveTransfer, Training
from lasem.learners.prognn import ProgNNOptions, _frozen
from lasem.learners.prognn._columns import Columns
from lasem.learners.prognn._laterals import Laterals
from lasem.nn import NETWORKS, Conv, Network, same_max_pool
from lasem.search import Fixed

SKIPPING = Network((Conv(3, 4, pool=2), Conv(3, 4), Conv(3, 4, pool=2, skip=2), Conv(5, 6)), hidden=(5,))
CASES = {
    "digits-3": (NETWORKS["digits-3"], (1, 8, 8)),
    "skipping": (SKIPPING, (2, 9, 7)),
}
TRAINING = Training(batch_size=4, learning_rate=1e-2)
FORMS = [Laterals(), Laterals(start="release"), Laterals(form="joint", start="scaled"), Laterals(head=True)]
networks = pytest.mark.parametrize(("network", "shape"), CASES.values(), ids=CASES.keys())


def by_hand(columns, network, images, number):
    """Logits of the column at a position, and its activations before every layer, by loops over columns and layers."""
    column, form = list(columns.columns.values())[number], columns.laterals
    older = [by_hand(columns, network, images, earlier)[1] for earlier in range(number)]
    h, before = images, []
    for layer, row in enumerate(network.layers):
        before.append(h)
        kernel = column.kernels[layer]
        total = F.conv2d(h, kernel["weight"], kernel["bias"], padding=row.kernel // 2)
        if layer and number:
            total = total + read_by_hand(
                column.laterals[layer - 1], [x[layer] for x in older], pad=row.kernel // 2, form=form
            )
        h = F.relu(total)
        if row.skip:
            h = h + before[layer - row.skip + 1]
        h = same_max_pool(h, row.pool)
    linears = [module for module in column.head if isinstance(module, torch.nn.Linear)]
    for layer, linear in enumerate(linears, start=len(network.layers)):
        before.append(h)
        total = linear(h.permute(0, 2, 3, 1).flatten(1))[..., None, None]
        if form.head and number:
            lateral = column.head_laterals[layer - len(network.layers)]
            total = total + read_by_hand(lateral, [x[layer] for x in older], pad=0, form=form)
        h = F.relu(total)
    return total.flatten(1), before


def read_by_hand(lateral, older, *, pad, form):
    """What a layer reads of older columns: sum over p of U_p ReLU(V_p a_p h_p + c_p), or U ReLU(V [a_p h_p] + c)."""
    scaled = [scale * x for scale, x in zip(lateral["scale"], older, strict=True)]
    count = 1 if form.form == "joint" else len(older)
    inputs = [torch.cat(scaled, 1)] if form.form == "joint" else scaled
    n = len(lateral["reduction"]) // count
    bias = lateral["bias"] if form.start == "release" else torch.zeros(n * count)
    assert not bias.any() or torch.equal(bias, torch.full((n * count,), 0.2))
    total = 0
    for p, x in enumerate(inputs):
        part = slice(p * n, (p + 1) * n)
        reduced = F.relu(F.conv2d(x, lateral["reduction"][part], bias[part]))
        total = total + F.conv2d(reduced, lateral["weight"][:, part], padding=pad)
    return total


@pytest.mark.parametrize("form", FORMS, ids=str)
@networks
def test_forward_pass_equals_loops_over_columns_and_layers(network, shape, form):
    columns = Columns(PlainNetwork(network, shape=shape), form)
    for task in (4, 2, 7):
        columns.grow(task, 3)
    images = torch.rand(5, *shape, generator=torch.Generator().manual_seed(0))
    for number, task in enumerate((4, 2, 7)):
        logits = columns.logits(images, task)
        torch.testing.assert_close(logits, by_hand(columns, network, images, number)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("reduction", "widths"), [(2, [8, 5, 4]), (5, [3, 2, 1]), (100, [1, 1, 1])])
def test_laterals_reduce_to_floor_of_channels_over_r_times_columns_and_never_to_none(reduction, widths):
    columns = Columns(
        PlainNetwork(Network((Conv(3, 32), Conv(3, 8)), hidden=()), shape=(1, 6, 6)), Laterals(reduction=reduction)
    )
    columns.grow(0, 2)
    for older, width in enumerate(widths, start=1):
        lateral = columns.grow(older, 2).laterals[0]
        assert lateral["reduction"].shape == (older * width, 32, 1, 1)
        assert lateral["weight"].shape == (8, older * width, 3, 3)
        assert lateral["scale"].shape == (older,)


def learned(learner, tasks, *, epochs=2):
    """Learn tasks in order; what the answers for each were when it ended."""
    answers = []
    for number, task in enumerate(tasks):
        learner.begin_task(task)
        for _ in range(epochs):
            learner.train_epoch()
        learner.end_task()
        answers.append(learner.logits(task.test.images, number if task.identity is None else task.identity))
    return answers


@pytest.mark.parametrize("head", [False, True])
@networks
def test_answers_for_older_tasks_never_change_by_a_bit(network, shape, head, make_task):
    options = ProgNNOptions(head=head, start="scaled")
    learner = ProgressiveNetworks(PlainNetwork(network, shape=shape), options=options, training=TRAINING)
    tasks = [make_task(seed=seed, shape=shape, identity=seed) for seed in range(4)]
    first = learned(learner, tasks)
    learned(learner, [tasks[1]])  # comes back: only what no other task reads may change
    for number in (0, 2, 3):
        assert torch.equal(learner.logits(tasks[number].test.images, number), first[number])
    assert not torch.equal(learner.logits(tasks[1].test.images, 1), first[1])


@pytest.mark.parametrize("head", [False, True])
@pytest.mark.parametrize("kept", [0, 1, 2])
def test_training_on_kept_activations_equals_computing_all_columns_anew(kept, head, make_task, monkeypatch):
    network, shape = CASES["skipping"]
    answers, images = [], torch.rand(5, *shape)
    for limit in (0, kept):
        learner = ProgressiveNetworks(
            PlainNetwork(network, shape=shape), options=ProgNNOptions(head=head), training=TRAINING
        )
        each = 4 * 14 * learner.columns.values_read  # 14 images of 4 bytes
        monkeypatch.setattr(_frozen, "KEPT_BYTES", limit * each)
        learned(learner, [make_task(seed=seed, shape=shape, train=14) for seed in range(3)])
        answers.append(learner.logits(images, 2))
    assert torch.equal(*answers)


def test_columns_whose_activations_are_kept_compute_them_once_per_task(make_task, monkeypatch):
    calls, inputs = [], Columns._inputs
    monkeypatch.setattr(Columns, "_inputs", lambda *given: calls.append(len(given[1])) or inputs(*given))
    learner = ProgressiveNetworks(PlainNetwork(SKIPPING, shape=(2, 9, 7)), training=TRAINING)
    tasks = [make_task(seed=seed, shape=(2, 9, 7), train=14) for seed in range(3)]
    for task in tasks:
        calls.clear()
        learner.begin_task(task)
        for _ in range(4):
            learner.train_epoch()
        learner.end_task()
    assert calls == [4] * 2 * 4  # batches of 4, which cover 14 images in 4, of two older columns


@pytest.mark.parametrize("head", [False, True])
def test_memory_of_kept_activations_is_foreseen(make_task, head):
    learner = ProgressiveNetworks(
        PlainNetwork(SKIPPING, shape=(2, 9, 7)), options=ProgNNOptions(head=head), training=TRAINING
    )
    tasks = [make_task(seed=seed, shape=(2, 9, 7), train=14) for seed in range(3)]
    learned(learner, tasks[:2], epochs=1)
    learner.begin_task(tasks[2])
    learner.train_epoch()
    kept = sum(4 * values.numel() for layer in learner._frozen._kept for values in layer)
    assert learner.kept_bytes(14, older=2) == kept > 0


def test_a_column_learns_from_the_older_ones(make_task):
    shape = (1, 8, 8)
    learner = ProgressiveNetworks(PlainNetwork(NETWORKS["digits-3"], shape=shape), training=TRAINING)
    tasks = [make_task(seed=seed, shape=shape) for seed in range(2)]
    learned(learner, tasks)
    before = learner.logits(tasks[1].test.images, 1)
    with torch.no_grad():
        learner.columns.column(0).kernels[0]["weight"].mul_(2)
    assert not torch.equal(learner.logits(tasks[1].test.images, 1), before)


def test_the_first_column_is_single_task_learning(make_task):
    shape = (1, 8, 8)
    task = make_task(shape=shape)
    network = NETWORKS["digits-3"]
    column = ProgressiveNetworks(PlainNetwork(network, shape=shape, seed=3), training=TRAINING, seed=3)
    alone = SelectiveTransfer(network.build(shape, seed=3), Fixed("none"), training=TRAINING, seed=3)
    (one,), (other,) = learned(column, [task]), learned(alone, [task])
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_growth_per_task_is_that_of_a_column_and_its_laterals(make_task):
    network, shape = Network((Conv(3, 8), Conv(3, 6)), hidden=()), (1, 6, 6)
    learner = ProgressiveNetworks(PlainNetwork(network, shape=shape), training=TRAINING)
    learned(learner, [make_task(seed=seed, shape=shape, identity=seed % 2) for seed in range(3)], epochs=1)
    column = 8 * 9 + 8 + 6 * 8 * 9 + 6 + 3 * 216 + 3
    laterals = 1 + 2 * 8 + 6 * 2 * 9
    counts = learner.parameter_counts()
    assert (counts.shared, counts.per_task, counts.search) == (0, [column, column + laterals, 0], column + laterals)
