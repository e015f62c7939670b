"""A spec holds what its run reads, is written and read without loss, and says what is wrong with it."""

import pickle
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lasem.errors import SpecError
from lasem.options import merge
from lasem.runs import read_spec, resolve
from lasem.runs._read_spec import ALWAYS
from lasem.runs._readers import all_readers

TABLE = {
    "name": "try",
    "benchmark": {"name": "digits", "kind": "digits", "tasks": 3},
    "network": {"name": "digits-3"},
    "learner": {"name": "lasem-hps", "strategy": "em"},
    "training": {"epochs": 2, "batch_size": 10, "learning_rate": 1e-3},
}
CHANGED = {"digits/den": ["den.drift=0.5", "den.select_shrinkage=0.0"]}
"""What presets had before they were changed, where an older spec says otherwise."""
OLD = sorted((Path(__file__).parent / "old_specs").glob("*.toml"))

NAME = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=12)
SPECS = st.fixed_dictionaries(
    {
        "name": NAME,
        "profile": st.sampled_from(["paper", "release"]),
        "benchmark": st.fixed_dictionaries(
            {"name": NAME, "kind": st.just("digits")},
            optional={
                "tasks": st.integers(1, 100),
                "noise_sd": st.floats(0, 1),
                "order": st.lists(st.integers(0, 9), min_size=1),
            },
        ),
        "network": st.sampled_from([{"name": "digits-3"}, {"name": "stl-6"}]),
        "learner": st.fixed_dictionaries(
            {"name": NAME, "strategy": st.just("em")}, optional={"redraw_unchosen": st.booleans()}
        ),
        "training": st.fixed_dictionaries(
            {
                "epochs": st.integers(1, 10**6),
                "batch_size": st.integers(1, 10**4),
                "learning_rate": st.floats(1e-12, 10),
            },
            optional={"decay": st.floats(0, 1), "keep": st.floats(0.01, 1)},
        ),
    },
    optional={
        "search": st.fixed_dictionaries(
            {},
            optional={
                "partition": st.sampled_from(["{1,2},{3}", "{1-3}"]),
                "candidates": st.lists(st.from_regex("[01]{3}", fullmatch=True), min_size=1),
                "commit_at": st.fixed_dictionaries({"prior": st.floats(0.1, 1)}),
            },
        ),
        "evaluation": st.fixed_dictionaries({}, optional={"every": st.integers(0, 100)}),
        "seeds": st.fixed_dictionaries(
            {}, optional={place: st.integers(0, 2**63 - 1) for place in ("stream", "data", "training")}
        ),
    },
)

