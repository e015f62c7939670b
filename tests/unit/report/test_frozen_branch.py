"""Runs with a third branch, frozen: what tables, figures, the page, the terminal and the export show of it."""

import numpy as np
import pytest
from matplotlib import colors
from rich.console import Console
from run_folders import result, task_events, write_run

from lasem.configurations import digits_key
from lasem.report import collect, draw_figure, legend, show
from lasem.report._choices import choices, configuration_name, shared_fractions
from lasem.report._comparison import comparison_rows
from lasem.report._curves import num_candidates, task_searches
from lasem.report._exported_tables import EXPORTED
from lasem.report._over_tasks import forgetting_panels
from lasem.report.figures._style import FROZEN, LEANING, OWN, SHARED, leaning
from lasem.report.page._comparison_figures import comparison_figures
from lasem.report.page._page import _says
from lasem.report.page._plotly_style import leaning as coded
from lasem.report.page._run_figures import run_figures
from lasem.runs.sinks._scalars import ScalarReader
from lasem.runs.sinks._tensorboard import PIXELS, share_map
from lasem.runs.sinks._terminal import shared_layers

CHOSEN = {0: [2, 2], 1: [2, 1], 2: [0, 1]}
MARGINALS = [(0.1, 0.2, 0.7), (0.25, 0.5, 0.25)]


def events(seed=0):
    """Two groups with three branches; the second seed differs from the first in its last task."""
    for task in range(3):
        digits = [2, 1] if (seed, task) == (1, 2) else CHOSEN[task]
        for event in task_events(task):
            changes = {"configuration": digits} if event.event in ("epoch", "decision") else {}
            if event.event == "epoch":
                prior = [(index, 1 / 9) for index in range(9)]
                changes |= {"prior": prior, "marginals": [p[1] for p in MARGINALS], "branch_marginals": MARGINALS}
            yield event.model_copy(update=changes)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        found = list(events(seed))
        chosen = [event.configuration for event in found if event.event == "decision"]
        end = result(seed).model_copy(update={"configurations": chosen})
        write_run(out / f"small-s{seed}-abc{seed}", found, seed=seed, end=end)
    return collect([out])


def printed(*items):
    console = Console(width=120, record=True, file=None, quiet=True)
    with console.capture() as captured:
        console.quiet = False
        for item in items:
            console.print(item)
    return captured.get()


def test_choices_and_maps_count_shared_and_frozen_layers_apart(runs):
    assert [run.branches for run in runs] == [3, 3]
    (found,) = choices(runs)
    assert found.layers == pytest.approx([0, 4 / 6])
    assert found.frozen == pytest.approx([5 / 6, 2 / 6])
    assert {choice.digits: choice.name for choice in found.most} == {"21": None, "22": "frozen", "01": "top-1"}
    assert configuration_name("2222") == "frozen"
    (drawn,) = shared_fractions(runs)
    assert drawn.shared.tolist() == [[0, 0, 0], [0, 1, 1]]
    assert drawn.frozen.tolist() == [[1, 1, 0.5], [1, 0, 0]]


def test_candidates_are_named_by_digits_and_counted_over_three_branches(runs):
    (first, *_) = task_searches(runs[0])
    assert [line.label for line in first.candidates] == ["00", "01", "02", "10", "11", "12", "20", "21", "22"]
    assert first.size == num_candidates(runs[0].tasks[0], runs[0].tasks[0].chosen[0]) == 9
    assert first.branch_marginals == [[p, p] for p in MARGINALS]


def test_colors_show_the_leading_branch_and_are_those_of_two_branches_without_the_third():
    for branch, color in enumerate((OWN, SHARED, FROZEN)):
        np.testing.assert_allclose(leaning(np.eye(3)[branch]), colors.to_rgba(color))
    for shared in (0.0, 0.3, 0.5, 0.8, 1.0):
        np.testing.assert_allclose(leaning(np.array([1 - shared, shared, 0])), LEANING(shared), atol=0.01)
    assert leaning(np.array([np.nan, np.nan, np.nan]))[3] == 0
    assert [coded(p) for p in ((1, 0, 0), (0.2, 0.5, 0.3), (0, 0.5, 0.5), *MARGINALS[:1])] == [0.99, 1.2, 1.01, 2.5]


