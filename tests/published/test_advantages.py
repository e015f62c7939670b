"""Every learner shows, within seconds, the advantage that its paper claims."""

from statistics import mean

from streams import accuracy, many_then_few, trained

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
