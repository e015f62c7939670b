"""What an attempt notes, warns of, and leaves behind when it ends before the stream does."""

import errno
import json
import multiprocessing
import os
import re
import resource
import signal
import threading
from contextlib import contextmanager

import pytest
import torch

from lasem import records
from lasem.errors import RunError, RunStopped
from lasem.files import append
from lasem.records import EpochRecord, InterruptedRecord, ResumptionRecord
from lasem.runs import (
    Checkpoints,
    RunFolder,
    RunOptions,
    Signals,
    build_learner,
    learn,
    load,
    read_checkpoint,
    resolve,
    run,
)
from lasem.runs._attempt import Attempt
from lasem.runs._lock import exclusive
from lasem.testing import Listener

SETTINGS = [
    "benchmark.first_tasks=2", "benchmark.train_per_class=10", "benchmark.max_test=30", "network.name=synthetic-3",
    "training.epochs=3",
]  # fmt: skip
TIMES = {"training_seconds", "evaluation_seconds", "cpu_seconds", "seconds"}
SPEC = resolve("digits/lasem-hps", SETTINGS)


def place_in(out, **options):
    return RunOptions(**({"out": out, "device": "cpu", "checkpoint_every": 1} | options))


def stop_after(ends):
    """A question that is answered by yes after so many ends of epochs and tasks."""
    left = [ends + 1]

    def stop():
        left[0] -= 1
        return left[0] <= 0

    return stop


def stopped(out, ends=4, spec=SPEC):
    """A run that was stopped after so many ends; by default at the end of its first task, of three epochs."""
    with pytest.raises(RunStopped):
        run(spec, place_in(out), stop=stop_after(ends))
    return RunFolder.of(spec, out)


def events_of(folder):
    events, warnings = records.read_events(folder.records_path)
    assert not warnings
    return events


def timeless(folder):
    return [event.model_dump(exclude=TIMES) for event in events_of(folder)]


def resumptions(folder):
    return [ResumptionRecord.model_validate_json(line) for line in folder.resumptions_path.read_text().splitlines()]


def checkpoints(folder):
    return sorted(folder.checkpoints_path.iterdir())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    run(SPEC, place_in(out))
    return RunFolder.of(SPEC, out)


# Stopped as asked


def test_asked_to_stop_a_run_saves_after_its_epoch_and_goes_on_alike(whole, tmp_path):
    with pytest.raises(RunStopped, match="stopped after epoch 2 of 6") as caught:
        run(SPEC, place_in(tmp_path, checkpoint_every=100), stop=stop_after(2))
    folder = RunFolder.of(SPEC, tmp_path)
    last = events_of(folder)[-1]
    assert last == InterruptedRecord(reason="stopped", text=str(caught.value), task=0, epoch=2, checkpoint=2)
    starts = []
    run(SPEC, place_in(tmp_path), sinks=[Listener(started=starts.append)])
    assert (starts[0].resumed, starts[0].warnings) == (2, [])
    assert timeless(folder) == timeless(whole)


def test_asked_before_its_first_epoch_it_trains_none(tmp_path):
    folder = stopped(tmp_path, ends=0)
    assert [type(event) for event in events_of(folder)] == [InterruptedRecord]


def test_asked_after_its_last_epoch_it_ends(tmp_path):
    asked = []
    run(SPEC, place_in(tmp_path), stop=lambda: asked.append(1) or False)
    assert run(SPEC, place_in(tmp_path / "other"), stop=stop_after(len(asked))).complete


