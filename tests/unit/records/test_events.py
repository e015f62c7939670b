import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lasem.records import (
    DecisionRecord,
    EpochRecord,
    EvaluationRecord,
    ForgettingRatio,
    HistoryReader,
    Measures,
    NoteRecord,
    Parameters,
    PeakAccuracy,
    Result,
    Seconds,
    Series,
    TaskRecord,
    line,
    read_events,
    read_result,
)

EVENTS = [
    TaskRecord(task=0, identity=0, name="0 / 1", classes=2, images={"train": 8, "valid": 2, "test": 4}),
    TaskRecord(task=1, identity=0, name="é\n☃", classes=2, images={"train": 8}, candidates=["10", "01"]),
    EpochRecord(
        task=0, epoch=1, task_epoch=1, loss=0.1, valid_accuracy=1 / 3, training_seconds=1e-3, evaluation_seconds=0.0
    ),
    EpochRecord(
        task=0, epoch=2, task_epoch=2, loss=1e-12, valid_accuracy=1.0, test_accuracy=2 / 3, configuration=[0, 1],
        prior=[(0, 1e-300), (3, 0.1 + 0.2)], marginals=[0.5, 1 / 7], entropy=0.69, training_seconds=1.0,
        evaluation_seconds=2.0,
    ),
    DecisionRecord(task=0, epoch=2, configuration=[0, 1], probability=0.9, margin=0.8),
    DecisionRecord(task=0, epoch=2),
    EpochRecord(
        task=1, epoch=9, task_epoch=1, candidate=3, loss=0.1, valid_accuracy=0.5, training_seconds=0.0,
        evaluation_seconds=0.0,
    ),
    DecisionRecord(task=1, epoch=9, configuration=[1, 1], candidate=3),
    EvaluationRecord(task=1, epoch=4, accuracy=[0.5, 1 / 3], seconds=0.25),
    NoteRecord(text='a "note" with \\ and a tab\t'),
]  # fmt: skip