EM = {"learner": {"strategy": "em"}}
LIBRARY = {"name": "timm:resnet10t", "stages": ["layer1", "layer2", "layer3"]}
CHANGES = {
    "em": [
        {},
        {"profile": "release"},
        {"plugins": ["json"]},
        {"benchmark": {"tasks": 4}},
        {"benchmark": {"noise_sd": 0.1}},
        {"benchmark": {"noise_sd": 0.2}},
        {"network": {"name": "synthetic-3"}},
        {"network": LIBRARY},
        {"network": LIBRARY | {"own": "copy", "classifier": "fc"}},
        {"network": LIBRARY | {"norms": "frozen"}},
        {"network": LIBRARY | {"frozen": True}},
        {"network": LIBRARY | {"own": "lora"}},
        {"network": LIBRARY | {"own": "lora", "rank": 2}},
        {"network": LIBRARY | {"own": "lora", "alpha": 2.0}},
        {"network": LIBRARY | {"tail": ["layer4"]}},
        {"network": LIBRARY | {"weights": "file.pt", "weights_sha256": 64 * "0"}},
        {"network": LIBRARY | {"mean": [0.5, 0.5, 0.5], "deviation": [0.5, 0.5, 0.5]}},
        {"network": LIBRARY | {"options": {"in_chans": 1}}},
        {"learner": {"mechanism": "tf"}},
        {"learner": {"redraw_unchosen": True}},
        {"search": {"partition": "{1,2},{3}"}},
        {"search": {"candidates": ["000", "111"]}},
        {"search": {"evidence": "mean"}},
        {"search": {"prior": "counts"}},
        {"search": {"restart": "epoch"}},
        {"search": {"m_steps": 2}},
        {"search": {"ties": "enumeration"}},
        {"search": {"epsilon": 1e-3}},
        {"search": {"stop_when_certain": True}},
        {"search": {"commit_at": {"prior": 0.9}}},
        {"search": {"memory": 100}},
        {"search": {"held_out": "half"}},
        {"search": {"prior": "sum", "temper": 0.5}},
        {"search": {"evidence_from": 1}},
        {"search": {"evidence_epochs": 1}},
        {"learner": {"first_task": "shared"}},
        {"retention": {"kind": "laplace"}},
        {"retention": {"weight": 2.0}},
        {"retention": {"decay": 0.5}},
        {"retention": {"online": True}},
        {"retention": {"count_images": False}},
        {"retention": {"fisher": "sampled"}},
        {"training": {"epochs": 3}},
        {"training": {"batch_size": 9}},
        {"training": {"learning_rate": 2e-3}},
        {"training": {"decay": 1e-4}},
        {"training": {"optimizer": "adam"}},
        {"training": {"keep": 0.6}},
        {"training": {"optimizer": "adamw", "weight_decay": 0.1}},
        {"training": {"warmup": 3}},
        {"training": {"schedule": "cosine"}},
        {"training": {"clip_norm": 1.0}},
        {"training": {"front_memory": 1.0}},
        {"training": {"label_smoothing": 0.1}},
        {"training": {"layer_decay": 0.8}},
        {"training": {"head_rate": 3.0}},
        {"training": {"head_penalty": 0.1}},
        {"training": {"relative_rates": True}},
        {"training": {"random_flip": True}},
        {"training": {"random_crop": 2}},
        {"training": {"color_jitter": 0.2}},
        {"training": {"precision": "bfloat16"}},
        {"evaluation": {"every": 1}},
        {"evaluation": {"while_training": False}},
        {"evaluation": {"earlier_tasks": "before-commit"}},
        {"evaluation": {"reference": "peak"}},
        {"seeds": {"stream": 1}},
        {"seeds": {"data": 1}},
        {"seeds": {"training": 1}},
        {"evaluation": {"batch_size": 100}},
    ],
    "drawn-em": [
        {},
        {"search": {"draws": 4}},
        {"search": {"redraw": 3}},
        {"search": {"mixture": 0.3}},
        {"search": {"expect_every": 2}},
        {"search": {"commit_groups": 0.1}},
        {"search": {"seed": 1}},
    ],
    "fixed": [{}, {"learner": {"configuration": "top-1"}}],
    "brute-force": [
        {},
        {"learner": {"first_task": "as-second"}},
        {"search": {"partition": "{1,2},{3}"}},
        {"search": {"candidates": ["000", "111"]}},
        {"search": {"ties": "enumeration"}},
    ],
    "darts": [
        {},
        {"search": {"partition": "{1,2},{3}"}},
        {"darts": {"order": "second"}},
        {"darts": {"held_out": "half"}},
        {"darts": {"optimizer": "rmsprop-tf"}},
        {"darts": {"learning_rate": 1e-3}},
        {"darts": {"betas": [0.9, 0.999]}},
        {"darts": {"weight_decay": 0.0}},
        {"darts": {"order": "second", "radius": 0.02}},
    ],
    "tf": [{}, {"mechanism": {"penalty_weight": 0.2}}],
    "lora": [{}, {"mechanism": {"rank": 2}}, {"mechanism": {"alpha": 2.0}}],
    "dfcnn": [{}, {"mechanism": {"channels": "table"}}],
    "snn": [{}, {"learner": {"mechanism": "tf"}}],
    "prognn": [
        {},
        {"prognn": {"reduction": 3}},
        {"prognn": {"form": "joint"}},
        {"prognn": {"head": True}},
        {"prognn": {"start": "release"}},
    ],
    "ewc": [
        {},
        {"ewc": {"head": "single"}},
        {"ewc": {"penalty_weight": 10.0}},
        {"ewc": {"online": True}},
        {"ewc": {"online": True, "decay": 0.5}},
        {"ewc": {"fisher": "sampled"}},
    ],
    "gating": [
        {},
        {"gating": {"hidden": 8}},
        {"gating": {"open_share": 0.5}},
        {"gating": {"gain": 2.0}},
        {"gating": {"sparsity_weight": 0.6}},
        {"gating": {"sparsity": "learned"}},
        {"gating": {"patience": 5}},
        {"gating": {"relevance": "train"}},
        {"gating": {"threshold": 0.1}},
    ],
    "den": [
        {},
        {"den": {"expand": 8}},
        {"den": {"l1": 0.0}},
        {"den": {"select_shrinkage": 0.8}},
        {"den": {"l2": 0.0}},
        {"den": {"group_lasso": 0.0}},
        {"den": {"drift": 0.0}},
        {"den": {"loss_threshold": 0.1}},
        {"den": {"drift_measure": "cosine"}},
        {"den": {"split_threshold": [0.1, 0.1]}},
        {"den": {"split": "beside"}},
        {"den": {"settle": "all"}},
        {"den": {"shrinkage": "step-size"}},
        {"den": {"shares": [0.2, 0.2, 0.2, 0.2, 0.2]}},
    ],
    "apd": [
        {},
        {"apd": {"sparsity": 0.0}},
        {"apd": {"retention": 0.0}},
        {"apd": {"shrinkage": "gradient"}},
        {"apd": {"start": "zero"}},
        {"apd": {"layers": "convolutions"}},
        {"apd": {"consolidate_every": 5}},
        {"apd": {"groups": 3}},
        {"apd": {"gap": 0.1}},
    ],
}
"""Changes of what determines a result, by the strategy, the mechanism or the kind of learner that reads them."""