@pytest.mark.parametrize(
    ("name", "has", "lacks"),
    [("search", "frozen", "bit per group"), ("share-map", "frozen", None), ("layers", "frozen", None),
     ("configurations", digits_key(3), None)],
)  # fmt: skip
def test_figures_explain_the_frozen_branch(runs, name, has, lacks):
    figure = draw_figure(name, runs).figure
    figure.draw_without_rendering()
    texts = [text.get_text() for found in figure.legends for text in (*found.get_texts(), found.get_title())]
    texts += [figure.get_supxlabel()]
    assert any(has in text for text in texts)
    assert not any(lacks in text for text in texts if lacks)


def test_the_page_explains_the_frozen_branch_and_tells_the_parts(runs):
    figures = run_figures(runs[0])
    first, *keys = figures["share-map"]["data"]
    assert first["z"] == [[2, 2, 0], [2, 1, 1]]
    assert first["customdata"][0] == ["frozen", "frozen", "its own"]
    assert [(key["name"], key["marker"]["color"].lower()) for key in keys] == [
        ("shared", SHARED.lower()), ("the task's own", OWN.lower()), ("frozen", FROZEN.lower())
    ]  # fmt: skip
    marginals = figures["probabilities"]["data"][-1]
    assert marginals["customdata"][0][0] == "own 0.10, shared 0.20, frozen 0.70"
    assert {z for row in marginals["z"] for z in row} == {2.5, 1.25}
    assert "layers 22, 0 = own, 1 = shared, 2 = frozen" in _says(runs[0])[0]


def test_the_comparison_of_layers_codes_all_learners_alike(runs):
    (trace,) = comparison_figures(comparison_rows(runs), {run.folder: i for i, run in enumerate(runs)})["sharing"][
        "data"
    ]
    assert trace["zmax"] == 3
    assert trace["z"] == [[pytest.approx(2.67), pytest.approx(1.33)]]
    assert trace["customdata"] == [
        ["own 17%, shared 0%, frozen 83% of 6 tasks", "own 0%, shared 67%, frozen 33% of 6 tasks"]
    ]


def test_the_terminal_and_trackers_name_the_frozen_branch(runs):
    text = printed(show(runs[0]), legend(branches=runs[0].branches))
    assert "2 = frozen" in text
    assert " 22 " in text
    assert shared_layers([2, 2, 1]) == "layer 3; layers 1 and 2 frozen; the network has 3 that can be shared"
    epoch = next(event for event in events() if event.event == "epoch")
    values = ScalarReader().read(epoch).values
    assert (values["sharing/group_01"], values["frozen/group_01"]) == (0.2, 0.7)
    assert "configuration/21" in values
    picture = share_map({0: [2, 0]}, 2)[::PIXELS, ::PIXELS]
    assert picture.tolist() == [[[230, 159, 0], [217, 217, 217]], [[0, 158, 115], [217, 217, 217]]]


def test_exports_have_the_branch_of_every_layer_and_the_probability_of_frozen_ones(runs):
    rows = list(EXPORTED["configurations"].rows(runs[0]))
    assert [row["branch"] for row in rows] == ["frozen", "frozen", "frozen", "shared", "own", "shared"]
    assert [row["shared"] for row in rows] == [False, False, False, True, False, True]
    assert {row["group"]: row["frozen"] for row in EXPORTED["marginals"].rows(runs[0])} == {1: 0.7, 2: 0.25}
    names = [row["configuration"] for row in EXPORTED["probabilities"].rows(runs[0])]
    assert names[:9] == ["00", "01", "02", "10", "11", "12", "20", "21", "22"]


def test_a_frozen_network_shares_nothing(tmp_path):
    end = result().model_copy(update={"learner": "hps", "configurations": [[2, 2]] * 3})
    folder = write_run(tmp_path / "frozen", list(events()), end=end)
    spec = (folder / "spec.toml").read_text()
    fixed = 'name = "hps"\nstrategy = "fixed"\nconfiguration = "frozen"'
    (folder / "spec.toml").write_text(spec.replace('name = "lasem-hps"', fixed))
    (run,) = collect([folder])
    assert not run.shares
    (panel,) = forgetting_panels([run])
    assert (panel.title, panel.roles) == ("learners on digits", [""])
