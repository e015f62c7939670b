"""What the command line shows in a terminal, in a log, and where its output ends."""

import os
import pty
import re
import signal
import sys
import threading
import time

import pytest

from lasem import cli
from lasem.runs.sinks import ProgressDisplay

SMALL = ["benchmark.first_tasks=2", "benchmark.train_per_class=10", "benchmark.max_test=30", "network.name=synthetic-3",
         "training.epochs=2"]  # fmt: skip
RUN = ("run", "digits/hps", *(part for setting in SMALL for part in ("--set", setting)), "--device", "cpu")


def call(*arguments):
    """Exit status of a command in this process."""
    sys.argv = ["lasem", *arguments]
    try:
        cli.main()
    except SystemExit as stop:
        return stop.code or 0
    return 0


def screen(stream):
    """Lines that a terminal shows after a stream of text with the movements that Rich makes."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[0-9;?]*[a-zA-Z]|\r|\n|[^\x1b\r\n]+", stream):
        if part == "\r":
            column = 0
        elif part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part == "\x1b[2K":
            lines[row] = ""
        elif part.startswith("\x1b["):
            row -= int(part[2:-1] or 1) if part.endswith("A") else 0
        else:
            lines[row] = f"{lines[row]:{column}}"[:column] + part + lines[row][column + len(part) :]
            column += len(part)
    return [line.rstrip() for line in lines]


@pytest.fixture
def terminal(monkeypatch, tmp_path, capfd):
    """Run a command with a pseudo-terminal as its output and errors: exit status and all that was written."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments, output=None):
        master, slave = pty.openpty()
        written, saved = [], [os.dup(number) for number in (1, 2)]

        def read():
            while True:
                try:
                    written.append(os.read(master, 65536))
                except OSError:  # nothing more: the other end is closed
                    return

        with capfd.disabled():
            os.dup2(slave if output is None else output, 1)
            os.dup2(slave, 2)
            reader = threading.Thread(target=read)
            reader.start()
            try:
                with (
                    open(1, "w", closefd=False) as out,
                    open(2, "w", closefd=False) as err,
                    monkeypatch.context() as patch,
                ):
                    patch.setattr(sys, "stdout", out)
                    patch.setattr(sys, "stderr", err)
                    status = call(*arguments)
            finally:
                for number, old in zip((1, 2), saved, strict=True):
                    os.dup2(old, number)
                    os.close(old)
                os.close(slave)
                reader.join()
                os.close(master)
        return status, b"".join(written).decode()

    return run


@pytest.fixture
def interrupt(monkeypatch):
    """Send signals in an epoch, and give the display time to show what it thinks of them."""

    def send(*numbers, epoch):
        def tell(display, event, tell=ProgressDisplay.event):
            tell(display, event)
            if event.event == "epoch" and event.epoch == epoch:
                for number in numbers:
                    os.kill(os.getpid(), number)
                    time.sleep(0.6)  # the display is drawn four times a second

        monkeypatch.setattr(ProgressDisplay, "event", tell)

    return send


def test_ctrl_c_in_a_terminal_says_what_happens_and_how_to_resume(terminal, interrupt):
    interrupt(signal.SIGINT, epoch=1)
    status, written = terminal(*RUN)
    assert status == 130
    before = screen(written[: written.index("stopped after")])
    assert "stopping after this epoch; once more stops at once" in written
    assert not any(line.startswith("stopping") for line in before)  # the display took it away with itself
    *_, stopped, resume = [line for line in screen(written) if line]
    assert stopped.startswith("stopped after epoch ")
    assert resume.startswith("resume with: lasem run digits/hps --set")
    assert not any("epochs" in line and "left" in line for line in screen(written))  # no piece of the display stays


def test_a_second_ctrl_c_in_a_terminal_says_so_too(terminal, interrupt):
    interrupt(signal.SIGINT, signal.SIGINT, epoch=1)
    status, written = terminal(*RUN)
    assert status == 130
    *_, stopped, resume = [line for line in screen(written) if line]
    assert stopped == "stopped at once; what came after the last checkpoint is not saved"
    assert resume.startswith("resume with: lasem run digits/hps --set")


def test_a_run_whose_output_is_closed_saves_itself_and_says_how_to_resume(terminal, tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    status, errors = terminal(*RUN, output=writer)
    os.close(writer)
    assert status == 128 + signal.SIGPIPE
    assert re.search(r"stopped after epoch \d of 4: runs/.*\s+resume with: lasem run", errors)
    (records,) = tmp_path.glob("runs/*/records.jsonl")
    assert '"reason":"stopped"' in records.read_text().splitlines()[-1]