def spec(*changes):
    return read_spec(merge(TABLE, *changes), place="here")


def based(name):
    """The table of a spec that a change is made to."""
    if name in ("em", "drawn-em", "fixed", "brute-force", "darts"):
        return merge(TABLE, {"learner": {"strategy": name}})
    choice = {"mechanism": name} if name in ("tf", "lora", "dfcnn") else {"kind": name}
    return merge(TABLE, {"learner": {"name": "x"} | choice}, {}) | {"learner": {"name": "x"} | choice}


def varied():
    """Every change, made."""
    return [
        read_spec(merge(based(name), change), place=name) for name, changes in CHANGES.items() for change in changes
    ]


# Round trip and hash


@given(SPECS)
def test_a_spec_survives_its_toml_with_the_same_hash(table):
    one = read_spec(table, place="here")
    again = read_spec(tomllib.loads(one.toml()), place="here")
    assert again == one
    assert again.digest == one.digest


def test_every_change_of_what_determines_the_result_changes_the_hash():
    digests = [one.digest for one in varied()]
    assert len(set(digests)) == len(digests)


def test_these_changes_touch_every_field_that_determines_the_result():
    """An option that is added must be added to CHANGES too."""
    touched = {
        (section, key)
        for changes in CHANGES.values()
        for change in changes
        for section, values in change.items()
        if isinstance(values, dict)
        for key in values
    }
    readers = [reader for reader in all_readers() if reader.kind != "benchmark"]
    assert {place for reader in [*readers, *ALWAYS] for place in reader.places} <= touched


def test_every_spec_can_be_sent_to_another_process():
    for one in varied():
        assert pickle.loads(pickle.dumps(one)) == one


def test_spelling_out_defaults_and_another_order_keep_the_hash():
    spelled = read_spec(tomllib.loads(spec().toml()), place="here")
    turned = read_spec(dict(reversed(merge(TABLE, {"seeds": {"data": 0, "stream": 0}}).items())), place="here")
    assert spelled.digest == turned.digest == spec().digest


def test_a_whole_number_where_a_float_is_meant_is_that_float():
    one, other = (
        spec({"training": {"learning_rate": 1, "keep": 1}}),
        spec({"training": {"learning_rate": 1.0, "keep": 1.0}}),
    )
    assert one == other
    assert one.digest == other.digest


def test_numbers_of_a_benchmark_and_a_mechanism_are_hashed_by_value():
    weight, noise = ({"mechanism": {"penalty_weight": one}} for one in (1, 1.0)), (1, 1.0)
    specs = [
        read_spec(merge(based("tf"), mechanism, {"benchmark": {"noise_sd": sd}}), place="here")
        for mechanism, sd in zip(weight, noise, strict=True)
    ]
    assert specs[0].digest == specs[1].digest


def test_a_setting_at_its_default_does_not_enter_the_hash():
    assert spec({"search": {"evidence": "product"}}).digest == spec().digest
    assert spec({"search": {"evidence": "mean"}}).digest != spec().digest


def test_the_hash_of_a_published_preset_stays():
    """Finished runs are found by it."""
    assert resolve("digits/lasem-hps").folder == "digits-lasem-hps-s0-5b316f06"


def test_the_hash_is_eight_hexadecimal_digits_and_ends_the_name_of_the_folder():
    trial = spec({"name": "digits/stl", "seeds": {"training": 4}})
    assert len(trial.digest) == 8
    assert int(trial.digest, base=16) >= 0
    assert trial.folder == f"digits-stl-s4-{trial.digest}"


