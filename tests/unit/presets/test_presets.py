from types import SimpleNamespace

import pytest
import torch

from lasem.benchmarks import Outline, Split, Task
from lasem.cli import app
from lasem.configurations import named
from lasem.errors import SpecError
from lasem.learners import ParameterCounts
from lasem.nn import MECHANISMS, NETWORKS
from lasem.options import merge
from lasem.preflight import Estimate
from lasem.presets import benchmark_entries, learner_entries, preset_entries
from lasem.presets._catalogue import ABOUT, files
from lasem.runs import build_learner, build_strategy, check, explain
from lasem.runs import resolve as resolve_as_given
from lasem.runs._read_spec import ALWAYS
from lasem.runs._readers import readers_by_place

PRESETS = [entry.name for entry in preset_entries()]
BENCHMARKS = [entry.name for entry in benchmark_entries()]


def resolve(name, settings=()):
    """Resolve a preset, with the folder that a preset for somebody's own images needs."""
    return resolve_as_given(name, [*(["benchmark.source=own"] if name.startswith("images/") else []), *settings])


def candidates(spec):
    layers = len(spec.network.options.layers)
    return len(build_strategy(spec).space(layers))


def presets_of(benchmark):
    return [name for name in PRESETS if name.startswith(f"{benchmark}/")]


@pytest.mark.parametrize("profile", ["paper", "release", "recommended"])
@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_every_preset_resolves_and_passes_its_check(benchmark, profile):
    for name in presets_of(benchmark)[:: 1 if profile == "paper" else 4]:
        spec = resolve(name, [f"profile={profile}"])
        check(spec)
        assert spec.name == name
        assert spec.profile == profile
        network = f"{name.split('/')[1]}/" if name.count("/") == 2 else ""
        assert name == f"{spec.benchmark.name}/{network}{spec.learner.name}"


def test_the_benchmarks_of_the_paper_and_their_stand_ins_are_there():
    assert set(BENCHMARKS) >= {
        "digits", "synthetic", "cifar100-10", "cifar100-40", "office-home", "office-home-incremental", "stl10-20",
        "stl10-15", "pacs", "tiny-imagenet-10", "images",
    }  # fmt: skip


def test_every_benchmark_has_every_learner():
    single = {"stl", "snn"}
    products = {f"{prefix}{name}" for name in MECHANISMS for prefix in ("", "lasem-")}
    static = {f"{name}-{variant}" for name in MECHANISMS for variant in ("top-1", "bottom-1")}
    for benchmark in BENCHMARKS:
        assert {f"{benchmark}/{name}" for name in single | products | static} <= set(PRESETS)


def test_presets_have_no_name_twice_and_a_summary_each():
    assert len(set(PRESETS)) == len(PRESETS)
    assert all(entry.summary for entry in preset_entries())


def test_a_static_variant_names_its_configuration():
    for entry in learner_entries(4):
        if entry.name.startswith("hps-"):
            spec = resolve(f"cifar100-10/{entry.name}")
            configuration = spec.sections["learner"]["configuration"]
            assert configuration == entry.name.removeprefix("hps-")
            assert 0 < sum(named(configuration, 4)) < 4


def test_bits_name_a_static_variant_too():
    assert resolve("cifar100-10/hps-0110").strategy.options.configuration == "0110"


@pytest.mark.parametrize("benchmark", BENCHMARKS)
@pytest.mark.parametrize("learner", ["stl", *(f"lasem-{name}" for name in MECHANISMS)])
def test_every_kind_of_learner_opens_a_task_of_every_benchmark(benchmark, learner):
    spec = resolve(f"{benchmark}/{learner}/small")
    outline = check(spec).outline() or Outline(shape=(3, 32, 32), classes=(3,), images={}, identities=(0,))
    made = build_learner(spec, outline, device=torch.device("cpu"))
    size, classes = spec.training.batch_size, max(outline.classes)
    images = torch.zeros(size, *outline.shape)
    split = Split(images=images, labels=torch.arange(size) % classes)
    made.begin_task(Task(name="blank", classes=classes, train=split, valid=split, test=split))
    assert made.logits(images[:1], 0).shape == (1, classes)


# Mechanisms


@pytest.mark.parametrize("benchmark", ["stl10-20", "tiny-imagenet-10"])
def test_with_tf_the_six_layer_network_has_the_head_of_the_paper(benchmark):
    for learner in ("tf", "tf-top-2", "lasem-tf", "lasem-tf-groups", "lasem-tf/small"):
        assert NETWORKS[resolve(f"{benchmark}/{learner}").network.name].hidden == (128,)
    for learner in ("hps", "dfcnn", "lasem-hps", "stl"):
        assert NETWORKS[resolve(f"{benchmark}/{learner}").network.name].hidden == (128, 16)
    assert NETWORKS["stl-6-tf"].layers == NETWORKS["stl-6"].layers


