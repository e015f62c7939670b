"""Every learner shows, within seconds, the advantage that its paper claims."""

from statistics import mean

from streams import accuracy, many_then_few, permuted, trained

SEEDS = (0, 1)


def test_progressive_networks_learn_a_task_of_few_images_from_a_column_that_saw_many():
    rusu = ("prognn.start=scaled", "prognn.form=joint", "prognn.head=true")
    alone, helped = [], []
    for seed in SEEDS:
        tasks = many_then_few(seed, many=20)
        alone.append(accuracy(trained("digits/stl", tasks[1:], epochs=[40], seed=seed), tasks[1], 1))
        learner = trained("digits/prognn", tasks, epochs=[15, 40], settings=rusu, seed=seed)
        helped.append(accuracy(learner, tasks[1], 1))
    assert mean(helped) > mean(alone) + 0.2
    assert all(one > other for one, other in zip(helped, alone, strict=True))


def test_den_retrains_some_units_of_a_network_that_has_learned_and_does_not_end_below_separate_networks():
    tasks = permuted(0, tasks=3, train=30)[:2]
    learner = trained("digits/den", tasks, epochs=[25, 25])
    assert accuracy(learner, tasks[0], 0) > 0.8
    selected, units = learner.growth().selected, [len(layer) for layer in learner.grown.seen[0]]
    assert all(0 < some <= all_of_them for some, all_of_them in zip(selected, units, strict=True))
    assert selected[-1] < units[-1]
    separate = trained("digits/stl", tasks[1:], epochs=[25])
    assert accuracy(learner, tasks[1], 1) > accuracy(separate, tasks[1], 1) - 0.03