@pytest.fixture
def interruptible():
    """The usual answer to SIGINT, which a process that was started in the background of a shell ignores."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_the_first_signal_asks_and_the_second_one_stops_at_once(capfd):
    with Signals() as signals:
        assert not signals.received()
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.received()
        with pytest.raises(SystemExit) as caught:
            os.kill(os.getpid(), signal.SIGINT)
    assert (signals.status, caught.value.code) == (143, 130)
    assert "stopping after this epoch" in capfd.readouterr().err
    with pytest.raises(KeyboardInterrupt):  # as before
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("place", ["append", "write", "_record", "event"])
def test_a_second_signal_leaves_whole_records_that_say_so_and_a_run_that_goes_on_alike(
    whole, tmp_path, monkeypatch, place
):
    """Two signals come while a line or a checkpoint is written, while the end is recorded, or just after an epoch."""
    owner = {"append": RunFolder, "write": Checkpoints, "_record": Attempt, "event": Listener}[place]
    original, calls = getattr(owner, place), []

    def disturbed(*arguments, **options):
        calls.append(place)
        if len(calls) == (1 if place == "_record" else 3):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        return original(*arguments, **options)

    listener = Listener(event=lambda event: None)
    with monkeypatch.context() as patch, Signals(silent=True) as signals:
        patch.setattr(owner, place, disturbed)
        stop = stop_after(2) if place == "_record" else signals.received
        with pytest.raises(SystemExit):
            run(SPEC, place_in(tmp_path), sinks=[listener], stop=stop)
    folder = RunFolder.of(SPEC, tmp_path)
    last = events_of(folder)[-1]
    assert (last.event, last.reason) == ("interrupted", "stopped")
    assert last.checkpoint == last.epoch == read_checkpoint(folder).epoch
    run(SPEC, place_in(tmp_path), stop=None)
    assert timeless(folder) == timeless(whole)


def test_outside_the_main_thread_a_run_and_signals_do_no_harm(tmp_path):
    found = []

    def work():
        with Signals() as signals:
            found.append(run(SPEC, place_in(tmp_path), stop=signals.received))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found[0].complete


# Conditions


def test_a_resumption_is_logged_with_its_conditions_and_without_a_warning(tmp_path):
    folder = stopped(tmp_path)
    assert not folder.resumptions_path.exists()
    run(SPEC, place_in(tmp_path))
    (resumption,) = resumptions(folder)
    assert (resumption.epoch, resumption.warnings) == (3, [])
    assert resumption.environment.items() <= folder.read_json(folder.environment_path).items()
    assert resumption.environment["threads"] == torch.get_num_threads()


@pytest.mark.parametrize(
    ("key", "value"), [("torch", "1.0"), ("threads", 7), ("device", "cuda"), ("device_name", "abacus")]
)
def test_other_conditions_than_the_run_began_with_are_warned_of(tmp_path, key, value):
    folder, starts = stopped(tmp_path), []
    began = folder.read_json(folder.environment_path)
    folder.write_json(folder.environment_path, began | {key: value})
    run(SPEC, place_in(tmp_path, threads=1), sinks=[Listener(started=starts.append)])
    (warning,) = starts[0].warnings
    assert f"began with {value} and resumes with {began[key]}" in warning
    assert resumptions(folder)[0].warnings == [warning]


def test_threads_are_those_that_the_run_began_with_unless_others_are_asked_for(tmp_path):
    folder = stopped(tmp_path)
    began = folder.read_json(folder.environment_path)
    folder.write_json(folder.environment_path, began | {"threads": 2})
    with pytest.raises(RunStopped):
        run(SPEC, place_in(tmp_path), stop=stop_after(1))
    run(SPEC, place_in(tmp_path, threads=1))
    first, second = resumptions(folder)
    assert (first.environment["threads"], first.warnings) == (2, [])
    assert second.environment["threads"] == 1
    assert len(second.warnings) == 1


def test_a_run_that_starts_anew_keeps_the_conditions_of_the_new_start(tmp_path):
    folder = stopped(tmp_path, ends=0)
    began = folder.read_json(folder.environment_path)
    folder.write_json(folder.environment_path, began | {"torch": "1.0"})
    run(SPEC, place_in(tmp_path))
    assert folder.read_json(folder.environment_path)["torch"] == torch.__version__
    assert [(r.epoch, r.checkpoint, r.warnings) for r in resumptions(folder)] == [(0, None, [])]


# Damage


def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one_and_ends_alike(whole, tmp_path):
    folder, starts = stopped(tmp_path), []
    before, damaged = checkpoints(folder)
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    run(SPEC, place_in(tmp_path), sinks=[Listener(started=starts.append)])
    (warning,) = starts[0].warnings
    assert str(damaged) in warning
    assert starts[0].resumed == 3
    assert (resumptions(folder)[0].checkpoint, resumptions(folder)[0].warnings) == (before.name, [warning])
    assert timeless(folder) == timeless(whole)


def test_a_finished_run_with_a_damaged_last_checkpoint_is_not_loaded_as_it_was_before(tmp_path):
    run(SPEC, place_in(tmp_path))
    folder = RunFolder.of(SPEC, tmp_path)
    result, damaged = folder.result(), checkpoints(folder)[-1]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(RunError, match="last checkpoint of a finished run must be intact") as caught:
        load(folder.path)
    assert str(damaged) in str(caught.value)
    folder.result_path.unlink()  # the remedy
    run(SPEC, place_in(tmp_path))
    assert load(folder.path).result.accuracy == result.accuracy


def test_a_state_of_another_version_is_named_with_the_version(tmp_path, monkeypatch):
    folder = stopped(tmp_path)
    monkeypatch.setattr("lasem.learners.SelectiveTransfer.restore", lambda *_, **__: {}["a new key"])
    with pytest.raises(RunError, match=r"'a new key'\); resume with lasem 0"):
        run(SPEC, place_in(tmp_path))
    assert not folder.result_path.exists()


# One process at a time


def test_a_second_process_is_told_who_holds_the_folder(tmp_path):
    folder = stopped(tmp_path)
    with exclusive(folder), pytest.raises(RunError, match=r"\(got process \d+ on .+ since 20\d\d-") as caught:
        run(SPEC, place_in(tmp_path))
    assert f"process {os.getpid()} " in str(caught.value)
    assert not folder.holder_path.exists()
    assert run(SPEC, place_in(tmp_path)).complete


def hold(path, ready):
    with exclusive(RunFolder(path)):
        ready.set()
        signal.pause()


def test_the_lock_of_a_process_that_was_killed_is_taken_over(tmp_path):
    folder = stopped(tmp_path)
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=hold, args=(folder.path, ready))
    process.start()
    assert ready.wait(60)
    with pytest.raises(RunError, match=f"got process {process.pid} "):
        run(SPEC, place_in(tmp_path))
    process.kill()
    process.join()
    assert folder.holder_path.exists()  # it could not tidy up
    assert run(SPEC, place_in(tmp_path)).complete
    assert not folder.holder_path.exists()


# Numbers that go wrong, and memory


def test_a_number_that_is_not_finite_ends_the_run_with_the_way_back(tmp_path):
    spec = resolve("digits/lasem-hps", [*SETTINGS, "training.decay=1e30"])
    stopped(tmp_path, ends=1, spec=spec)
    folder = RunFolder.of(spec, tmp_path)
    learner = "lasem.learners.SelectiveTransfer.train_epoch"
    broken = RunError("the loss must be finite - got nan - task 0 ('x'), epoch 2 of the task, batch 3")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learner, lambda _: (_ for _ in ()).throw(broken))
        with pytest.raises(RunError) as caught:
            run(spec, place_in(tmp_path))
    assert f"{broken}; the run can be resumed from the checkpoint of epoch 1, {checkpoints(folder)[-1]}" == str(
        caught.value
    )
    last = events_of(folder)[-1]
    assert last == InterruptedRecord(reason="failed", text=str(broken), task=0, epoch=1, checkpoint=1)
    assert run(spec, place_in(tmp_path)).complete


def test_a_loss_that_overflows_is_found_and_the_run_stays_resumable(tmp_path):
    spec = resolve("digits/hps", [*SETTINGS, "training.learning_rate=1e30", "training.optimizer=sgd"])
    for _ in range(2):
        with pytest.raises(RunError, match=r"finite .*task 0.* epoch \d.*; there is no checkpoint yet"):
            run(spec, place_in(tmp_path))
    (*_, last) = events_of(RunFolder.of(spec, tmp_path))
    assert (last.reason, last.checkpoint) == ("failed", None)


class Greedy:
    """A learner that asks for more memory than there is."""

    def __init__(self, inner, more):
        self._inner, self._more = inner, more

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def train_epoch(self):
        self._more()


@pytest.mark.parametrize(
    ("more", "size"),
    [
        (lambda: torch.empty(2**46, dtype=torch.uint8), "64.0 TiB in main memory"),
        (lambda: torch.empty(2**46, dtype=torch.uint8).numpy(), "64.0 TiB in main memory"),
        (lambda: __import__("numpy").ones(2**43), "64.0 TiB in main memory"),
    ],
)
def test_out_of_memory_says_what_was_asked_for_and_what_to_change(make_backbone, make_task, more, size):
    from lasem.benchmarks import TaskStream
    from lasem.learners import SelectiveTransfer, Training
    from lasem.search import EM

    learner = Greedy(SelectiveTransfer(make_backbone(), EM(), training=Training(batch_size=4)), more)
    with pytest.raises(RunError, match="memory must suffice for training") as caught:
        learn(learner, TaskStream.of([make_task()]), epochs=1)
    text = str(caught.value)
    assert f"task 0 in epoch 1 with batches of 4 images and 4 configurations (got no space for {size})" in text
    assert "training.batch_size" in text
    assert "search.partition" in text


def short_of_memory(out, answer):
    """Train where 300 MiB more than at the start may be used, and tell how it ended."""
    images = ["tasks=1", "image_size=16", "train_per_class=130", "test_per_class=10", "candidates=2"]
    settings = [f"benchmark.{image}" for image in images]
    spec = resolve("synthetic/lasem-hps", [*settings, "network.name=stl-9", "training.batch_size=240"])

    def limit(start):
        del start
        with open("/proc/self/statm", encoding="ascii") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 300 * 2**20,) * 2)

    try:
        run(spec, place_in(out), sinks=[Listener(started=limit)])
        answer.put("it ended")
    except RunError as error:
        answer.put(str(error))


@pytest.mark.slow
def test_a_run_that_does_not_fit_into_memory_says_so_and_stays_resumable(tmp_path):
    context = multiprocessing.get_context("fork")
    answer = context.SimpleQueue()
    process = context.Process(target=short_of_memory, args=(tmp_path, answer))
    process.start()
    process.join(120)
    assert process.exitcode == 0
    text = answer.get()
    words = r"memory must suffice for training task 0 in epoch \d+ with batches of 240 images and 512 configurations"
    assert re.search(words, text)
    assert "lower training.batch_size" in text
    (folder,) = tmp_path.iterdir()
    assert events_of(RunFolder(folder))[-1].reason == "failed"


# Disks


@contextmanager
def largest_file(size):
    """Let no file grow beyond a size: the system writes what fits, then refuses."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_line_that_does_not_fit_is_not_written_in_part(tmp_path):
    path = tmp_path / "lines"
    path.write_bytes(b"a" * 100)
    with largest_file(150), pytest.raises(RunError, match=r"File too large\); free space there"):
        append(path, b"b" * 100)
    assert path.read_bytes() == b"a" * 100
    append(path, b"b" * 100)
    assert len(path.read_bytes()) == 200


