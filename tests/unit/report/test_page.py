import json
import re
import zlib
from base64 import b64decode

import plotly.graph_objects as go
import pytest
from run_folders import SPEC, grown, result, task_events, write_run

from lasem.errors import ReportError
from lasem.report import collect, watch_page, write_page
from lasem.report.page import _page, page
from made_up_runs import LEARNERS, write_runs


def chunks(html):
    """The data of each run."""
    found = re.findall(r'<script type="text/plain" id="run-\d+">(.*?)</script>', html, re.DOTALL)
    return [json.loads(zlib.decompress(b64decode(text))) for text in found]


def index(html):
    return json.loads(re.search(r'id="index">(.*?)</script>', html, re.DOTALL)[1])


def curves(figure):
    """Curves by their names; x is that of all where a trace has none."""
    x = figure["layout"]["meta"].get("x")
    return {trace["name"]: (trace.get("x", x), trace["y"]) for trace in figure["data"] if "name" in trace}


def section(html, name):
    return re.search(rf'<section[^>]*aria-labelledby="{name}".*?</section>', html, re.DOTALL)[0]


@pytest.fixture
def html(finished, second_seed, unfinished, tmp_path):
    out = tmp_path / "new" / "report.html"
    write_page(collect([finished.parent]), out)
    return out.read_text(encoding="utf-8")


def test_the_page_stands_alone_and_is_small(html):
    assert len(html.encode()) < 5_500_000
    ours = re.sub(r'<script id="plotly">.*?</script>', "", html, flags=re.DOTALL)
    assert len(ours) < len(html) - 4_000_000  # plotly.js is on the page
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", ours)
    assert not re.search(r"@import|url\(|fetch\(", ours)


def test_the_page_tells_what_was_run(html):
    text = section(html, "what-was-run")
    for words in ("a &lt;small&gt; device", "small-s1-abc1", "unfinished"):
        assert words in text
    facts = [dict(chunk["facts"]) for chunk in chunks(html)]
    assert [fact["seed"] for fact in facts] == ["0", "2", "1"]
    assert facts[0]["data.images"] == "42"
    assert "training = 2" in chunks(html)[1]["spec"]
    assert "<small>" not in re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)


def test_the_page_says_every_warning_once(html):
    text = section(html, "warnings")
    for words in ("line 10: not a record", "not finished", "the data stands in"):
        assert text.count(words) == 1
    assert "small-s1-abc1" in text


def test_a_warning_of_many_runs_is_one_line(tmp_path):
    write_runs(tmp_path, learners=("stl", "hps"), seeds=3, tasks=1, epochs=1)
    write_page(collect([tmp_path]), tmp_path / "page.html")
    text = section((tmp_path / "page.html").read_text(), "warnings")
    assert text.count("a small variant") == 1
    assert "6 runs" in text


def test_a_stand_in_is_named(tmp_path):
    write_runs(tmp_path, learners=("stl",), seeds=1, tasks=1, epochs=1, benchmark="pacs")
    write_page(collect([tmp_path]), tmp_path / "page.html")
    assert "pacs stands in for Office-Home" in section((tmp_path / "page.html").read_text(), "warnings")


def test_times_from_two_devices_are_a_warning(finished, second_seed, tmp_path):
    (second_seed / "environment.json").write_text('{"device_name": "another"}')
    write_page(collect([finished.parent]), tmp_path / "page.html")
    assert "times come from 2 devices" in section((tmp_path / "page.html").read_text(), "warnings")


def test_the_comparison_is_on_the_page_without_a_script(html):
    text = section(html, "comparison")
    assert "75.0 ± 0.0" in text
    assert "0.650 ± 0.000" in text
    assert '<span class="tag">unfinished</span>' in text


def test_a_run_travels_with_its_curves(html):
    figures = chunks(html)[0]["figures"]  # ratios of tests/unit/report/run_folders.py
    own, later = [trace for trace in figures["accuracy"]["data"] if trace["meta"].get("task") == 1]
    assert (own["x"], own["y"]) == ([3, 4], [0.95, 0.9])
    assert (later["x"], later["y"]) == ([4, 6], [0.9, 0.72])
    details = {trace["name"]: trace for trace in figures["accuracy"]["data"] if trace["meta"].get("only")}
    assert details["validation"]["y"] == [0.5, 0.7, None, 0.9, 0.9, None, 0.1, 0.4, None]
    assert details["validation"]["x"] == [1, 2, None, 3, 4, None, 5, 6, None]
    probabilities = curves(figures["probabilities"])
    assert list(probabilities) == ["00", "10", "11", "01"]  # highest 0.9, 0.7, 0.4, 0.25
    assert probabilities["10"] == (
        [1, 2, None, 3, 4, None, 5, 6, None],
        [0.25, 0.3, None, 0.25, 0.7, None, 0.25, 0, None],
    )
    *_, marginals = figures["probabilities"]["data"]
    assert (marginals["x"], marginals["y"]) == ([1, 2, 3, 4, 5, 6], ["layer 1", "layer 2"])
    assert marginals["z"] == [[0.5, 0.7, 0.5, 0.9, 0.5, 0.0], [0.5, 0.6, 0.5, 0.3, 0.5, 0.1]]
    assert figures["accuracy"]["layout"]["meta"]["spans"] == [[1, 2], [3, 4], [5, 6]]


