import io
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from lasem.records import DecisionRecord, EpochRecord, EvaluationRecord, TaskRecord
from lasem.runs import RunStart, resolve
from lasem.runs._sink import following
from lasem.runs.sinks import ProgressDisplay
from lasem.runs.sinks._terminal import shared_layers

TASK = TaskRecord(task=1, identity=1, name="3 / 6 / 7", classes=3, images={"train": 90})
EPOCH = EpochRecord(
    task=1, epoch=32, task_epoch=2, loss=0.5, valid_accuracy=0.75, configuration=[1, 0],
    prior=[(0, 0.05), (1, 0.15), (2, 0.7), (3, 0.1)], marginals=[0.8, 0.25], training_seconds=1.0,
    evaluation_seconds=0.1,
)  # fmt: skip
EVENTS = [
    TASK,
    EPOCH,
    DecisionRecord(task=1, epoch=60),
    EvaluationRecord(task=1, epoch=60, accuracy=[0.5, 0.7], seconds=1),
]


def shown(
    *events,
    terminal,
    finished=False,
    resumed=0,
    warnings=(),
    width=120,
    clock=lambda: 0.0,
    folder="runs/x",
    name="digits/lasem-hps",
    stopping=lambda: False,
):
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=width, color_system=None)
    spec = resolve("digits/lasem-hps", ["seeds.training=4", f"name={name}"])
    display = ProgressDisplay(console, stopping=stopping, clock=clock)
    start = RunStart(
        folder=Path(folder),
        spec=spec,
        num_tasks=10,
        epochs=300,
        resumed=resumed,
        finished=finished,
        warnings=list(warnings),
    )
    with following([display], start):
        for event in events:
            display.event(event)
    return file.getvalue()


def test_elsewhere_than_in_a_terminal_there_is_a_line_per_task():
    lines = shown(*EVENTS, terminal=False).splitlines()
    assert lines == [
        "digits/lasem-hps seed 4 starts: runs/x",
        "task 2/10  3 / 6 / 7: test accuracy 70.0%, mean of tasks so far 60.0%",
    ]


def test_in_a_terminal_the_leading_configurations_are_shown_with_their_probabilities():
    text = shown(TASK, EPOCH, terminal=True)
    assert "2 of 10  3 / 6 / 7" in text
    assert "10 0.700  01 0.150  11 0.100  00 0.050" in text
    assert "validation 75.0%" in text
    assert "32/300" in text


def test_listed_candidates_are_shown_by_name():
    task = TASK.model_copy(update={"candidates": ["11", "01", "00", "10"]})
    assert "00 0.700  01 0.150  10 0.100  11 0.050" in shown(task, EPOCH, terminal=True)


def test_where_candidates_take_turns_the_present_one_is_shown():
    task = TASK.model_copy(update={"candidates": ["11", "01", "00", "10"]})
    epoch = EPOCH.model_copy(update={"candidate": 2, "prior": None})
    assert "3 of 4  00" in shown(task, epoch, terminal=True)


@pytest.mark.parametrize("terminal", [True, False])
def test_a_resumed_run_says_where_it_resumes(terminal):
    assert "resumes after epoch 31" in shown(terminal=terminal, resumed=31)


@pytest.mark.parametrize("terminal", [True, False])
def test_a_finished_run_says_that_it_is_finished(terminal):
    assert "finished already: runs/x" in shown(terminal=terminal, finished=True)


def test_warnings_are_shown_word_by_word():
    assert "warning: threads: [2] and 1" in shown(terminal=False, resumed=3, warnings=["threads: [2] and 1"])


def test_the_display_tells_loss_accuracies_shared_layers_and_the_time_left():
    text = shown(EVENTS[3], TASK, EPOCH, terminal=True)
    for words in ("loss 0.5000", "layer 1; the network has 2 that can be shared", "60.0%, mean of 2 tasks", "left"):
        assert words in text


