import json
import re

import pytest
from plotly.offline import get_plotlyjs
from run_folders import SPEC, result, task_events, write_run

from lasem.report import _page, collect, write_page


@pytest.fixture
def html(finished, second_seed, unfinished, tmp_path):
    out = tmp_path / "new" / "report.html"
    write_page(collect([finished.parent]), out)
    return out.read_text(encoding="utf-8")


def test_the_page_stands_alone_and_is_small(html):
    assert len(html.encode()) < 6_000_000
    assert html.count(get_plotlyjs()) == 1
    rest = html.replace(get_plotlyjs(), "")
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", rest)
    assert not re.search(r"@import|url\(|fetch\(", rest)


def test_the_page_tells_what_was_run(html):
    for words in ("a &lt;small&gt; device", "data.images", "lasem run spec.toml", "training = 2", "<th scope="):
        assert words in html
    assert "<small>" not in html.replace(get_plotlyjs(), "")


def test_the_page_repeats_every_warning(html):
    for words in ("line 10: not a record", "not finished", "the data stands in"):
        assert words in html


def test_the_tables_are_on_the_page(html):
    assert "75.0 ± 0.0" in html
    assert "0.650 ± 0.000" in html
    assert '<span class="tag">unfinished</span>' in html


def test_every_figure_is_on_the_page_as_json(html):
    specs = [json.loads(text) for text in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', html)]
    assert len(specs) == 1 + 3 * 3  # forgetting; accuracy, probabilities and share map of each run
    assert all({"data", "layout"} <= spec.keys() for spec in specs)


def test_fewer_seeds_than_others_is_a_warning(finished, second_seed, unfinished, tmp_path):
    folder = write_run(finished.parent / "alone-s0-abc9", list(task_events(0)), end=result())
    (folder / "spec.toml").write_text(SPEC.format(seed=0).replace("lasem-hps", "stl"))
    out = tmp_path / "report.html"
    write_page(collect([finished.parent]), out)
    assert "1 of 2 seeds" in out.read_text()
    assert not (tmp_path / "report.html.new").exists()


def test_figures_beyond_the_budget_are_left_out_and_it_says_so(finished, second_seed, monkeypatch):
    monkeypatch.setattr(_page, "MOST_BYTES", 1)
    text = _page.page(collect([finished.parent])).replace(get_plotlyjs(), "")
    assert "figures of 2 runs are left out" in text
    assert "75.0 ± 0.0" in text