def test_without_test_accuracies_the_curves_show_validation(tmp_path):
    events = [e.model_copy(update={"test_accuracy": None}) if e.event == "epoch" else e for e in task_events(0)]
    (run,) = chunks(page(collect([write_run(tmp_path / "run", events)])))
    accuracy = run["figures"]["accuracy"]
    assert accuracy["layout"]["yaxis"]["title"]["text"] == "validation accuracy"
    assert curves(accuracy)["task 0"] == ([1, 2], [0.5, 0.7])


def test_configurations_without_a_line_of_their_own_are_summed(tmp_path):
    first, epoch, *_ = task_events(0)
    prior = [(index, p) for index, p in enumerate([0.3, 0.2, *[0.05] * 8, *[0.1 / 6] * 6])]
    searched = epoch.model_copy(update={"prior": prior, "marginals": [0.5] * 4})
    (run,) = chunks(page(collect([write_run(tmp_path / "run", [first, searched])])))
    found = curves(run["figures"]["probabilities"])
    assert list(found)[:2] == ["0000", "0001"]
    assert len(found) == 12 + 1
    assert found["others, together"][1] == [pytest.approx(4 * 0.1 / 6, abs=1e-3), None]


def test_a_run_travels_with_its_tables(html):
    run = chunks(html)[0]
    shared = run["figures"]["share-map"]["data"][0]
    assert (shared["x"], shared["y"], shared["z"]) == ([0, 1, 2], [1, 2], [[1, 1, 0], [1, 0, 0]])
    assert run["figures"]["matrix"]["data"][0]["z"] == [[0.8, None, None], [0.6, 0.9, None], [0.4, 0.72, 0.5]]
    assert run["rows"][0] == ["0", "t0", "11", "80.0", "82.0", "80.0", "40.0", "0.500", "1"]
    assert run["leading"][1] == [["10", "0.700", "0.475"], ["11", "0.200", "0.225"], ["01", "0.100", "0.175"],
                                 ["00", "0.000", "0.125"]]  # fmt: skip
    assert (
        run["says"][1]
        == "Task 1 (t1): layers 10, 1 = shared; chosen with probability 0.500; unchanged since epoch 1 of 2."
    )


def test_an_open_task_is_blank_in_the_share_map(html):
    run = chunks(html)[2]
    assert run["figures"]["share-map"]["data"][0]["z"] == [[1, None], [1, None]]
    assert run["says"][1].startswith("Task 1 (t1): it is being learned; ")


def test_learners_travel_with_each_seed_and_each_layer(html):
    figures = index(html)["figures"]["digits"]
    trace = figures["scores-seconds"]["data"][-1]
    assert trace["x"] == [10.0, 9.0, 11.0]  # the mean, then each seed
    assert [run for run, _ in trace["customdata"]] == [0, 0, 1]
    shared = figures["sharing"]["data"][0]
    assert dict(zip(shared["y"], shared["z"], strict=True))["lasem-hps"] == [pytest.approx(4 / 6, abs=1e-4), 0.3333]
    assert shared["customdata"][-1] == [6, 6]  # of 11, 10, 00, twice
    assert curves(figures["forgetting"])["lasem-hps"] == ([1, 2], [0.75, 0.65])


def test_the_page_shows_what_grows(tmp_path, finished):
    (run,) = collect([finished])
    figures = index(page([grown(run, units=[(4, 8), (5, 8), (9, 10)])]))["figures"]["digits"]
    assert curves(figures["growth"]) == {"lasem-hps": ([1, 2, 3], [1000, 2000, 3000])}
    assert curves(figures["units"])["lasem-hps, layer 1"] == ([1, 2, 3], [4, 5, 9])
    assert "growth" not in index(page([run]))["figures"]["digits"]


def test_the_page_opens_at_the_benchmark_with_most_runs(tmp_path, finished):
    write_runs(tmp_path / "more", learners=("stl", "lasem-hps"), seeds=1, tasks=2, epochs=2, benchmark="zoo")
    found = index(page(collect([finished, tmp_path / "more"])))
    assert found["benchmarks"] == ["zoo", "digits"]
    assert list(found["figures"]) == ["zoo", "digits", ""]
    assert [run["name"] for row in found["rows"] for run in row["runs"]][found["first"]] == "zoo/lasem-hps"


def test_wide_intervals_do_not_hide_how_seeds_differ(finished, second_seed):
    axis = index(page(collect([finished.parent])))["figures"]["digits"]["scores-seconds"]["layout"]["xaxis"]
    low, high = axis["range"]  # 10 +- 12.7, of 9 and 11
    assert 6 < low < 9 < 11 < high < 14


