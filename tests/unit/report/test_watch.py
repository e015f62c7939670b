import re

import pytest
from run_folders import result, task_events, write_run

from lasem.errors import RunError
from lasem.records import line
from lasem.report import watch_page
from lasem.report.page import _watch


def runs_on(page):
    return page.count('<script type="text/plain" id="run-')


def test_a_watched_page_follows_its_runs_and_then_stands_still(tmp_path, monkeypatch):
    out, folder = tmp_path / "page.html", write_run(tmp_path / "runs" / "a-s0-abc0", list(task_events(0)))
    seen, told, read, actions = [], [], [], []
    collect = _watch.collect
    monkeypatch.setattr(_watch, "SHARE", 1.0)  # so that pauses are the same on a busy machine
    monkeypatch.setattr(_watch, "collect", lambda folders: read.append(folders[0].name) or collect(folders))

    def append():
        with (folder / "records.jsonl").open("a") as file:
            file.write("".join(map(line, task_events(1))))

    def another():
        write_run(tmp_path / "runs" / "b-s1-abc1", list(task_events(0)), seed=1, end=result(seed=1))

    def end():
        (folder / "result.json").write_text(result().model_dump_json())

    actions = [append, lambda: None, another, end, lambda: None, lambda: None]

    def sleep(seconds):
        assert seconds >= 7
        seen.append(out.read_text())
        actions.pop(0)()

    watch_page([tmp_path / "runs"], out, seconds=7, settle=10, told=told.append, sleep=sleep)
    assert told == [
        {"runs": 1, "finished": 0},
        {"runs": 1, "finished": 0},
        {"runs": 2, "finished": 1},
        {"runs": 2, "finished": 2},
    ]
    assert read == ["a-s0-abc0", "a-s0-abc0", "b-s1-abc1", "a-s0-abc0"]  # only what has changed
    assert all('data-live="7"' in page for page in seen)
    versions = [re.search(r'data-version="(\w+)"', page)[1] for page in seen]
    assert versions[1] == versions[2]  # nothing new, nothing written
    assert len(set(versions)) == 4
    assert [runs_on(page) for page in seen] == [1, 1, 1, 2, 2, 2]
    last = out.read_text()
    assert "data-live" not in last
    assert 'lasem: "final"' in last


def test_an_interrupt_leaves_a_page_that_follows_nothing(tmp_path):
    out = tmp_path / "page.html"
    write_run(tmp_path / "runs" / "a-s0-abc0", list(task_events(0)))

    def interrupted(seconds):
        assert "data-live" in out.read_text()
        raise KeyboardInterrupt

    watch_page([tmp_path / "runs"], out, sleep=interrupted)
    assert "data-live" not in out.read_text()
    assert runs_on(out.read_text()) == 1


def test_watching_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(RunError, match="lasem run"):
        watch_page([tmp_path], tmp_path / "page.html", sleep=lambda seconds: None)
    assert not (tmp_path / "page.html").exists()