def test_the_display_fits_into_eighty_columns():
    task = TASK.model_copy(update={"name": "a task with a name " * 8})
    epoch = EPOCH.model_copy(update={"configuration": [1] * 40, "test_accuracy": 0.5})
    text = shown(task, epoch, terminal=True, width=80)
    assert "2 of 10  a task with a name" in text
    assert "leading" in text
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "\n", text).splitlines()
    assert max(map(len, lines)) <= 80
    assert sum("…" in line for line in lines) >= 2  # cut, not wrapped


def test_elsewhere_a_long_task_tells_once_a_minute_where_it_stands():
    times = iter([0.0, 50.0, 62.0, 62.0, 62.0, 70.0])
    epochs = [EPOCH.model_copy(update={"epoch": number}) for number in (31, 32, 33)]
    lines = shown(TASK, *epochs, terminal=False, resumed=1, clock=lambda: next(times)).splitlines()
    assert lines[1:] == [  # 62 s for 31 epochs, 268 to go
        "task 2/10  epoch 32/300: loss 0.5000, validation 75.0%, 10 leads with 0.700, about 0:08:56 left",
    ]


def test_shared_layers_are_counted_from_one():
    assert [shared_layers(bits) for bits in ([1, 0, 1], [0, 0], [0, 1], [1, 1, 1, 0])] == [
        "layers 1 and 3; the network has 3 that can be shared",
        "no layer; the network has 2 that can be shared",
        "layer 2; the network has 2 that can be shared",
        "layers 1, 2 and 3; the network has 4 that can be shared",
    ]


@pytest.mark.parametrize("terminal", [True, False])
def test_names_with_markup_and_commands_of_terminals_are_text(terminal):
    task = TASK.model_copy(update={"name": "[/b] \x1b]0;title\x07", "candidates": ["[/x]", "b", "c", "d"]})
    text = shown(task, EPOCH, EVENTS[3], terminal=terminal, warnings=["[/y]"], folder="old[/runs]", name="x[/b]y")
    assert "x[/b]y seed 4 starts: old[/runs]" in text
    assert "warning: [/y]" in text
    assert r"[/b] \x1b]0;title\x07: test accuracy" in text
    assert "\x1b]0;" not in text


def test_a_log_is_not_wrapped_and_a_request_to_stop_is_in_the_live_display():
    task = TASK.model_copy(update={"name": "long " * 40})
    assert len(shown(task, EVENTS[3], terminal=False, width=80).splitlines()) == 2
    assert "stopping after this epoch" in shown(TASK, EPOCH, terminal=True, stopping=lambda: True)
    assert "stopping after this epoch" not in shown(TASK, EPOCH, terminal=True)


class Notebook:
    """What a notebook's cell shows: a list of outputs, where a display can be replaced."""

    def __init__(self):
        self.outputs = []

    def display(self, thing, display_id=False):
        place = len(self.outputs)
        self.outputs.append(thing)
        return SimpleNamespace(update=lambda new: self.outputs.__setitem__(place, new))


@pytest.fixture
def notebook(monkeypatch):
    cell = Notebook()
    module = SimpleNamespace(display=cell.display, HTML=lambda text: text)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(display=module))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return cell


def test_in_a_notebook_one_output_shows_the_latest_epoch(notebook):
    times = iter(range(100))
    display = ProgressDisplay(Console(force_jupyter=True), clock=lambda: next(times))
    display.open("<b>mine</b>", num_tasks=10, epochs=300, resumed=30)
    (first,) = notebook.outputs
    assert "30/300" in first
    for event in (TASK, EPOCH):
        display.event(event)
    (second,) = notebook.outputs
    display.ended()
    (last,) = notebook.outputs
    assert "32/300" in second
    assert second == last or "32/300" in last
    assert "10 0.700  01 0.150" in re.sub(r"<[^>]*>", "", last)
    assert "&lt;b&gt;mine" in last


def test_frames_of_a_notebook_are_not_shown_faster_than_one_can_read(notebook):
    display = ProgressDisplay(Console(force_jupyter=True), clock=lambda: 0.0)
    display.open("mine", num_tasks=10, epochs=300)
    display.event(TASK)
    display.event(EPOCH)
    assert "32/300" not in notebook.outputs[0]
    display.ended()
    assert "32/300" in notebook.outputs[0]
