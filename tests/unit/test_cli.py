import json
import os
import re
import shlex
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lasem import __version__, cli
from lasem.errors import RunError
from lasem.learners import LEARNERS
from lasem.report import watch_page
from lasem.runs import resolve

sys.path.insert(0, str(Path(__file__).parent / "report"))
from run_folders import write_learner

SMALL = ["benchmark.first_tasks=2", "benchmark.train_per_class=10", "benchmark.max_test=30", "network.name=synthetic-3",
         "training.epochs=2"]  # fmt: skip
SET = [part for setting in SMALL for part in ("--set", setting)]


@pytest.fixture
def lasem(monkeypatch, capsys, tmp_path):
    """Run the command line as a shell would: (exit status, output, errors)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LASEM_DATA", raising=False)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["lasem", *map(str, arguments)])
        try:
            cli.main()
            status = 0
        except SystemExit as stop:
            status = stop.code or 0
        output = capsys.readouterr()
        return status, output.out, output.err

    return run


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, cli.SPINS),
        ({"GOMP_SPINCOUNT": "7"}, "7"),
        ({"OMP_WAIT_POLICY": "active"}, None),
    ],
)
def test_waiting_threads_sleep_soon_unless_the_user_says_otherwise(lasem, monkeypatch, given, expected):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")  # so that the test puts back what was there
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert lasem("list", "--learners")[0] == 0
    assert os.environ.get("GOMP_SPINCOUNT") == expected


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Folder of a finished run, made by the command line."""
    out = tmp_path_factory.mktemp("runs")
    answer = CliRunner().invoke(cli.app, ["run", "digits/lasem-hps", *SET, "--out", str(out), "--device", "cpu"])
    assert answer.exit_code == 0, answer.output
    return next(out.iterdir())


def test_what_the_library_logs_is_printed_as_a_warning(lasem):
    old = Path(__file__).parent / "runs/old_specs/digits-hps-release.toml"
    status, _, errors = lasem("run", str(old), "--track", "nothing")
    warning, error = errors.splitlines()
    assert status == 2
    assert warning.startswith(f"warning: {old}: older versions wrote options")
    assert error.startswith("error: --track must name a tracker (got 'nothing'); known: csv, mlflow, ")


def refused(answer, *words):
    """One clear message, and exit status 2."""
    status, output, errors = answer
    assert status == 2, output + errors
    assert errors.startswith("error: ")
    assert errors.count("error:") == 1
    assert "Traceback" not in errors
    assert "task 1/" not in output
    for word in words:
        assert word in errors


def test_data_that_a_later_run_lacks_is_missed_before_the_first_one_trains(lasem, tmp_path):
    (tmp_path / "data").mkdir()
    runs = ["digits/stl", "pacs/stl", "stl10-15/stl", "stl10-15/hps"]
    answer = lasem("run", *runs, "--data", "data", "--device", "cpu")
    refused(answer, "must have a folder 'pacs' (got none at data/pacs)", "must have a folder 'stl10'")
    assert answer[2].count("'stl10'") == 1
    grid = 'grid.benchmark = ["digits", "pacs"]\ngrid.learner = ["stl"]\n'
    (tmp_path / "some.toml").write_text(grid)
    for more in ([], ["--dry-run"], ["--slurm", "partition=cpu"], ["--ray", "auto"]):
        refused(lasem("sweep", "some.toml", "--data", "data", "--device", "cpu", *more), "must have a folder 'pacs'")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "some.toml"]