@pytest.mark.parametrize("size", [100, 1000, 20_000])
def test_a_file_that_does_not_fit_ends_the_run_which_then_goes_on_alike(whole, tmp_path, size):
    with largest_file(size), pytest.raises(RunError, match=r"must be writable \(got File too large\)"):
        run(SPEC, place_in(tmp_path))
    assert not list(tmp_path.rglob("*.new"))
    run(SPEC, place_in(tmp_path))
    assert timeless(RunFolder.of(SPEC, tmp_path)) == timeless(whole)


@pytest.mark.parametrize("number", [1, 3, 5, 7, 12, 20])
def test_a_disk_that_fills_up_ends_the_run_which_then_goes_on_alike(whole, tmp_path, monkeypatch, number):
    left, fsync = [number], os.fsync

    def full(descriptor):
        left[0] -= 1
        if left[0] <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(RunError, match=r"No space left on device\); free space there"):
            run(SPEC, place_in(tmp_path))
    assert not list(tmp_path.rglob("*.new"))
    run(SPEC, place_in(tmp_path))
    assert timeless(RunFolder.of(SPEC, tmp_path)) == timeless(whole)


def test_a_result_that_cannot_be_written_is_written_by_the_same_command(whole, tmp_path, monkeypatch):
    write = RunFolder.write_json

    def full(folder, path, values):
        if path == folder.result_path:
            raise RunError("the disk is full")
        write(folder, path, values)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "write_json", full)
        with pytest.raises(RunError):
            run(SPEC, place_in(tmp_path))
    seen = []
    run(SPEC, place_in(tmp_path), sinks=[Listener(event=seen.append)])
    assert not any(isinstance(event, EpochRecord) for event in seen)
    assert timeless(RunFolder.of(SPEC, tmp_path)) == timeless(whole)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(RunError, match="make it writable, or choose another --out"):
        run(SPEC, place_in(tmp_path / "runs"))


def test_the_result_counts_what_is_kept_for_the_roll_back(whole):
    learner = build_learner(SPEC, load(whole.path)._stream.outline, device=torch.device("cpu"))
    shared = sum(p.numel() for name, p in learner.backbone.named_parameters() if ".shared." in name)
    assert json.loads(whole.result_path.read_bytes())["parameters"]["rollback"] == shared