def test_a_mechanism_that_is_set_brings_its_network_and_options():
    spec = resolve("stl10-20/hps", ["learner.mechanism=tf", "mechanism.penalty_weight=0.01"])
    assert spec.network.name == "stl-6-tf"
    assert spec.sections["mechanism"] == {"penalty_weight": 0.01}


@pytest.mark.parametrize(("profile", "channels"), [("paper", "rule"), ("release", "table")])
def test_the_profile_decides_the_channels_of_dfcnn(profile, channels):
    assert resolve("cifar100-10/dfcnn", [f"profile={profile}"]).sections["mechanism"] == {"channels": channels}
    assert resolve("cifar100-10/lasem-tf", [f"profile={profile}"]).sections["mechanism"] == {"penalty_weight": 0.1}
    assert "mechanism" not in resolve("cifar100-10/lasem-hps", [f"profile={profile}"]).sections


def test_options_of_a_mechanism_reach_its_layers():
    for setting, expected in (("rule", (12, 23)), ("table", (16, 24)), ("[3,5]", (3, 5))):
        spec = resolve("cifar100-10/dfcnn", [f"mechanism.channels={setting}"])
        learner = build_learner(spec, check(spec).outline(), device=torch.device("cpu"))
        stage = learner.backbone.stages[0]
        assert stage.layer.mechanism.sizes(stage.template.module) == expected
    spec = resolve("cifar100-10/tf", ["mechanism.penalty_weight=0.05"])
    learner = build_learner(spec, check(spec).outline(), device=torch.device("cpu"))
    assert learner.backbone.stages[3].layer.mechanism.penalty_weight == 0.05


@pytest.mark.parametrize(
    ("target", "setting", "words"),
    [
        (
            "digits/tf",
            "mechanism.penalty_wait=1",
            "penalty_wait is not an option of .mechanism.; did you mean 'penalty",
        ),
        ("digits/tf", "mechanism.penalty_weight=-1", "at least 0"),
        ("digits/tf", "mechanism.penalty_weight=much", r"penalty_weight must be a number .got 'much' in .mechanism.."),
        ("digits/dfcnn", "mechanism.channels=rules", "channels"),
        (
            "digits/dfcnn",
            "mechanism.channels=[1,0]",
            "channels must be 'rule' or 'table' or a pair of positive numbers",
        ),
        ("digits/hps", "mechanism.channels=rule", "read by the mechanisms? .*dfcnn; 'hps' does not read it"),
        ("digits/hps", "mechanism=tf", "mechanism must be a section .got 'tf'"),
        ("digits/tf", "mechanisms.tf.penalty_weight=1", "mechanisms is no section of a spec; did you mean 'mechanism'"),
    ],
)
def test_options_that_a_mechanism_does_not_have_are_refused(target, setting, words):
    with pytest.raises(SpecError, match=words):
        check(resolve(target, [setting]))


# Groups


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_groups_of_layers_are_variants_of_learners_that_search(mechanism):
    layer_by_layer = resolve(f"stl10-15/lasem-{mechanism}")
    groups = resolve(f"stl10-15/lasem-{mechanism}-groups")
    assert candidates(layer_by_layer) == 2**9
    assert candidates(groups) == 2**3
    assert groups.sections["search"]["partition"] == "{1,2,3},{4,5,6},{7,8,9}"
    assert groups.learner.name == f"lasem-{mechanism}-groups"
    for benchmark in ("stl10-20", "tiny-imagenet-10"):
        spec = resolve(f"{benchmark}/lasem-{mechanism}-groups")
        assert spec.sections["search"]["partition"] == "{1,3},{2,4},{5},{6}"
        assert candidates(spec) == 2**4


@pytest.mark.parametrize("name", ["digits/lasem-hps-groups", "stl10-15/hps-groups", "stl10-15/lasem-hps-7-groups"])
def test_other_groups_have_no_name(name):
    with pytest.raises(SpecError):
        check(resolve(name))


# Small variants


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_every_preset_has_a_small_variant(benchmark):
    for preset in presets_of(benchmark):
        assert_small(preset)