def test_a_working_directory_that_was_deleted_is_told_before_torch_is_imported(lasem, tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    refused(lasem("run", "digits/stl"), "the working directory must exist")


# Listing


def test_a_list_for_machines_names_everything(lasem):
    status, output, _ = lasem("list", "--json")
    parts = json.loads(output)
    assert status == 0
    assert parts.keys() == {"benchmarks", "networks", "learners", "mechanisms", "strategies", "presets"}
    assert "digits" in parts["benchmarks"]
    assert {"cifar-4", "timm:NAME", "transformers:NAME"} <= parts["networks"].keys()
    assert {"stl", "snn", "hps", "hps-top-2", "lasem-hps"} <= parts["learners"].keys()
    assert "cifar100-10/lasem-hps" in parts["presets"]
    assert all(summary for entries in parts.values() for summary in entries.values())


def test_a_list_for_people_gives_each_a_line(lasem):
    _, text, _ = lasem("list", "/")
    _, machine, _ = lasem("list", "/", "--json")
    lines = [line.split()[0] for line in text.splitlines() if line.startswith("  ")]
    assert lines == [name for entries in json.loads(machine).values() for name in entries]


def test_a_list_is_short_unless_asked_and_filters(lasem):
    _, text, _ = lasem("list")
    assert len(text.splitlines()) < 100
    assert "lasem list digits/" in text
    assert "/small" in text
    _, text, _ = lasem("list", "digits", "lasem")
    listed = [line.split()[0] for line in text.splitlines() if line.startswith("  ")]
    retained = [f"digits/lasem-{mechanism}{end}" for mechanism in ("dfcnn", "hps", "tf") for end in ("", "-retained")]
    assert listed == sorted([*retained, "digits/lasem-lora"])
    _, text, _ = lasem("list", "--learners")
    assert "hps-top-2" in text
    assert "digits/" not in text
    refused(lasem("list", "digts"), "did you mean 'digits'")
    refused(lasem("list", "networks"), "write --networks to list them")


def test_a_preset_is_explained(lasem):
    status, text, _ = lasem("list", "--explain", "digits/lasem-hps/small")
    assert status == 0
    lines = {line.split(" = ")[0]: line.rsplit("  ", 1)[1] for line in text.splitlines()}
    assert lines["training.epochs"] == "sizes/digits.toml"
    assert lines["benchmark.kind"] == "benchmarks/digits.toml"


PLUGIN = """
from typing import ClassVar

from lasem.learners import LEARNERS, AbstractLearnerOptions, SelectiveTransfer
from lasem.options import Positive, options
from lasem.search import Fixed


@options
class Mine(AbstractLearnerOptions):
    reads: ClassVar = ("mechanism",)
    top: Positive = 1

    def build(self, setup):
        strategy = Fixed(f"top-{self.top}")
        return SelectiveTransfer(setup.backbone(), strategy, training=setup.training, seed=setup.seed)


LEARNERS.register("mine", Mine)
"""


@pytest.mark.slow
def test_a_learner_of_a_plugin_runs_resumes_and_is_loaded(lasem, tmp_path, monkeypatch):
    monkeypatch.setattr(LEARNERS, "_entries", dict(LEARNERS._entries))
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "my_plugin.py").write_text(PLUGIN)
    command = ("run", "digits/hps", *SET, "--set", "learner.name=mine", "--set", "learner.kind=mine", "--device", "cpu")
    status, _, errors = lasem(*command, "--set", "mine.top=2", "--plugin", "my_plugin")
    assert (status, errors) == (0, "")
    (folder,) = (tmp_path / "runs").iterdir()
    written = (folder / "spec.toml").read_text()
    assert 'plugins = [\n    "my_plugin",\n]' in written
    assert "[mine]\ntop = 2" in written
    code = f"import lasem; print(lasem.load({str(folder)!r}).learner.configuration(0))"
    found = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "(0, 1, 1)"
    refused(lasem(*command, "--set", "mine.tip=2", "--plugin", "my_plugin"), "did you mean 'top'")
    refused(lasem(*command, "--plugin", "my_plugins"), "'my_plugins', which raises ModuleNotFoundError")


def test_without_a_command_there_is_help(lasem):
    _, output, errors = lasem()
    assert "Usage" in output + errors