def test_with_seed_changes_data_and_training_but_not_the_stream():
    trial = spec({"seeds": {"stream": 5}}).with_seed(3)
    assert (trial.seeds.stream, trial.seeds.data, trial.seeds.training) == (5, 3, 3)
    assert trial == spec({"seeds": {"stream": 5, "data": 3, "training": 3}})


def test_a_spec_cannot_be_changed():
    with pytest.raises(AttributeError):
        spec().training.epochs = 5
    with pytest.raises(AttributeError):
        spec().name = "x"


# What is read


@pytest.mark.parametrize("name", CHANGES)
def test_a_spec_shows_what_the_run_uses_and_nothing_else(name):
    sections = set(read_spec(based(name), place="here").sections) - {"benchmark", "network", "learner", "training"}
    own = {
        "em": {"search"},
        "drawn-em": {"search"},
        "brute-force": {"search"},
        "darts": {"darts"},
        "fixed": set(),
        "snn": set(),
    }
    own |= {"tf": set(), "dfcnn": set(), "lora": set()}
    assert sections - {"evaluation", "seeds"} == own.get(name, {name})


@pytest.mark.parametrize(
    ("preset", "setting", "words"),
    [
        ("digits/hps", "ewc.penalty_weight=3", r"\[ewc\] is read by the learner ewc; 'hps' does not read it"),
        (
            "digits/ewc",
            "learner.strategy=em",
            r"strategy in \[learner\] is read by the learner selective.*'ewc' does not read it",
        ),
        ("digits/ewc", "learner.redraw_unchosen=true", "is read by the learner selective"),
        ("digits/lasem-hps", "learner.configuration=all", "is read by the strategy fixed"),
        ("digits/lasem-hps", "learner.first_task=as-second", "first_task must be 'searched', 'shared' or 'near-ties'"),
        ("digits/lasem-hps", "darts.order=second", r"\[darts\] is read by the strategy darts"),
        ("digits/darts-hps", 'search.candidates=["111"]', "is read by the strategies em and brute-force"),
        ("digits/brute-force-hps", "search.epsilon=0.1", "is read by the strategy em"),
        ("digits/prognn", "learner.mechanism=tf", "is read by the learners selective, snn and ewc"),
        ("digits/prognn", "search.evidence=mean", r"\[search\] is read by the strategies"),
        ("digits/hps", "mechanism.channels=rule", r"\[mechanism\] is read by the mechanisms tf, lora and dfcnn"),
        ("digits/tf", "mechanism.channels=rule", "is read by the mechanism dfcnn"),
        ("digits/hps", "benchmark.planted=true", "is read by the benchmark synthetic"),
    ],
)
def test_an_option_that_is_not_read_is_an_error_that_says_who_reads_it(preset, setting, words):
    with pytest.raises(SpecError, match=words):
        resolve(preset, [setting])


def test_what_a_preset_gives_to_other_learners_is_no_error():
    assert resolve("digits/hps", ["profile=release"]).sections.keys().isdisjoint({"search", "darts", "den"})


# Older versions


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.stem)
def test_a_spec_of_an_older_version_is_the_preset_that_it_was(path, caplog):
    table = tomllib.loads(path.read_text())
    found = resolve(str(path))
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("lasem.runs._resolve", "WARNING")
    assert f"{path}: older versions wrote options that the run does not read" in record.getMessage()
    before = CHANGED.get(table["name"], []) if table["profile"] == "paper" else []
    assert found == resolve(table["name"], [f"profile={table['profile']}", *before])


def test_an_old_spec_with_an_unread_option_that_was_set_is_refused_with_its_reader(tmp_path, caplog):
    table = next(path for path in OLD if path.stem == "digits-hps-release").read_text()
    (tmp_path / "old.toml").write_text(table.replace("penalty_weight = 400.0", "penalty_weight = 3.0"))
    with pytest.raises(SpecError, match=r"\[ewc\] is read by the learner ewc.*\(got penalty_weight = 3\.0\)"):
        resolve(str(tmp_path / "old.toml"))
    assert "older versions" in caplog.text


