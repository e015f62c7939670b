import re
import subprocess
import sys
from dataclasses import replace

import pytest
from run_folders import grown, write_learner

from lasem.errors import ReportError
from lasem.report import FIGURES, collect, draw_figure, write_figure
from lasem.report.figures._style import stroke
from report_runs import multiply

WORDS = {
    "search": ("task 1: t1", "probability", "layer 2", "10"),
    "branches": ("task 1: t1", "layer 2", "share", "tune", "the task's own"),
    "network": ("cifar-4", "layer 2", "33%", "67%"),
    "configurations": ("11 (all)", "lasem-hps (6 choices)", "share of tasks"),
    "layers": ("lasem-hps", "share of tasks", "the task's own"),
    "forgetting": ("hps on digits", "best static (top-1)", "LASEM", "forgetting ratio"),
    "learning-curves": ("epoch of a task", "brute-force-hps", "test accuracy, mean over tasks"),
    "accuracy-matrix": ("after task", "accuracy of task", "72", "hps-top-1 (2 seeds)"),
    "share-map": ("layer", "0: t0", "paler: seeds differ"),
    "entropy": ("entropy of the prior / log K", "margin to the runner-up", "lasem-hps"),
    "regret": ("lasem-hps (2 seeds)", "mean over tasks, 95% interval over seeds"),
    "cost": ("training time", "values stored", "stl"),
    "growth": ("values stored for all tasks", "units per layer, lasem-hps", "stl", "layer 2", "tasks learned", "2 k"),
}
SEARCHES_ONLY = ("search", "branches", "network", "configurations", "layers", "entropy")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    write_learner(folder, "stl", configuration="none", seeds=(0, 1))
    write_learner(folder, "hps", seeds=(0, 1))
    write_learner(folder, "hps-top-1", configuration="top-1", seeds=(0, 1))
    write_learner(folder, "brute-force-hps", strategy="brute-force", seeds=(0, 1))
    write_learner(folder, "lasem-hps", strategy="em", seeds=(0, 1))
    return collect([folder])


def of(runs, name):
    if name == "growth":
        widths = {"lasem-hps": [(4, 8), (5, 8), (9, 10)]}
        return [grown(run, units=widths.get(run.learner, ())) for run in runs]
    return [run for run in runs if run.learner == "lasem-hps"] if name in SEARCHES_ONLY else runs


def test_every_figure_is_tested():
    assert set(WORDS) == set(FIGURES)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_says_what_it_shows_in_svg_and_is_the_same_file_again(runs, tmp_path, name):
    for file in (tmp_path / "one.svg", tmp_path / "two.svg"):
        write_figure(name, of(runs, name), file)
    text = (tmp_path / "one.svg").read_text(encoding="utf-8")
    shown = [re.sub(r"&amp;", "&", found) for found in re.findall(r"<text[^>]*>([^<]*)</text>", text)]
    for words in WORDS[name]:
        assert words in shown, shown
    assert text == (tmp_path / "two.svg").read_text(encoding="utf-8")
    assert "<dc:date>" not in text


@pytest.mark.parametrize("name", ["network", "forgetting", "cost"])
def test_a_figure_is_drawn_as_pdf_and_png(runs, tmp_path, name):
    for suffix, start in ((".pdf", b"%PDF"), (".png", b"\x89PNG")):
        write_figure(name, of(runs, name), tmp_path / f"figure{suffix}")
        written = (tmp_path / f"figure{suffix}").read_bytes()
        assert written.startswith(start)
        assert b"CreationDate" not in written


@pytest.mark.parametrize("name", [name for name in FIGURES if name not in ("cost", "learning-curves", "network")])
def test_a_figure_without_its_runs_says_which_are_missing(tmp_path, name):
    write_learner(tmp_path, "snn")
    (run,) = collect([tmp_path])
    bare = replace(run, events=(), result=None)
    with pytest.raises(ReportError, match=rf"the figure {name} must have .*;"):
        write_figure(name, [bare], tmp_path / "figure.svg")


def test_the_figure_of_forgetting_draws_any_learners(runs, tmp_path):
    write_figure("forgetting", [run for run in runs if run.learner in ("stl", "brute-force-hps")], tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text()
    assert ">stl<" in text
    assert ">brute-force-hps<" in text


def test_a_figure_of_one_run_refuses_several(runs, tmp_path):
    with pytest.raises(ReportError, match="got several: "):
        write_figure("search", runs, tmp_path / "figure.svg")


def test_tasks_can_be_picked_and_unknown_ones_are_refused(runs, tmp_path):
    write_figure("search", of(runs, "search"), tmp_path / "figure.svg", tasks=[2])
    assert "task 2: t2" in (tmp_path / "figure.svg").read_text()
    assert "task 1: t1" not in (tmp_path / "figure.svg").read_text()
    with pytest.raises(ReportError, match=r"got 7\); choose of 0, 1, 2"):
        write_figure("search", of(runs, "search"), tmp_path / "figure.svg", tasks=[2, 7])


@pytest.mark.parametrize(
    ("name", "out", "words"), [("serch", "a.svg", "did you mean 'search'"), ("cost", "a.gif", ".png")]
)
def test_unknown_figures_and_formats_are_refused(runs, tmp_path, name, out, words):
    with pytest.raises(ReportError, match=re.escape(words)):
        write_figure(name, runs, tmp_path / out)


def test_a_notebook_shows_a_figure_and_it_can_be_changed_and_saved(runs, tmp_path):
    drawing = draw_figure("cost", runs)
    drawing.save(tmp_path / "before.svg")
    assert drawing._repr_png_().startswith(b"\x89PNG")
    write_figure("cost", runs, tmp_path / "written.svg")
    assert (tmp_path / "before.svg").read_bytes() == (tmp_path / "written.svg").read_bytes()
    drawing.figure.suptitle("my own title")
    drawing.save(str(tmp_path / "after.svg"))
    assert "my own title" in (tmp_path / "after.svg").read_text(encoding="utf-8")
    with pytest.raises(ReportError, match="must end in one of"):
        drawing.save("figure.gif")


def test_many_runs_made_of_one_read_like_runs(finished, tmp_path):
    multiply(finished, tmp_path / "many", runs=12, seeds=3)
    found = collect([tmp_path / "many"])
    assert len(found) == 12
    assert all(run.finished and not run.warnings for run in found)
    assert {(run.learner, run.seed) for run in found} == {
        (name, seed) for name in ("stl", "hps", "hps-top-1", "hps-top-2") for seed in range(3)
    }


def test_reading_runs_loads_neither_torch_nor_what_draws():
    names = "('torch', 'matplotlib', 'plotly', 'pandas', 'pyarrow', 'datasets')"
    code = f"import lasem.report, sys; assert not [name for name in {names} if name in sys.modules]"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_lines_differ_in_black_and_white_and_in_color():
    looks = [stroke(i) for i in range(28)]
    assert len({(look["linestyle"], look["marker"]) for look in looks}) == 28
    assert len({(look["color"], look["marker"]) for look in looks}) == 28
