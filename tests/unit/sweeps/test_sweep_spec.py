import pytest

from lasem.errors import SpecError
from lasem.runs import resolve
from lasem.sweeps import read_sweep

GRID = '[grid]\nbenchmark = ["digits"]\nlearner = ["stl", "hps"]\n'


@pytest.fixture
def read(tmp_path):
    """Read a sweep from text."""

    def sweep(text, *settings, name="mine.toml"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return read_sweep(tmp_path / name, settings)

    return sweep


def test_a_grid_is_every_combination_and_the_last_key_varies_fastest(read):
    sweep = read(GRID + 'seeds = [0, 2]\n"training.epochs" = [3, 4]')
    expected = [
        resolve(f"digits/{learner}", [f"training.epochs={epochs}"]).with_seed(seed)
        for learner in ("stl", "hps")
        for seed in (0, 2)
        for epochs in (3, 4)
    ]
    assert [run.spec for run in sweep.runs] == expected
    assert sweep.name == "mine"


@pytest.mark.parametrize("key", ["training.epochs", '"training.epochs"'])
def test_a_key_may_be_written_as_a_table_or_in_one_word(read, key):
    assert [run.spec.training.epochs for run in read(f"{GRID}{key} = [3, 4]").runs] == [3, 4, 3, 4]


def test_a_list_of_presets_is_one_run_each_or_one_per_seed(read):
    presets = 'presets = ["digits/stl", "synthetic/lasem-hps/small"]\n'
    assert [run.spec for run in read(presets).runs] == [resolve("digits/stl"), resolve("synthetic/lasem-hps/small")]
    assert len(read(presets + "[grid]\nseeds = [0, 1, 2]").runs) == 6


def test_a_file_among_the_presets_lies_beside_the_sweep(read, tmp_path):
    spec = resolve("digits/hps", ["training.epochs=7"])
    (tmp_path / "one.toml").write_text(spec.toml(), encoding="utf-8")
    assert read('presets = ["one.toml"]').runs[0].spec == spec


def test_combinations_that_mean_the_same_are_one_run(read):
    text = 'presets = ["digits/stl", "digits/stl"]\n[grid]\ntraining.keep = [0.5, 0.25]\nseeds = [0, 0]'
    folders = [run.spec.folder for run in read(text).runs]
    assert len(folders) == len(set(folders)) == 2
    assert resolve("digits/stl").folder in folders  # 0.5 is the default


def test_a_profile_is_compared_with_another(read):
    runs = read('[grid]\nbenchmark = ["digits"]\nlearner = ["lasem-hps"]\nprofile = ["paper", "recommended"]\n').runs
    assert [(run.spec.profile, run.spec.retention is None) for run in runs] == [("paper", True), ("recommended", False)]
    assert runs[1].title == "digits/lasem-hps profile=recommended"


def test_settings_are_those_of_all_runs_and_the_command_line_is_above_the_file(read):
    text = GRID + "[set]\ntraining.epochs = 3\nbenchmark.order = [1, 0]\n"
    for run in read(text, "training.epochs=5").runs:
        assert run.spec.training.epochs == 5
        assert run.spec.benchmark.options.order == (1, 0)


def test_an_exclusion_leaves_out_what_has_all_its_values(read):
    text = (
        '[[exclude]]\nbenchmark = "cifar100-10/resnet-18"\nlearner = "dfcnn"\n'
        '[grid]\nbenchmark = ["cifar100-10", "cifar100-10/resnet-18"]\nlearner = ["hps", "dfcnn"]\n'
    )
    names = [run.spec.name for run in read(text).runs]
    assert names == ["cifar100-10/hps", "cifar100-10/dfcnn", "cifar100-10/resnet-18/hps"]


def test_a_run_is_named_with_its_own_values_of_the_grid(read):
    (first, second) = read('presets = ["digits/stl"]\n[grid]\ntraining.keep = [0.5, 0.25]').runs
    assert (first.title, first.label) == ("digits/stl training.keep=0.5", "digits/stl training.keep=0.5 seed 0")
    assert first.title != second.title


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["presets, or a grid with benchmark and learner", "neither"]),
        ("[gird]\nlearner = []", ["unknown key 'gird'", "did you mean 'grid'"]),
        (GRID + "learnr = [1]", ["'grid.learnr'", "did you mean 'learner'"]),
        ("[grid]\nlearner = ['stl']", ["grid.learner alone"]),
        ("presets = ['digits/stl']\n" + GRID, ["either presets or grid.benchmark", "got both"]),
        (GRID + "seeds = 3", ["grid.seeds", "got 3", "list its values: [3]"]),
        (GRID + "seeds = []", ["grid.seeds", "at least 1 item"]),
        (GRID + "seeds = [-1]", ["whole numbers", "[-1]"]),
        (GRID + "seeds = [true]", ["whole numbers", "[True]"]),
        (GRID + "seeds = [9223372036854775808]", ["9223372036854775808"]),
        ("[grid]\nbenchmark = [1]\nlearner = ['stl']", ["grid.benchmark must list names", "[1]"]),
        (GRID + "'seeds.data' = [1]\nseeds = [2]", ["grid.seeds must be the only", "'seeds.data'"]),
        (GRID + "'training.epochs' = [1]\n[set]\ntraining.epochs = 2", ["'training.epochs' in both set and grid"]),
        (GRID + "[set]\ntraining.epoch = 2", ["epoch is not an option of", "'epochs'", "digits/stl, digits/hps"]),
        (GRID + "'training.epochs' = ['many']", ["epochs must be a whole number", "'many' in [training]"]),
        ("presets = ['digits/stk']", ["'stk'", "did you mean"]),
        ("presets = []", ["presets", "at least 1 item"]),
        ("name = 'a/b'\n" + GRID, ["name", "'a/b'"]),
        ("name = '..'\n" + GRID, ["name", "'..'"]),
        ('name = "a\\u0000b"\n' + GRID, ["name must be", "printable text", r"'a\x00b'"]),
        ('name = "\\u001b[31m"\n' + GRID, ["name must be", "printable text", r"'\x1b[31m'"]),
        (f"name = '{'long' * 99}'\n" + GRID, ["name must be", "at most 100 characters"]),
        (GRID + "'training.epochs' = [{a = 1}]", ["epochs must be a whole number", "{'a': 1}"]),
        (GRID + "'learner.kind' = [[1]]", ["kind must be text", "[1]"]),
        (
            GRID + "".join(f"'training.x{i}' = {[*range(10)]}\n" for i in range(5)),
            ["at most 10,000 combinations", "got 200,000"],
        ),
        (GRID + "[[exclude]]\nlearner = 'tf'", ["must leave something out", "'tf'"]),
        (GRID + "[[exclude]]\nbenchmark = 'digits'", ["excludes every combination"]),
    ],
)
def test_a_fault_is_named(read, text, words):
    with pytest.raises(SpecError) as caught:
        read(text)
    for word in ["mine.toml", *words]:
        assert word in str(caught.value)


def test_faults_of_all_combinations_are_one_message_and_each_is_said_once(read):
    text = (
        '[grid]\nbenchmark = ["cifar100-10/resnet-18", "digitz"]\nlearner = ["stl", "dfcnn", "lasem-dfcnn", "hsp"]\n'
        "seeds = [0, 1, 2]\ntraining.epoch = [1, 2]\n"
    )
    with pytest.raises(SpecError) as caught:
        read(text)
    message = str(caught.value)
    for word in (
        "epoch is not an option of [training]",
        "'dfcnn' is not offered on resnet-18",
        "did you mean 'hps'",
        "did you mean 'digits'",
    ):
        assert word in message
    assert message.count("is not offered on resnet-18") == 1


def test_a_missing_file_is_called_a_sweep(tmp_path):
    with pytest.raises(SpecError, match="a sweep must be a TOML file"):
        read_sweep(tmp_path / "nowhere.toml")


def test_a_setting_of_the_command_line_may_not_be_in_the_grid(read):
    with pytest.raises(SpecError, match=r"'training\.epochs' in both set and grid"):
        read(GRID + "training.epochs = [1, 2]", "training.epochs=3")