@pytest.mark.parametrize("command", ["", *cli.COMMANDS])
def test_help_fits_eighty_columns_and_cuts_nothing(lasem, command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    _, text, _ = lasem(*command.split(), "--help")
    lines = text.splitlines()[1:]  # without the usage, whose arguments end in dots
    assert max(map(len, lines)) <= 80
    assert not any(line.endswith(("...", "…")) for line in lines)
    assert "training.epochs=20" in text or command not in ("run", "sweep")


# Running


def test_a_run_ends_with_its_table_and_the_way_to_a_report(lasem):
    status, output, errors = lasem("run", "digits/hps", *SET, "--out", "here", "--device", "cpu")
    folder = resolve("digits/hps", SMALL).folder
    assert (status, errors) == (0, "")
    assert "task 1/2" in output
    assert "task 2/2" in output
    assert f"lasem report here/{folder}" in output


def test_the_same_command_again_says_that_it_is_done(lasem):
    command = ("run", "digits/stl", *SET, "--out", "here", "--device", "cpu")
    lasem(*command)
    status, output, _ = lasem(*command)
    assert status == 0
    assert "finished already" in output
    assert "task 1/2" not in output


def test_quiet_prints_nothing(lasem, tmp_path):
    assert lasem("run", "digits/stl", *SET, "--quiet", "--device", "cpu") == (0, "", "")
    assert (tmp_path / "runs" / resolve("digits/stl", SMALL).folder / "result.json").exists()


def test_seeds_are_trials_in_folders_of_their_own(lasem, tmp_path):
    status, output, _ = lasem("run", "digits/stl", *SET, "--seeds", "0,1", "--device", "cpu")
    folders = {resolve("digits/stl", SMALL).with_seed(seed).folder for seed in (0, 1)}
    assert status == 0
    assert {path.name for path in (tmp_path / "runs").iterdir()} == folders
    assert "digits/stl" in output


def test_settings_reach_the_run(lasem, tmp_path):
    lasem("run", "digits/stl", *SET, "--set", "training.epochs=1", "--quiet", "--device", "cpu")
    (folder,) = (tmp_path / "runs").iterdir()
    assert resolve(str(folder / "spec.toml")).training.epochs == 1


def test_a_file_runs_like_a_preset(lasem, tmp_path):
    (tmp_path / "mine.toml").write_text(resolve("digits/stl", SMALL).toml())
    assert lasem("run", "mine.toml", "--quiet", "--device", "cpu")[0] == 0
    assert (tmp_path / "runs" / resolve("digits/stl", SMALL).folder / "result.json").exists()


def test_paths_and_names_with_markup_are_text(lasem, monkeypatch):
    monkeypatch.setattr("lasem.report.watch_page", partial(watch_page, settle=0))
    settings = ("--set", 'name="x[/b]y"', "--out", "old[/runs]", "--set", "training.epochs=1")
    status, output, errors = lasem("run", "digits/stl", *SET, *settings, "--device", "cpu")
    assert (status, errors) == (0, "")
    assert "x[/b]y seed 0 starts: old[/runs]/" in output
    assert "report: lasem report 'old[/runs]/" in output
    assert "x[/b]y" in lasem("show", "old[/runs]")[1]
    status, output, _ = lasem("report", "old[/runs]", "--watch", "--out", "r[/b].html")
    assert status == 0
    assert "report: r[/b].html, updated until" in output


# Stopping and going on


@pytest.fixture
def signal_after(monkeypatch):
    """Let the process get signals after an epoch, as if from a terminal or a scheduler."""
    from lasem.runs.sinks import ProgressDisplay

    def send(*numbers, epoch):
        def tell(display, event, tell=ProgressDisplay.event):
            tell(display, event)
            if getattr(event, "epoch", None) == epoch and event.event == "epoch":
                for number in numbers:
                    os.kill(os.getpid(), number)

        monkeypatch.setattr(ProgressDisplay, "event", tell)

    return send


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_epoch_and_tells_how_to_go_on(lasem, signal_after, number, status):
    command = ("run", "digits/hps", *SET, "--out", "with space", "--device", "cpu", "--checkpoint-every", "1h")
    signal_after(number, epoch=2)
    found, output, errors = lasem(*command)
    assert found == status
    assert "task 1/2" in output
    assert "stopped after epoch 2 of 4" in errors  # the last one of its task: the task is measured too
    assert shlex.split(errors.splitlines()[-1].removeprefix("resume with: "))[1:] == list(command)


def test_a_second_signal_stops_at_once_and_the_run_goes_on(lasem, signal_after):
    command = ("run", "digits/hps", *SET, "--device", "cpu", "--checkpoint-every", "1")
    signal_after(signal.SIGTERM, signal.SIGINT, epoch=3)
    status, output, errors = lasem(*command)
    assert status == 130
    assert "stopped after" not in errors
    signal_after(epoch=0)
    status, output, _ = lasem(*command)
    assert status == 0
    assert "resumes after epoch 3" in output


def test_a_run_that_another_process_holds_is_refused(lasem, tmp_path):
    from lasem.runs import RunFolder
    from lasem.runs._lock import exclusive

    spec = resolve("digits/hps", SMALL)
    folder = RunFolder.of(spec, tmp_path / "runs")
    folder.create(spec)
    with exclusive(folder):
        refused(lasem("run", "digits/hps", *SET, "--device", "cpu"), f"got process {os.getpid()} on", "since 20")


@pytest.mark.parametrize("every", ["-1", "10 epochs", "1.5h", "s", ""])
def test_a_checkpoint_interval_is_epochs_or_time(lasem, every):
    refused(lasem("run", "digits/stl", "--checkpoint-every", every), repr(every), "write 10, 30s, 5m or 1h")


def test_a_spec_is_checked_once(lasem, monkeypatch):
    from lasem.runs import _check

    found, once = [], _check.build_strategy
    monkeypatch.setattr(_check, "build_strategy", lambda spec: found.append(spec.name) or once(spec))
    assert lasem("run", "digits/stl", "digits/hps", *SET, "--device", "cpu")[0] == 0
    assert found == ["digits/stl", "digits/hps"]


# Dry runs


def test_a_dry_run_says_what_would_be_run_and_writes_nothing(lasem, tmp_path):
    status, output, _ = lasem("run", "digits/lasem-hps", *SET, "--dry-run")
    spec, flat = resolve("digits/lasem-hps", SMALL), " ".join(output.split())
    assert status == 0
    assert list(tmp_path.iterdir()) == []
    assert spec.toml() in output
    for words in (
        "data: checked, fingerprint",
        "tasks 2 of 3 classes",
        "configurations 8",
        "steps 6 per task, 12 in all",  # 30 images in batches of 10, 2 epochs, 2 tasks
        "time about",
        "per step",
        f"run folder runs/{spec.folder}",
    ):
        assert words in flat


def test_a_dry_run_without_a_search_says_nothing_of_one(lasem):
    _, output, _ = lasem("run", "digits/stl", *SET, "--dry-run")
    table = output[output.index("tasks  ") :]
    for word in ("configurations", "roll-back", "multiply-adds"):
        assert word not in table


def test_a_dry_run_says_when_tasks_have_different_numbers_of_training_images(lasem):
    words = "train; all tasks are counted with"
    command = ("run", "digits/stl", *SET, "--dry-run")
    assert words not in lasem(*command)[1]
    listed = "benchmark.train_per_class=[10,4" + ",5" * 8 + "]"
    assert f"12 to 30 {words} 30" in lasem(*command, "--set", listed)[1]


def test_a_dry_run_tells_the_range_of_its_time_and_why(lasem):
    settings = (*SET, "--set", "search.commit_at={prior=0.99}", "--set", "training.epochs=20")
    _, output, _ = lasem("run", "digits/lasem-hps", *settings, "--dry-run", "--threads", "1")
    assert re.search(r"time +between \S+ .*s and \S+ .*s of training", " ".join(output.split()))
    assert "commit_at.prior may be reached early or never" in " ".join(output.split())


def test_a_dry_run_counts_parameters(lasem):
    _, output, _ = lasem("run", "digits/lasem-hps", *SET, "--dry-run")
    flat = " ".join(output.split())
    convolutions = (9 * 8 + 8) + (9 * 8 * 16 + 16) + (9 * 16 * 16 + 16)
    head = 2 * 2 * 16 * 3 + 3
    assert f"{convolutions:,} shared; {2 * convolutions + head:,} trained" in flat
    assert f"{convolutions:,} copied for the roll-back" in flat


def test_a_small_variant_prints_what_it_changes(lasem):
    command = ("run", "digits/stl/small", "--set", "training.epochs=1", "--device", "cpu")
    for output in (lasem(*command, "--dry-run")[1], lasem(*command)[1]):
        assert "small: training.epochs is 1 instead of 40" in output
        assert "small: benchmark.first_tasks is 5 instead of the default" in output
    status, output, _ = lasem("show", "runs")
    assert status == 0
    assert "training.epochs is 1 instead of 40" in " ".join(output.split())


def test_a_dry_run_that_does_not_fit_ends_with_its_numbers_and_what_would_fit(lasem, tmp_path):
    limits = ("--max-memory", "0.00036", "--max-hours", "100")
    status, output, error = lasem("run", "digits/lasem-hps", "digits/stl", *SET, "--dry-run", *limits)
    assert (status, list(tmp_path.iterdir())) == (2, [])
    assert re.search(r"configurations +8 ", output)
    assert output.count("run folder") == 2
    assert error.startswith("error: digits/lasem-hps: not enough memory for this search: 8 candidates need")
    assert re.search(
        r"--set 'search.partition=\{1\},\{2,3\}' +4 candidates, .* KiB, 4 times the work of one network, .* s\n", error
    )


def test_a_dry_run_without_the_data_at_hand_says_so(lasem):
    status, output, _ = lasem("run", "cifar100-10/lasem-hps", "--dry-run")
    assert status == 0
    assert "data: not checked" in output
    assert "10 of 10 classes" in output
    assert "34,000 per task, 340,000 in all" in output  # 170 images in batches of 10, 2000 epochs, 10 tasks


def test_a_dry_run_checks_the_batch_against_the_data(lasem):
    refused(lasem("run", "digits/stl", "--dry-run", "--set", "training.batch_size=91"), "batch_size")


@pytest.mark.parametrize("setting", ["training.epoch=3", "search.partition={1}", "network.name=x"])
def test_a_dry_run_checks_the_spec(lasem, setting):
    refused(lasem("run", "digits/lasem-hps", "--dry-run", "--set", setting), setting.split("=")[0].split(".")[1])


def test_a_dry_run_checks_the_data_folder(lasem, tmp_path):
    refused(lasem("run", "cifar100-10/stl", "--dry-run", "--data", tmp_path), str(tmp_path))


# Bad input


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["digit/stl"], ["'digit/stl'", "did you mean 'digits'"]),
        (["digits/lasem"], ["'lasem'", "did you mean 'lasem-dfcnn', 'lasem-hps', 'lasem-lora' or 'lasem-tf'"]),
        (["cifar10/stl"], ["'cifar10/stl'", "did you mean 'cifar100-10' or 'cifar100-40'"]),
        (["digits/hps", "--set", "epochs=2"], ["epochs is no section", "did you mean 'training.epochs'"]),
        (["nowhere.toml"], ["there is none at nowhere.toml"]),
        (["digits/stl", "--set", "learner.kind={a=1}"], ["kind must be text", "{'a': 1}"]),
        (["digits/stl", "--set", "learner.mechanism=[1]"], ["mechanism must be text"]),
        (["digits/stl", "--set", "profile=[1]"], ["profile must be paper, recommended or release"]),
        (
            ["digits/stl", "--set", "training.epoch=3"],
            ["epoch is not an option of [training]", "'epochs'"],
        ),
        (["digits/stl", "--set", "benchmark.taks=3"], ["taks is not an option", "did you mean 'tasks'"]),
        (["digits/stl", "--set", "training.epochs=many"], ["epochs must be", "got 'many' in [training]"]),
        (["digits/stl", "--set", "training.epochs=2.5"], ["epochs must be", "got 2.5 in [training]"]),
        (["digits/stl", "--set", "training.epochs"], ["section.key=value"]),
        (["digits/lasem-hps", "--set", "search.partition={1},{2}"], ["{1},{2}", "every layer from 1 to 3"]),
        (["digits/lasem-hps", "--set", "search.partition={1},{3}"], ["missing: [2]"]),
        (["digits/lasem-hps", "--set", "search.partition=1,2,3"], ["a partition must be written like {1,2},{3-5}"]),
        (["digits/lasem-hps", "--set", 'search.candidates=["11"]'], ["3 here", "'11'"]),
        (["digits/hps-top-9"], ["top-9"]),
        (["digits/stl", "--set", "profile=papers"], ["paper, recommended or release"]),
        (["digits/stl", "--set", "benchmark.order=[0,99]"], ["99"]),
        (["digits/stl", "--set", "training.batch_size=10000"], ["10000", "lower batch_size"]),
        (["digits/stl", "--seeds", "0,x"], ["'0,x'", "0,1,2"]),
        (["digits/stl", *SET, "--seeds", "-1"], ["-1"]),
        (["digits/stl", *SET, "--seeds", str(2**63)], [str(2**63)]),
        (["digits/stl", "--device", "gpu"], ["'gpu'", "cpu, cuda, cuda:N or auto"]),
        (["digits/stl", "--device", "meta"], ["meta"]),
        (["cifar100-10/stl", "--data", "nowhere"], ["nowhere"]),
    ],
)
def test_bad_input_is_one_message_and_status_2(lasem, arguments, words):
    refused(lasem("run", *arguments), *words)