def assert_small(name):
    full, small = resolve(name), resolve(f"{name}/small")
    benchmark = check(small)
    assert (small.name, small.benchmark.name) == (f"{name}/small", f"{full.benchmark.name}/small")
    assert (small.learner.kind, small.strategy, small.mechanism) == (full.learner.kind, full.strategy, full.mechanism)
    outline = benchmark.outline()
    assert outline is None or outline.num_tasks <= 5
    assert small.training.epochs < full.training.epochs
    changed = {name for name in differences(full.table(), small.table()) if name.partition(".")[2]}
    told = {change.partition(" is ")[0] for change in small.small}
    assert told == changed - {"benchmark.name"}


def test_small_variants_of_all_learners_but_brute_force_are_of_one_size():
    sizes = {}
    for name in PRESETS:
        spec = resolve(f"{name}/small")
        if spec.strategy.kind != "brute-force":
            place, size = name.rpartition("/")[0], (spec.benchmark, spec.training.epochs, spec.training.batch_size)
            assert sizes.setdefault(place, size) == size


@pytest.mark.parametrize("name", [name for name in PRESETS if "brute-force" in name and not name.startswith("images/")])
def test_small_brute_force_takes_few_steps_over_all_its_candidates(name):
    spec = resolve(f"{name}/small")
    outline = check(spec).outline()
    steps = outline.num_tasks * spec.training.epochs * (outline.images["train"] // spec.training.batch_size)
    assert 0 < steps * candidates(spec) <= (1000 if "resnet" in name else 12000)


def test_small_settings_are_laid_over_each_other_from_the_general_to_the_particular():
    """Learning rate: benchmark. Tasks: network. Test images: strategy. Training images: strategy and partition."""
    names = ("hps", "resnet-18/hps", "resnet-18/brute-force-hps-4-groups", "resnet-18/brute-force-hps-7-groups")
    plain, network, strategy, groups = (resolve(f"cifar100-10/{name}/small") for name in names)
    assert {spec.training.learning_rate for spec in (plain, network, strategy, groups)} == {1e-3}
    tables = [spec.sections["benchmark"] for spec in (plain, network, strategy, groups)]
    assert [table["first_tasks"] for table in tables] == [5, 3, 2, 2]
    assert [table["max_test"] for table in tables] == [200, 100, 50, 50]
    assert [table.get("train_per_class") for table in tables] == [None, 10, 4, 1]
    unnamed = resolve("cifar100-10/resnet-18/brute-force-hps/small")
    assert (unnamed.benchmark, unnamed.training) == (strategy.benchmark, strategy.training)
    by_hand = ["learner.strategy=brute-force", f"search.partition={groups.sections['search']['partition']}"]
    assert resolve("cifar100-10/resnet-18/hps/small", by_hand).small == groups.small


@pytest.mark.parametrize("axis", ["profiles", "benchmarks", "networks", "learners", "sizes"])
def test_a_file_of_presets_says_nothing_that_no_run_reads(axis):
    known = {*readers_by_place()} | {place for reader in ALWAYS for place in reader.places}
    known |= {(section, "name") for section in ("benchmark", "network", "learner")}
    known |= {("benchmark", "kind"), ("learner", "kind")}
    for name, file in files(axis).items():
        layers = [entry for entries in file.values() for entry in entries] if name == "brute-force" else [file]
        layers += file.get("when", {}).values() if axis != "sizes" or name == "short" else []
        for layer in layers:
            sections = {key: value for key, value in layer.items() if key not in (*ABOUT, "when", "candidates")}
            assert {(section, key) for section, values in sections.items() for key in values} <= known, name


def test_sizes_are_of_benchmarks_and_networks_that_are_there():
    axes = files("benchmarks").keys() | files("networks").keys()
    assert files("sizes").keys() == axes | {"short", "brute-force"}
    assert files("sizes")["brute-force"].keys() <= axes


def test_a_preset_is_explained_by_the_file_that_sets_each_option():
    sources = {key: source for key, _, source in explain("stl10-20/lasem-tf-groups/small", ["training.keep=0.9"])}
    assert sources["benchmark.kind"] == "benchmarks/stl10-20.toml"
    assert sources["network.name"] == "benchmarks/stl10-20.toml, when.tf"
    assert sources["mechanism.penalty_weight"] == "profiles/paper.toml, when.tf"
    assert sources["search.partition"] == "the name of the preset"
    assert sources["training.epochs"] == "sizes/stl10-20.toml"
    assert sources["training.keep"] == "set over the preset"
    assert sources["search.m_steps"] == "default"


def test_presets_dry_run(monkeypatch, capsys, tmp_path):
    """By one command, every third preset and its small variant; without making data and measuring steps."""
    known = Estimate(2, ParameterCounts(1, [1], 1, 1), 1, 1, (1.0, 1.0), 1.0, 1, 1)
    monkeypatch.setattr("lasem.preflight.estimate", lambda *_, **__: known)
    monkeypatch.setattr("lasem.runs.prepare", unmade)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LASEM_DATA", raising=False)
    names = [f"{name}{variant}" for name in PRESETS[::3] for variant in ("", "/small")]
    own = [name for name in names if name.startswith("images/")]
    app(["run", *(name for name in names if name not in own), "--dry-run", "--out", "runs"], standalone_mode=False)
    app(["run", *own, "--set", "benchmark.source=own", "--dry-run", "--out", "runs"], standalone_mode=False)
    output = capsys.readouterr().out
    assert output.count("run folder") == len(names) - len(own)  # what own images take is not known without them
    assert all(f'name = "{name}"' in output for name in names)
    assert not list(tmp_path.iterdir())


def unmade(spec, *_, **__):
    """A stream of which only the outline is known."""
    outline = check(spec).outline()
    stream = SimpleNamespace(outline=outline, train_images=(), fingerprint="not made", notes=(), about="", storage="")
    return SimpleNamespace(stream=stream)


def test_a_small_variant_tells_what_it_changes_with_both_values():
    changes = resolve("cifar100-10/hps/small", ["training.epochs=3", "benchmark.max_test=50"]).small
    assert "training.epochs is 3 instead of 2000" in changes
    assert "benchmark.max_test is 50 instead of the default" in changes
    assert resolve("cifar100-10/hps").small is None
    assert "apd.sparsity is 0.004 instead of the default" in resolve("cifar100-10/apd/small").small
    assert resolve("cifar100-10/apd/small", ["apd.sparsity=0.1"]).learner.options.sparsity == 0.1
    assert resolve("cifar100-10/hps/small", ["learner.kind=apd"]).learner.options.sparsity == 0.004
    assert "apd" not in resolve("cifar100-10/hps/small").sections


def test_a_small_variant_in_a_file_is_the_same(tmp_path):
    (tmp_path / "mine.toml").write_text('preset = "cifar100-10/lasem-tf/small"')
    (tmp_path / "whole.toml").write_text(resolve("cifar100-10/lasem-tf/small").toml())
    assert resolve(str(tmp_path / "mine.toml")) == resolve("cifar100-10/lasem-tf/small")
    assert resolve(str(tmp_path / "whole.toml")) == resolve("cifar100-10/lasem-tf/small")


@pytest.mark.parametrize("name", ["digits/small", "small", "digits/lasem-hps/smal", "/small", "digits/slt/small"])
def test_a_small_variant_of_nothing_is_refused(name):
    with pytest.raises(SpecError, match="a preset must be called"):
        resolve(name)


# Further networks


@pytest.mark.parametrize("benchmark", ["cifar100-10", "cifar100-40"])
@pytest.mark.parametrize("profile", ["paper", "release"])
def test_resnet_18_is_trained_as_published(benchmark, profile):
    spec = resolve(f"{benchmark}/resnet-18/lasem-hps-5-groups", [f"profile={profile}"])
    own = resolve(f"{benchmark}/lasem-hps", [f"profile={profile}"])
    assert differences(own.table(), spec.table()) == {
        "name": (f"{benchmark}/lasem-hps", f"{benchmark}/resnet-18/lasem-hps-5-groups"),
        "learner.name": ("lasem-hps", "lasem-hps-5-groups"),
        "network.name": ("cifar-4", "resnet-18"),
        "training.epochs": (2000, 200),
        "search.partition": (None, "{1-5},{6-9},{10-13},{14,15},{16,17}"),
    } | ({"search.evidence": ("product", "mean")} if profile == "paper" else {})


def test_partitions_with_batch_norm_are_the_same_in_blocks():

    spec = resolve("cifar100-10/resnet-18-bn/lasem-hps-7-groups")
    assert (
        spec.sections["search"]["partition"]
        == resolve("cifar100-10/resnet-18/lasem-hps-7-groups").sections["search"]["partition"]
    )
    space = build_strategy(spec).space(9)
    assert [len(group) for group in space.partition.groups] == [3, 1, 1, 1, 1, 1, 1]


def test_without_a_named_partition_the_first_is_taken():
    spec = resolve("cifar100-40/resnet-18/lasem-hps")
    assert (
        spec.sections["search"]["partition"]
        == resolve("cifar100-40/resnet-18/lasem-hps-4-groups").sections["search"]["partition"]
    )


def test_static_configurations_of_a_further_network_are_known_but_not_listed():
    assert resolve("cifar100-10/resnet-18/hps-top-16").strategy.options.configuration == "top-16"
    assert not any("resnet-18/hps-" in name for name in PRESETS)


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
    "learner.redraw_unchosen": (False, True),
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


def test_the_recommended_profile_adds_to_searches_and_leaves_other_learners_as_the_paper_has_them():
    def changes(preset):
        return differences(*(resolve(preset, [f"profile={name}"]).table() for name in ("paper", "recommended")))

    retention = {"kind": "laplace", "weight": 100.0, "decay": 1.0, "online": False, "count_images": True}
    assert changes("digits/lasem-hps") == {
        "profile": ("paper", "recommended"),
        "retention": (None, retention | {"fisher": "exact"}),
        "search.commit_at": (None, {"share": 0.6}),
        "search.evidence_from": (0, 0.25),
    }
    retained = {"profile": ("paper", "recommended"), "retention": (None, retention | {"fisher": "exact"})}
    assert changes("digits/brute-force-hps") == retained
    for learner in ("hps", "den", "darts-hps", "ewc"):
        assert changes(f"digits/{learner}") == {"profile": ("paper", "recommended")}


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
        ("digits/frozen", "'frozen' must name a network that comes with weights .*pacs/efficientnet-lite0/frozen"),
        ("digits", "a preset must be called <benchmark>/<learner> .got 'digits'"),
        ("", "a preset must be called <benchmark>/<learner>"),
        ("cifar100-10/resnet18/hps", "got network 'resnet18' of 'cifar100-10'.; did you mean 'resnet-18'"),
        ("digits/resnet-18/hps", "got network 'resnet-18' of 'digits'.; this benchmark has one network only"),
        ("cifar100-10/resnet-18/lasem-hps-3-groups", "did you mean 'lasem-hps-[4-7]-groups'"),
        ("cifar100-10/lasem-hps-4-groups", "got learner 'lasem-hps-4-groups'"),
    ],
)
def test_an_unknown_preset_suggests_the_nearest(target, words):
    with pytest.raises(SpecError, match=words):
        resolve(target)