def test_every_figure_is_one_that_plotly_knows(html):
    figures = [figure for run in chunks(html) for figure in run["figures"].values()]
    figures += [figure for kind in index(html)["figures"].values() for figure in kind.values()]
    assert len(figures) > 15
    for figure in figures:
        go.Figure(
            figure | {"layout": figure["layout"] | {"template": index(html)["template"]}}
        )  # refuses what is wrong


def test_candidates_in_turn_travel_with_their_validation(tmp_path):
    first, epoch, *_ = task_events(0)
    turns = [
        epoch.model_copy(update={"epoch": n + 1, "task_epoch": n % 2 + 1, "candidate": n // 2, "prior": None,
                                 "valid_accuracy": valid, "marginals": None})
        for n, valid in enumerate([0.5, 0.6, 0.7, 0.8])
    ]  # fmt: skip
    write_run(tmp_path / "run", [first.model_copy(update={"candidates": ["00", "11"]}), *turns])
    write_page(collect([tmp_path / "run"]), tmp_path / "page.html")
    (run,) = chunks((tmp_path / "page.html").read_text())
    figure = run["figures"]["probabilities"]
    assert curves(figure) == {"11": ([1, 2], [0.7, 0.8]), "00": ([1, 2], [0.5, 0.6])}
    assert figure["layout"]["yaxis"]["title"]["text"] == "validation accuracy"


def test_seeds_that_others_have_are_named(finished, second_seed, unfinished, tmp_path):
    folder = write_run(finished.parent / "alone-s0-abc9", list(task_events(0)), end=result())
    (folder / "spec.toml").write_text(SPEC.format(seed=0).replace("lasem-hps", "stl"))
    out = tmp_path / "report.html"
    write_page(collect([finished.parent]), out)
    assert "1 of 2 seeds; missing 2" in section(out.read_text(), "warnings")
    assert not list(tmp_path.glob("*.new"))


def test_a_page_is_no_pdf(finished, tmp_path):
    for write in (lambda out: write_page(collect([finished]), out), lambda out: watch_page([finished], out)):
        with pytest.raises(ReportError, match=r"must end in \.html \(got --out .*r\.pdf\); choose"):
            write(tmp_path / "r.pdf")
    assert not (tmp_path / "r.pdf").exists()


def test_runs_beyond_the_budget_are_left_out_and_it_says_so(finished, second_seed, monkeypatch):
    monkeypatch.setattr(_page, "MOST_BYTES", 1)
    text = page(collect([finished.parent]))
    assert "plots of 2 runs are left out" in text
    assert chunks(text) == []
    assert "75.0 ± 0.0" in text


def points(text):
    return len(chunks(text)[0]["figures"]["accuracy"]["data"][0]["x"])


def test_long_runs_are_thinned_before_any_is_left_out(tmp_path, monkeypatch):
    write_runs(tmp_path, learners=("lasem-hps",), seeds=1, tasks=1, epochs=600)
    whole = page(collect([tmp_path]))
    assert 200 < points(whole) <= 400
    monkeypatch.setattr(_page, "MOST_BYTES", len(whole.encode()) - 1)
    text = page(collect([tmp_path]))
    assert "thinned to 200 points" in text
    assert 100 < points(text) <= 200


@pytest.mark.slow
def test_two_hundred_small_runs_fit_with_all_their_points(tmp_path):
    write_runs(tmp_path, learners=LEARNERS, seeds=12, tasks=5, epochs=15)  # 204
    text = page(collect([tmp_path]))
    assert len(text.encode()) < 6_900_000
    assert len(chunks(text)) == 204
    assert "thinned" not in section(text, "warnings")


@pytest.mark.slow
def test_long_runs_fit(tmp_path):  # all that is longer than 400 epochs a task has as many points
    write_runs(tmp_path, learners=("lasem-hps", "darts-hps", "stl", "hps"), seeds=1, tasks=10, epochs=405)
    text = page(collect([tmp_path]))
    assert len(text.encode()) < 8_000_000
    assert len(chunks(text)) == 4
    assert points(text) > 100


def test_a_damaged_run_hides_no_other(finished, unfinished, tmp_path):
    (unfinished / "stream.json").write_text('{"outline": [], "choices": 3}')
    (unfinished / "spec.toml").write_text('small = true\nlearner = 3\n[seeds]\ntraining = "x"\n')
    shorter = result().model_dump() | {"accuracy": [[0.1]]}
    broken = write_run(finished.parent / "broken-s3-abc3", list(task_events(0)), seed=3)
    (broken / "result.json").write_text(json.dumps(shorter))
    text = page(collect([finished.parent]))
    assert len(chunks(text)) == 3
    assert "75.0" in section(text, "comparison")
    assert re.search("contradict each other|must cover", section(text, "warnings"))


def test_the_same_runs_give_the_same_page(finished):
    assert page(collect([finished])) == page(collect([finished]))
