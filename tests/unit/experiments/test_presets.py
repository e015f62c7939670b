import pytest

from lasem.configurations import named
from lasem.errors import SpecError
from lasem.experiments import benchmark_entries, check, learner_entries, preset_entries, resolve
from lasem.nn import NETWORKS
from lasem.specs import merge

PRESETS = [entry.name for entry in preset_entries()]
BENCHMARKS = [entry.name for entry in benchmark_entries()]


@pytest.mark.parametrize("profile", ["paper", "release"])
@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_resolves_and_passes_its_check(name, profile):
    spec = resolve(name, [f"profile={profile}"])
    check(spec)
    assert spec.name == name
    assert spec.profile == profile
    assert name == f"{spec.benchmark.name}/{spec.learner.name}"


def test_the_benchmarks_of_the_paper_and_their_stand_ins_are_there():
    assert set(BENCHMARKS) >= {
        "digits", "synthetic", "cifar100-10", "cifar100-40", "office-home", "office-home-incremental", "stl10-20",
        "stl10-15", "pacs", "tiny-imagenet-10",
    }  # fmt: skip


def test_every_benchmark_has_every_learner():
    for benchmark in BENCHMARKS:
        assert {f"{benchmark}/{name}" for name in ("stl", "snn", "hps", "hps-top-2", "lasem-hps")} <= set(PRESETS)


def test_presets_have_no_name_twice_and_a_summary_each():
    assert len(set(PRESETS)) == len(PRESETS)
    assert all(entry.summary for entry in preset_entries())


def test_a_static_variant_names_its_configuration():
    for entry in learner_entries(4):
        if entry.name.startswith("hps-"):
            spec = resolve(f"cifar100-10/{entry.name}")
            assert spec.learner.configuration == entry.name.removeprefix("hps-")
            assert 0 < sum(named(spec.learner.configuration, 4)) < 4


def test_bits_name_a_static_variant_too():
    assert resolve("cifar100-10/hps-0110").learner.configuration == "0110"


# Published settings


@pytest.mark.parametrize(
    ("benchmark", "network", "rate", "decay", "batch", "epochs"),
    [
        ("cifar100-10", "cifar-4", 1e-4, 1 / 4000, 10, 2000),
        ("cifar100-40", "cifar-4", 1e-4, 1 / 4000, 10, 2000),
        ("office-home", "office-home-4", 2e-5, 1e-4, 16, 1000),
        ("stl10-20", "stl-6", 1e-4, 0.0, 10, 500),
        ("stl10-15", "stl-9", 1e-4, 0.0, 10, 500),
        ("pacs", "office-home-4", 2e-5, 1e-4, 16, 1000),
        ("tiny-imagenet-10", "stl-6", 1e-4, 0.0, 10, 500),
    ],
)
@pytest.mark.parametrize("profile", ["paper", "release"])
def test_training_is_as_published(benchmark, network, rate, decay, batch, epochs, profile):
    spec = resolve(f"{benchmark}/lasem-hps", [f"profile={profile}"])
    training = spec.training
    assert spec.network.name == network
    assert (training.learning_rate, training.batch_size, training.epochs) == (rate, batch, epochs)
    assert training.decay == pytest.approx(decay)
    assert (training.optimizer, training.keep, spec.search.m_steps) == ("rmsprop-tf", 0.5, 1)


@pytest.mark.parametrize(
    ("benchmark", "candidates"),
    [("cifar100-10", 2**4), ("office-home", 2**4), ("stl10-20", 2**6), ("stl10-15", 2**3), ("pacs", 2**4)],
)
def test_the_number_of_candidates_is_as_published(benchmark, candidates):
    from lasem.experiments._build import build_strategy

    spec = resolve(f"{benchmark}/lasem-hps")
    layers = len(NETWORKS[spec.network.name].layers)
    assert len(build_strategy(spec, layers).space(layers)) == candidates


# Profiles


def differences(one, other, place=""):
    """Keys on which two nested tables differ, with both values."""
    found = {}
    for key in one.keys() | other.keys():
        here, there = one.get(key), other.get(key)
        if isinstance(here, dict) and isinstance(there, dict):
            found |= differences(here, there, f"{place}{key}.")
        elif here != there:
            found[f"{place}{key}"] = (here, there)
    return found


MARKED = {
    "profile": ("paper", "release"),
    "search.evidence": ("product", "mean"),
    "search.ties": ("most-shared", "enumeration"),
    "darts.held_out": ("valid", "none"),
    "darts.optimizer": ("adam", "rmsprop-tf"),
    "learner.redraw_unchosen": (False, True),
    "learner.first_task": ("searched", "as-second"),
    "evaluation.earlier_tasks": ("after-commit", "before-commit"),
}


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_profiles_differ_in_what_the_sources_mark_and_nothing_else(benchmark):
    tables = [resolve(f"{benchmark}/lasem-hps", [f"profile={name}"]).table() for name in ("paper", "release")]
    own = {"cifar100": {"benchmark.standardize": (None, "each")}}
    noisy = {"benchmark.noise": (None, "release")}
    expected = MARKED | (own["cifar100"] if "cifar100" in benchmark else {})
    expected |= noisy if benchmark.startswith(("stl10", "tiny-imagenet")) else {}
    assert differences(*tables) == expected