def test_an_unknown_profile_lists_the_profiles():
    with pytest.raises(SpecError, match=r"profile must be paper, recommended or release .got 'papr'"):
        resolve("digits/stl", ["profile=papr"])


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("benchmark.kind=digit", "benchmark.kind: unknown benchmark 'digit'; did you mean 'digits'"),
        ("network.name=cifar4", "unknown network 'cifar4'; did you mean 'cifar-4'"),
        ("learner.mechanism=hsp", "learner.mechanism: unknown mechanism 'hsp'; did you mean 'hps'"),
        ("training.optimizer=rmsprop-ft", "optimizer must be .*'rmsprop-ft'.*; did you mean 'rmsprop-tf'"),
        ("benchmark.taskss=3", "taskss is not an option of .benchmark.; did you mean 'tasks'"),
        ("benchmark.tasks=many", r"tasks must be a whole number .got 'many' in .benchmark.."),
        ("benchmark.classes_per_task=11", "classes_per_task must be at most 10 .got 11"),
        ("search.partition={1,2}", r"cover all 3 layers of the network .got '\{1,2\}'"),
        ("search.partition={1},{3}", r"missing: \[2\]"),
        ('search.candidates=["01"]', "one digit per group, 3 here, 0 for own or 1 for shared .got '01'"),
    ],
)
def test_a_check_names_what_is_unknown_or_does_not_fit(setting, words):
    with pytest.raises(SpecError, match=words):
        check(resolve("digits/lasem-hps", [setting]))


def test_df_cnn_is_not_offered_on_resnet_18_and_the_reason_is_said():
    spec = resolve("cifar100-10/hps", ["network.name=resnet-18", "learner.mechanism=dfcnn"])
    with pytest.raises(SpecError, match=r"'dfcnn' is not offered on resnet-18: .* 690 million parameters per task"):
        check(spec)


def test_a_check_reports_several_faults_together():
    with pytest.raises(SpecError) as caught:
        resolve("digits/lasem-hps", ["benchmark.tasks=0", "training.optimizer=x", "search.partition={1,2}"])
    assert all(part in str(caught.value) for part in ("tasks", "optimizer", "partition"))


def test_a_static_configuration_of_too_many_layers_is_refused():
    with pytest.raises(SpecError, match=r"top-1..3"):
        check(resolve("digits/hps-top-7"))


def test_composing_presets_leaves_them_as_they_were():
    before = resolve("stl10-15/lasem-hps").table()
    merge(resolve("stl10-15/lasem-hps", ["search.partition={1-9}", "profile=release", "benchmark.size=9"]).table(), {})
    assert resolve("stl10-15/lasem-hps").table() == before