def test_several_faults_are_one_message(lasem):
    answer = lasem("run", "digits/stl", "--set", "training.epoch=3", "--set", "seeds.date=1")
    refused(answer, "epoch is not an option of [training]", "date is not an option of [seeds]")


def test_messages_are_not_taken_for_markup(lasem):
    refused(lasem("run", "digits/stl[red]"), "[red]")


def test_a_file_that_is_not_toml_is_named(lasem, tmp_path):
    (tmp_path / "bad.toml").write_text("epochs = = 3")
    refused(lasem("run", "bad.toml"), "got bad.toml: ")


def test_a_run_folder_of_another_spec_is_refused(lasem, tmp_path):
    spec = resolve("digits/stl", SMALL)
    (tmp_path / "runs" / spec.folder).mkdir(parents=True)
    (tmp_path / "runs" / spec.folder / "spec.toml").write_text(resolve("digits/hps").toml())
    refused(lasem("run", "digits/stl", *SET), "the spec of a run must not change", spec.folder)


def test_a_run_is_refused_as_the_folder_of_runs(lasem, finished):
    refused(lasem("run", "digits/stl", *SET, "--out", finished), "is itself a run")


@pytest.mark.parametrize("arguments", [["--threads", "-1"], ["--no-such-option"], ["--seeds"]])
def test_a_wrong_option_has_status_2(lasem, arguments):
    status, _, errors = lasem("run", "digits/stl", *arguments)
    assert status == 2
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "digits/stl", "--max-memory", "inf"),
        ("run", "digits/stl", "--max-memory", "1e308"),
        ("run", "digits/stl", "--dry-run", "--max-hours", "nan"),
        ("run", "digits/stl", "--checkpoint-every", "9" * 30 + "h"),
        ("report", "runs", "--watch", "--every", "inf"),
        ("sweep", "small.toml", "--ray", "auto", "--cpus-per-run", "inf"),
    ],
)
def test_numbers_without_end_are_refused(lasem, arguments):
    status, _, errors = lasem(*arguments)
    assert (status, "Traceback" in errors) == (2, False)