# Faults


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"trainning": {}}, "trainning is no section of a spec; did you mean 'training'?"),
        ({"trainning": 3}, "trainning is no section of a spec; did you mean 'training'?"),
        ({"training": {"epoch": 3}}, "epoch is not an option of [training]; did you mean 'epochs'?"),
        ({"search": {"evidense": "mean"}}, "evidense is not an option of [search]; did you mean 'evidence'?"),
        ({"seeds": {"streem": 1}}, "streem is not an option of [seeds]; did you mean 'stream'?"),
        ({"learner": {"strategie": "em"}}, "strategie is not an option of [learner]; did you mean 'strategy'?"),
        ({"benchmark": {"taskss": 1}}, "taskss is not an option of [benchmark]; did you mean 'tasks'?"),
    ],
)
def test_a_misspelt_key_is_named_with_the_nearest(change, words):
    with pytest.raises(SpecError) as caught:
        spec(change)
    assert str(caught.value) == f"here: {words}"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"benchmark": {"kind": "digitz", "taskss": 1}}, "taskss is not an option of [benchmark]; did you mean"),
        ({"learner": {"strategy": "emm"}, "search": {"evidense": 1}}, "evidense is not an option of [search]"),
        ({"network": {"name": "nix", "units": 3}}, "units is not an option of [network]; known: "),
    ],
)
def test_an_unknown_name_hides_no_unknown_option(change, words):
    with pytest.raises(SpecError, match=r"unknown (benchmark|strategy|network)") as caught:
        spec(change)
    assert words in str(caught.value)
    assert str(caught.value).count("\n") == 1


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"training": {"epochs": 2.5}}, "epochs"),
        ({"training": {"epochs": "2"}}, "epochs"),
        ({"training": {"epochs": True}}, "epochs"),
        ({"training": {"epochs": 0}}, "epochs"),
        ({"training": {"batch_size": -1}}, "batch_size"),
        ({"training": {"learning_rate": 0.0}}, "learning_rate"),
        ({"training": {"learning_rate": "fast"}}, "learning_rate"),
        ({"training": {"learning_rate": float("nan")}}, "learning_rate"),
        ({"training": {"learning_rate": float("inf")}}, "learning_rate"),
        ({"training": {"keep": 0.0}}, "keep"),
        ({"training": {"keep": 1.5}}, "keep"),
        ({"training": {"keep": True}}, "keep"),
        ({"training": {"decay": -1e-9}}, "decay"),
        ({"search": {"m_steps": 0}}, "m_steps"),
        ({"search": {"evidence": "sum"}}, "evidence"),
        ({"search": {"epsilon": 1}}, "epsilon"),
        ({"search": {"memory": 0}}, "memory"),
        ({"search": {"commit_at": {"prior": 1.5}}}, "prior"),
        ({"search": {"candidates": ["03"]}}, "candidates[0]"),
        ({"search": {"candidates": "01"}}, "candidates"),
        ({"search": {"candidates": []}}, "candidates"),
        ({"learner": {"redraw_unchosen": 1}}, "redraw_unchosen"),
        ({"evaluation": {"every": -1}}, "every"),
        ({"seeds": {"data": -1}}, "data"),
        ({"seeds": {"data": 2**63}}, "data"),
        ({"profile": "papre"}, "profile"),
        ({"name": 3}, "name"),
        ({"name": " "}, "name"),
        ({"name": "a\0"}, "name"),
        ({"name": "ß" * 101}, "name"),
        ({"plugins": "json"}, "plugins"),
        ({"training": 3}, "training"),
    ],
)
def test_a_wrong_type_or_value_is_named_with_the_rule_and_what_came(change, place):
    with pytest.raises(SpecError) as caught:
        spec(change)
    came = next(iter(change.values()))
    while isinstance(came, dict):
        came = next(iter(came.values()))
    came = came[0] if place.endswith("[0]") else came
    assert f"{place} must be " in str(caught.value)
    assert f"(got {came!r}" in str(caught.value)


def test_a_missing_key_is_named():
    table = {**TABLE, "training": {"batch_size": 10, "learning_rate": 1e-3}}
    with pytest.raises(SpecError, match=r"epochs is missing in \[training\]; add it"):
        read_spec(table, place="here")


def test_values_and_unknown_names_are_reported_together():
    with pytest.raises(SpecError) as caught:
        spec(
            {"training": {"epoch": 3, "keep": 7}, "seed": 1, "search": {"prior": "flat"}, "learner": {"kind": "x"}},
            {"benchmark": {"kind": "digit"}, "network": {"name": "digits-4"}},
        )
    text = str(caught.value)
    named = ("keep must be", "seed is no section", "learner.kind", "did you mean 'digits'", "did you mean 'digits-3'")
    assert all(words in text for words in named)


def test_dates_are_no_values_of_a_spec():
    with pytest.raises(SpecError, match="must be made of text, numbers"):
        read_spec(tomllib.loads("name = 2020-01-01"), place="here")