RESULT = Result(
    name="digits/lasem-hps", learner="lasem-hps", benchmark="digits", network="digits-3", profile="paper", seed=3,
    device="cpu", complete=True, tasks=["a", "b"], accuracy=[[0.5, None], [0.25, 1 / 3]],
    peak_accuracy=PeakAccuracy(
        validation=Series(per_task=[0.5, None], mean=None), test=Series(per_task=[0.5, 0.6], mean=0.55)
    ),
    final_accuracy=0.3, average_incremental_accuracy=0.4,
    forgetting_ratio=ForgettingRatio(per_task=[0.5, None], mean=0.5, curve=[0.5], reference="end"),
    backward_transfer=-0.25, forgetting=0.25, forward_transfer=None, epochs_to_98_percent=[1, None],
    configurations=[[1, 0, 1], [0, 0, 0]], parameters=Parameters(shared=10, per_task=[3, 4], search=17),
    seconds=Seconds(training=1.5, evaluation=0.1), undefined={"forward_transfer": "no run of STL is given"},
)  # fmt: skip


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.event)
def test_an_event_survives_its_line(event, tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text(line(event), encoding="utf-8")
    assert read_events(path) == ([event], [])


def test_every_kind_of_event_is_among_these():
    kinds = {TaskRecord, EpochRecord, DecisionRecord, EvaluationRecord, NoteRecord}
    assert {type(event) for event in EVENTS} == kinds


@given(st.text(), st.floats(allow_nan=False, allow_infinity=False), st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_any_text_and_finite_number_survive_bit_for_bit(tmp_path_factory, text, loss, accuracy):
    events = [
        NoteRecord(text=text),
        EpochRecord(task=0, epoch=1, task_epoch=1, loss=loss, valid_accuracy=0.0, training_seconds=0.0,
                    evaluation_seconds=0.0),
        EvaluationRecord(task=len(accuracy) - 1, epoch=1, accuracy=accuracy, seconds=0.0),
    ]  # fmt: skip
    path = tmp_path_factory.mktemp("records") / "records.jsonl"
    path.write_text("".join(map(line, events)), encoding="utf-8")
    assert read_events(path) == (events, [])


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.event)
def test_an_event_is_one_line_without_nulls(event):
    text = line(event)
    assert text.endswith("\n")
    assert text.count("\n") == 1
    assert None not in json.loads(text).values()


def test_a_torn_last_line_is_left_out_with_a_warning_that_names_it(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text(line(EVENTS[0]) + line(EVENTS[2])[:-9], encoding="utf-8")
    events, warnings = read_events(path)
    assert events == EVENTS[:1]
    assert len(warnings) == 1
    assert f"{path}, line 2" in warnings[0]


@pytest.mark.parametrize(
    "garbage",
    [b"garbage\n", b"[]\n", b"{}\n", b'{"event": "party"}\n', b'{"event": "note"}\n', b"\xff\xfe\n", b"null\n",
     b'{"event": "note", "text": "x", "more": 1}\n'],
)  # fmt: skip
def test_what_is_no_record_is_left_out_and_the_rest_stays(tmp_path, garbage):
    path = tmp_path / "records.jsonl"
    path.write_bytes(line(EVENTS[0]).encode() + garbage + b"\n" + line(EVENTS[4]).encode())
    events, warnings = read_events(path)
    assert events == [EVENTS[0], EVENTS[4]]
    assert len(warnings) == 1
    assert "line 2" in warnings[0]


def test_many_lines_that_are_no_records_are_counted_and_not_listed(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text("garbage\n" * 5000 + line(EVENTS[0]), encoding="utf-8")
    events, warnings = read_events(path)
    assert events == EVENTS[:1]
    assert [warning.removeprefix(str(path))[:9] for warning in warnings[:-1]] == [", line 1:", ", line 2:", ", line 3:"]
    assert warnings[-1] == f"{path}: 4,997 more lines are no records; left out"


def test_records_that_are_not_there_are_empty(tmp_path):
    assert read_events(tmp_path / "records.jsonl") == ([], [])


def test_a_result_survives_its_file(tmp_path):
    path = tmp_path / "result.json"
    path.write_text(json.dumps(RESULT.model_dump()), encoding="utf-8")
    assert read_result(path) == RESULT


def test_a_result_that_is_not_there_is_none(tmp_path):
    assert read_result(tmp_path / "result.json") is None


def test_records_cannot_be_changed_and_refuse_unknown_fields():
    with pytest.raises(ValueError, match="frozen"):
        EVENTS[0].task = 5
    with pytest.raises(ValueError, match=r"[Ee]xtra"):
        NoteRecord(text="x", more=1)


def test_a_result_begins_with_what_it_belongs_to_and_has_the_measures_at_top(tmp_path):
    names = list(RESULT.model_dump())
    assert names[:9] == ["name", "learner", "benchmark", "network", "profile", "seed", "device", "complete", "tasks"]
    assert {"accuracy", "peak_accuracy", "final_accuracy", "forgetting_ratio", "undefined"} < set(names)
    assert isinstance(RESULT, Measures)


# Files that need not be trusted


def epoch(**changes):
    values = {"task": 0, "epoch": 1, "task_epoch": 1, "loss": 0.5, "valid_accuracy": 0.5, "marginals": [0.5]}
    return json.dumps({"event": "epoch", "training_seconds": 0.0, "evaluation_seconds": 0.0} | values | changes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (epoch(task=1_000_000_000), "task 1000000000 must begin after the tasks before it"),
        (epoch(task=-1), "greater than or equal to 0"),
        (epoch(task_epoch=1_000_000_000), "must come after the epochs before it"),
        (epoch(task_epoch=0), "greater than or equal to 1"),
        (epoch(valid_accuracy=1.5), "less than or equal to 1"),
        (epoch(valid_accuracy=float("nan")), "finite"),
        (epoch(loss=float("inf")), "finite"),
        (epoch(epoch=2**70), "less than"),
        (epoch(configuration=[0, 3]), "less than or equal to 2"),
        (epoch(configuration=[0, 1, 1]), "as many stages"),
        (epoch(marginals=[0.5, 0.5]), "as many marginals"),
        (epoch(prior=[[2, 0.5]]), "must be below 2, the number of candidates"),
        (epoch(loss=[0]).replace("[0]", "[" * 9999 + "]" * 9999), "recursion"),
        ('{"event": "evaluation", "task": 0, "epoch": 1, "accuracy": [], "seconds": 0}', "must have 1 accuracies"),
        ('{"event": "evaluation", "task": 0, "epoch": 1, "accuracy": [1e12], "seconds": 0}', "less than or equal to 1"),
    ],
    ids=range(15),
)
def test_a_record_that_cannot_follow_or_is_out_of_range_is_left_out_at_once(tmp_path, text, words):
    path = tmp_path / "records.jsonl"
    first, last = epoch(configuration=[0, 1]), epoch(epoch=2, task_epoch=2)
    path.write_text(f"{first}\n{text}\n{last}\n")
    reader = HistoryReader(path)
    history = reader.read()
    (warning,) = reader.warnings
    assert words in warning
    assert "line 2" in warning
    assert (len(history.tasks), history.num_epochs) == (1, 2)


def test_a_line_longer_than_any_record_is_skipped_piece_by_piece(tmp_path, monkeypatch):
    monkeypatch.setattr("lasem.records._reader.LONGEST_LINE", 500)
    path = tmp_path / "records.jsonl"
    path.write_bytes(b"x" * 1700 + b"\n" + line(EVENTS[0]).encode())
    events, warnings = read_events(path)
    assert events == EVENTS[:1]
    assert len(warnings) == 1


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("final_accuracy", 1e12), ("final_accuracy", float("nan")), ("accuracy", [[0.5, None], [1.5, 0.5]]),
        ("accuracy", [[0.5, None]]), ("accuracy", [[0.5], [0.25, 0.5]]), ("tasks", ["a"]), ("seed", 2**70),
        ("epochs_to_98_percent", [1]), ("configurations", [[1, 0, 1]]), ("forgetting", float("inf")),
        ("peak_accuracy", {key: {"per_task": [2, 2], "mean": 2} for key in ("validation", "test")}),
        ("parameters", {"shared": -1, "per_task": [], "search": 0}), ("seconds", {"training": -1, "evaluation": 0}),
    ],
)  # fmt: skip
def test_a_result_out_of_range_or_with_lists_of_other_lengths_is_refused(tmp_path, key, value):
    path = tmp_path / "result.json"
    path.write_text(json.dumps(RESULT.model_dump() | {key: value}))
    with pytest.raises(ValueError, match=r"Result"):
        read_result(path)