def test_the_version_is_printed(lasem):
    assert lasem("--version") == lasem("-V") == (0, f"lasem {__version__}\n", "")


def test_seeds_are_given_once(lasem):
    refused(
        lasem("run", "digits/stl", "--seeds", "0,1", "--set", "seeds.data=5"), "(got --set seeds.data=5); leave out"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sweep", "small.toml", "--cpus-per-run", "2"), "--cpus-per-run must come with --ray or --slurm (got 2"),
        (("sweep", "small.toml", "--gpus-per-run", "1"), "--gpus-per-run must come with --ray or --slurm (got 1"),
        (("export-network", "runs", "--task", "0", "--out", "n.onnx", "--private"), "--private must come with"),
    ],
)
def test_an_option_that_nothing_would_read_is_refused(lasem, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text('[grid]\nseeds = [0]\nbenchmark = ["digits"]\nlearner = ["stl"]\n')
    refused(lasem(*arguments), message)


@pytest.mark.parametrize("command", ["show", "report"])
def test_showing_what_is_no_run_has_status_2(lasem, tmp_path, command):
    refused(lasem(command, tmp_path / "nothing"), "nothing")


# Data folders


def write_images(folder, columns, *, names):
    """A parquet file in the layout that `datasets` reads."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    arrays, features = {}, {}
    for name, values in columns.items():
        if isinstance(values[0], bytes):
            kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
            arrays[name] = pa.array([{"bytes": cell, "path": None} for cell in values], type=kind)
            features[name] = {"_type": "Image"}
        else:
            arrays[name] = pa.array(values)
            features[name] = {"_type": "ClassLabel", "names": names}
    info = json.dumps({"info": {"features": features}})
    folder.mkdir(parents=True)
    for split in ("train", "test"):
        pq.write_table(
            pa.table(arrays).replace_schema_metadata({"huggingface": info}), folder / f"{split}-00000-of-00001.parquet"
        )


def png(color):
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), color).save(buffer, "PNG")
    return buffer.getvalue()


NAMES = [f"kind {k}" for k in range(10)]
GENERAL = ["--set", "benchmark.first_tasks=2", "--set", "training.epochs=1", "--data", "data"]


@pytest.mark.usefixtures("dataset_cache")
def test_a_data_folder_without_the_columns_is_refused(lasem, tmp_path):
    pixels = [png((k, i, 0)) for k in range(10) for i in range(3)]
    columns = {"picture": pixels, "kind": [k for k in range(10) for _ in range(3)]}
    write_images(tmp_path / "data/tiny-imagenet-10", columns, names=NAMES)
    refused(lasem("run", "tiny-imagenet-10/stl", *GENERAL), "column", "picture")


@pytest.mark.usefixtures("dataset_cache")
def test_a_class_with_too_few_images_is_refused(lasem, tmp_path):
    pixels = [png((k, i, 0)) for k in range(10) for i in range(3)]
    columns = {"image": pixels, "label": [k for k in range(10) for _ in range(3)]}
    write_images(tmp_path / "data/tiny-imagenet-10", columns, names=NAMES)
    refused(lasem("run", "tiny-imagenet-10/stl", *GENERAL), "must have at least 125 images", "kind")


@pytest.mark.usefixtures("dataset_cache")
def test_an_image_that_cannot_be_decoded_is_refused(lasem, tmp_path):
    pixels = [b"no image" if i == 0 else png((k, i, 0)) for k in range(10) for i in range(126)]
    columns = {"image": pixels, "label": [k for k in range(10) for _ in range(126)]}
    write_images(tmp_path / "data/tiny-imagenet-10", columns, names=NAMES)
    refused(lasem("run", "tiny-imagenet-10/stl", *GENERAL), "every image must be decodable", "row 0")


# Showing and reporting


def test_show_prints_a_finished_run(lasem, finished):
    status, output, _ = lasem("show", finished)
    assert status == 0
    assert "digits/lasem-hps" in output


def test_show_begins_with_the_folder_runs_and_explains_its_columns(lasem, finished, tmp_path):
    refused(lasem("show"), "runs")
    (tmp_path / "runs").symlink_to(finished.parent)
    status, output, _ = lasem("show")
    assert status == 0
    assert "digits/lasem-hps" in output
    for words in ("epoch of the task's training that validates best", "98% of the peak", "now divided by end"):
        assert words in output


def test_of_many_runs_each_is_a_line(lasem, tmp_path):
    write_learner(tmp_path / "runs", "hps", seeds=(0, 1, 2, 3))
    _, output, _ = lasem("show")
    assert sum(line.split()[-1].endswith(("-s0-abc", "-s3-abc")) for line in output.splitlines() if line.split()) == 2
    assert "end, %" not in output
    assert "Comparison" in output
    assert "lasem show --tasks" in output
    assert lasem("show", "--tasks")[1].count("learner hps ·") == 4


def test_a_log_has_whole_lines_and_whole_tables(lasem, finished, monkeypatch):
    monkeypatch.delenv("COLUMNS")
    _, output, _ = lasem("table", "comparison", finished)
    heads = [line for line in output.splitlines() if line.startswith("learner")]
    assert len(heads) == 1  # one table with all columns
    assert "lasem-hps" in output


def test_equal_warnings_are_one_line(lasem, tmp_path):
    runs = write_learner(tmp_path / "runs", "hps", seeds=(0, 1, 2))
    for folder in runs.iterdir():
        with (folder / "records.jsonl").open("a") as file:
            file.write("no record\n")
    _, _, errors = lasem("table", "comparison", runs)
    assert errors.count("not a record") == 1
    assert "(3 runs)" in errors


def test_show_prints_a_running_run(lasem, finished, tmp_path):
    running = tmp_path / "running"
    running.mkdir()
    for name in ("spec.toml", "records.jsonl", "stream.json", "environment.json"):
        (running / name).write_bytes((finished / name).read_bytes())
    status, output, _ = lasem("show", running)
    assert status == 0
    assert "digits/lasem-hps" in output


def test_report_writes_one_page(lasem, finished, tmp_path):
    status, output, _ = lasem("report", finished, "--out", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert status == 0
    assert "page.html" in output
    assert page.lstrip().lower().startswith("<!doctype html")
    assert "digits/lasem-hps" in page


# Sweeps


@pytest.fixture
def small(tmp_path):
    """A sweep of two small runs, in a file."""
    settings = "\n".join([*SMALL[:3], 'network.name = "synthetic-3"', SMALL[4]])
    (tmp_path / "small.toml").write_text(f'presets = ["digits/stl", "digits/hps"]\n[set]\n{settings}\n')
    return "small.toml"


def test_a_sweep_ends_with_its_runs_and_their_comparison_and_again_runs_nothing(lasem, small, tmp_path):
    status, output, errors = lasem("sweep", small, "--device", "cpu")
    assert (status, errors) == (0, "")
    assert "digits/stl seed 0: done" in output
    assert "2 done" in output
    assert "backward" in output
    before = (tmp_path / "runs" / resolve("digits/stl", SMALL).folder / "result.json").stat()
    status, output, _ = lasem("sweep", small, "--device", "cpu")
    assert status == 0
    assert "seed 0: done" not in output
    assert (tmp_path / "runs" / resolve("digits/stl", SMALL).folder / "result.json").stat() == before
    assert "2 done" in lasem("sweep", small, "--status")[1]
    assert lasem("sweep", small, "--quiet") == (0, "", "")


@pytest.mark.parametrize(
    ("cause", "status"), [(MemoryError(), 75), (OSError(28, "full"), 75), (RuntimeError("device"), 75), (None, 2)]
)
def test_the_exit_status_of_a_run_says_whether_another_attempt_may_succeed(monkeypatch, lasem, cause, status):
    def run(*_, **__):
        raise RunError("the run must go on") from cause

    monkeypatch.setattr("lasem.runs.run", run)
    found, _, error = lasem("run", "digits/stl", *SET, "--device", "cpu")
    assert found == status
    assert "the run must go on" in error


def test_a_dry_run_of_a_sweep_lists_its_runs_and_their_time_and_writes_nothing(lasem, small, tmp_path):
    status, output, _ = lasem("sweep", small, "--dry-run", "--workers", "2", "--device", "cpu")
    assert status == 0
    assert "digits/hps seed 0  waiting" in output
    assert "of training and evaluation on this machine, one run after another" in output
    assert "with 2 workers" in output
    assert [path.name for path in tmp_path.iterdir()] == [small]


@pytest.mark.slow
def test_a_sweep_with_a_failure_has_status_1(lasem, small, tmp_path):
    path = tmp_path / small
    path.write_text(path.read_text().replace('"digits/stl", "digits/hps"', '"digits/stl"'))
    status, output, _ = lasem("sweep", small, "--set", "training.batch_size=1000", "--device", "cpu")
    assert status == 1
    assert "digits/stl seed 0: refused: " in output
    assert "1 failed" in output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.toml"], ["a sweep must be a TOML file (there is none at nowhere.toml)"]),
        (["small.toml", "--set", "epochs=3"], ["did you mean 'training.epochs'"]),
        (
            ["small.toml", "--set", "training.epoch=3"],
            ["epoch is not an option of [training]", "'epochs'"],
        ),
        (
            ["small.toml", "--ray", "auto", "--workers", "2"],
            ["must have one of --workers, --ray and --slurm", "got --workers 2 and --ray auto"],
        ),
        (["small.toml", "--device", "gpu"], ["'gpu'"]),
    ],
)
@pytest.mark.usefixtures("small")
def test_bad_input_of_a_sweep_is_one_message_and_status_2(lasem, arguments, words):
    refused(lasem("sweep", *arguments), *words)