def test_the_paper_is_the_default_profile():
    assert resolve("digits/lasem-hps") == resolve("digits/lasem-hps", ["profile=paper"])


@pytest.mark.parametrize("setting", ["search.evidence=product", "learner.redraw_unchosen=false"])
def test_one_choice_of_a_profile_may_be_overridden(setting):
    chosen = resolve("digits/lasem-hps", ["profile=release", setting])
    found = differences(chosen.table(), resolve("digits/lasem-hps", ["profile=release"]).table())
    assert set(found) == {setting.partition("=")[0]}


# Files


def test_a_file_may_name_a_preset_and_override_parts(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('preset = "digits/hps-top-2"\nprofile = "release"\n[training]\nepochs = 3\n')
    expected = resolve("digits/hps-top-2", ["profile=release", "training.epochs=3"])
    assert resolve(str(path)) == expected
    assert resolve(str(path), ["training.epochs=4"]).training.epochs == 4


def test_a_resolved_spec_written_to_a_file_is_the_same_spec(tmp_path):
    spec = resolve("stl10-15/lasem-hps", ["profile=release", "seeds.data=3"])
    (tmp_path / "whole.toml").write_text(spec.toml())
    assert resolve(str(tmp_path / "whole.toml")) == spec


def test_a_whole_spec_is_called_after_its_file_unless_it_says_otherwise(tmp_path):
    table = resolve("digits/stl").table()
    del table["name"]
    import tomli_w

    (tmp_path / "mine.toml").write_text(tomli_w.dumps(table))
    assert resolve(str(tmp_path / "mine.toml")).name == "mine"


def test_later_settings_win():
    assert resolve("digits/stl", ["training.epochs=2", "training.epochs=5"]).training.epochs == 5


# Faults


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("digit/stl", "did you mean 'digits'"),
        ("cifar100-20/stl", "did you mean 'cifar100-[14]0'"),
        ("digits/lasem-hp", "did you mean 'lasem-hps'"),
        ("digits/slt", "did you mean 'stl'"),
        ("digits", "a preset is called <benchmark>/<learner> - got 'digits'"),
        ("", "a preset is called <benchmark>/<learner>"),
    ],
)
def test_an_unknown_preset_suggests_the_nearest(target, words):
    with pytest.raises(SpecError, match=words):
        resolve(target)


def test_an_unknown_profile_lists_the_profiles():
    with pytest.raises(SpecError, match="a profile is one of paper, release - got 'papr'"):
        resolve("digits/stl", ["profile=papr"])


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("benchmark.kind=digit", "benchmark.kind: unknown name 'digit' - did you mean 'digits'"),
        ("network.name=cifar4", "network.name: unknown name 'cifar4' - did you mean 'cifar-4'"),
        ("learner.mechanism=hsp", "learner.mechanism: unknown name 'hsp' - did you mean 'hps'"),
        ("training.optimizer=rmsprop-ft", "training.optimizer: unknown name 'rmsprop-ft' - did you mean 'rmsprop-tf'"),
        ("benchmark.taskss=3", "unknown option 'taskss' of 'digits' - did you mean 'tasks'"),
        ("benchmark.tasks=many", r"benchmark\.tasks: .* - got 'many'"),
        ("benchmark.classes_per_task=11", "a task has 2 to 10 digits - got classes_per_task = 11"),
        ("search.partition={1,2}", r"covers all 3 layers of the network - got partition = '\{1,2\}'"),
        ("search.partition={1},{3}", r"missing: \[2\]"),
        ('search.candidates=["01"]', "one bit per group, 3 here - got '01'"),
    ],
)
def test_a_check_names_what_is_unknown_or_does_not_fit(setting, words):
    with pytest.raises(SpecError, match=words):
        check(resolve("digits/lasem-hps", [setting]))


def test_a_check_reports_several_faults_together():
    spec = resolve("digits/lasem-hps", ["benchmark.tasks=0", "training.optimizer=x", "search.partition={1,2}"])
    with pytest.raises(SpecError) as caught:
        check(spec)
    assert all(part in str(caught.value) for part in ("tasks", "training.optimizer", "partition"))


def test_a_static_configuration_of_too_many_layers_is_refused():
    with pytest.raises(SpecError, match=r"top-1..3"):
        check(resolve("digits/hps-top-7"))


def test_composing_presets_leaves_them_as_they_were():
    before = resolve("stl10-15/lasem-hps").table()
    merge(resolve("stl10-15/lasem-hps", ["search.partition={1-9}", "profile=release", "benchmark.x=1"]).table(), {})
    assert resolve("stl10-15/lasem-hps").table() == before
