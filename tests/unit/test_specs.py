import re
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lasem.errors import SpecError
from lasem.specs import Spec, merge, parse_assignment, read_spec, read_toml

TABLE = {
    "name": "try",
    "benchmark": {"name": "digits", "kind": "digits", "tasks": 3},
    "network": {"name": "digits-3"},
    "learner": {"name": "lasem-hps", "strategy": "em"},
    "training": {"epochs": 2, "batch_size": 10, "learning_rate": 1e-3},
}

TEXT = st.text(min_size=1, max_size=12)
NAME = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=12)
BITS = st.from_regex("[01]{1,5}", fullmatch=True)
OPTION = st.one_of(
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.floats(allow_nan=False),
    st.text(max_size=8),
    st.lists(st.integers()),
)
SPECS = st.fixed_dictionaries(
    {
        "name": NAME,
        "profile": st.sampled_from(["paper", "release"]),
        "benchmark": st.dictionaries(st.from_regex("[a-z_]{3,9}", fullmatch=True), OPTION, max_size=3).map(
            lambda options: options | {"name": "digits", "kind": "digits"}
        ),
        "network": st.fixed_dictionaries({"name": TEXT}),
        "learner": st.fixed_dictionaries({"name": TEXT}, optional={"redraw_unchosen": st.booleans()}),
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
                "partition": TEXT,
                "candidates": st.lists(st.from_regex("[01]{1,5}", fullmatch=True), min_size=1),
            },
        ),
        "evaluation": st.fixed_dictionaries({}, optional={"every": st.integers(0, 100)}),
        "seeds": st.fixed_dictionaries(
            {}, optional={place: st.integers(0, 2**63 - 1) for place in ("stream", "data", "training")}
        ),
    },
)

CHANGES = [
    {"profile": "release"},
    {"benchmark": {"kind": "synthetic"}},
    {"benchmark": {"tasks": 4}},
    {"benchmark": {"noise_sd": 0.1}},
    {"network": {"name": "synthetic-3"}},
    {"learner": {"kind": "snn"}},
    {"learner": {"mechanism": "tf"}},
    {"learner": {"strategy": "fixed"}},
    {"learner": {"configuration": "top-1"}},
    {"learner": {"redraw_unchosen": True}},
    {"learner": {"first_task": "as-second"}},
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
    {"learner": {"strategy": "darts"}},
    {"darts": {"order": "second"}},
    {"darts": {"held_out": "half"}},
    {"darts": {"optimizer": "rmsprop-tf"}},
    {"darts": {"learning_rate": 1e-3}},
    {"darts": {"betas": [0.9, 0.999]}},
    {"darts": {"weight_decay": 0.0}},
    {"learner": {"kind": "prognn"}},
    {"prognn": {"reduction": 3}},
    {"ewc": {"penalty_weight": 10.0}},
    {"ewc": {"online": True}},
    {"ewc": {"decay": 0.5}},
    {"ewc": {"fisher": "sampled"}},
    {"gating": {"hidden": 8}},
    {"gating": {"open_share": 0.5}},
    {"gating": {"gain": 2.0}},
    {"gating": {"sparsity_weight": 0.6}},
    {"gating": {"sparsity": "learned"}},
    {"gating": {"patience": 5}},
    {"gating": {"relevance": "train"}},
    {"gating": {"threshold": 0.1}},
    {"learner": {"kind": "den"}},
    {"den": {"expand": 8}},
    {"den": {"l1": 0.0}},
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
    {"learner": {"kind": "apd"}},
    {"apd": {"sparsity": 0.0}},
    {"apd": {"retention": 0.0}},
    {"apd": {"shrinkage": "gradient"}},
    {"apd": {"start": "zero"}},
    {"apd": {"layers": "convolutions"}},
    {"apd": {"consolidate_every": 5}},
    {"apd": {"groups": 3}},
    {"apd": {"gap": 0.1}},
    {"training": {"epochs": 3}},
    {"training": {"batch_size": 9}},
    {"training": {"learning_rate": 2e-3}},
    {"training": {"decay": 1e-4}},
    {"training": {"optimizer": "adam"}},
    {"training": {"keep": 0.6}},
    {"training": {"precision": "bfloat16"}},
    {"evaluation": {"every": 1}},
    {"evaluation": {"earlier_tasks": "before-commit"}},
    {"evaluation": {"reference": "peak"}},
    {"seeds": {"stream": 1}},
    {"seeds": {"data": 1}},
    {"seeds": {"training": 1}},
]


def spec(*changes):
    return read_spec(merge(TABLE, *changes), place="here")


# Round trip and hash


@given(SPECS)
def test_a_spec_survives_its_toml_with_the_same_hash(table):
    one = read_spec(table, place="here")
    again = read_spec(tomllib.loads(one.toml()), place="here")
    assert again == one
    assert again.digest == one.digest


def test_every_change_of_what_determines_the_result_changes_the_hash():
    digests = [spec(change).digest for change in [{}, *CHANGES]]
    assert len(set(digests)) == len(digests)


def test_these_changes_touch_every_field_that_determines_the_result():
    """A field added to the spec must be added to CHANGES too."""
    touched = {(section, key) for change in CHANGES for section, part in change.items()
               if isinstance(part, dict) for key in part}  # fmt: skip
    names = {("network", "name"), ("learner", "name"), ("benchmark", "name"), ("evaluation", "batch_size")}
    fields = {
        (section, key)
        for section, info in Spec.model_fields.items()
        if hasattr(info.annotation, "model_fields")
        for key in info.annotation.model_fields
    }
    assert fields - touched <= names


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
    one = spec({"mechanism": {"penalty_weight": 1}, "benchmark": {"noise": [0, 1]}})
    other = spec({"mechanism": {"penalty_weight": 1.0}, "benchmark": {"noise": [0.0, 1.0]}})
    assert one.digest == other.digest


def test_a_setting_at_its_default_does_not_enter_the_hash():
    table = spec().model_dump(exclude_defaults=True)
    assert "darts" not in table
    assert spec({"darts": {"order": "first"}}).digest == spec().digest
    assert spec({"darts": {"order": "second"}}).digest != spec().digest


def test_the_hash_is_eight_hexadecimal_digits_and_ends_the_name_of_the_folder():
    trial = spec({"name": "digits/stl", "seeds": {"training": 4}})
    assert len(trial.digest) == 8
    assert int(trial.digest, base=16) >= 0
    assert trial.folder == f"digits-stl-s4-{trial.digest}"


def test_a_spec_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        spec().training.epochs = 5


def test_with_seed_changes_data_and_training_but_not_the_stream():
    trial = spec({"seeds": {"stream": 5}}).with_seed(3)
    assert (trial.seeds.stream, trial.seeds.data, trial.seeds.training) == (5, 3, 3)
    assert trial == spec({"seeds": {"stream": 5, "data": 3, "training": 3}})


def test_the_options_of_a_benchmark_are_what_is_neither_name_nor_kind():
    assert spec({"benchmark": {"noise_sd": 0.5}}).benchmark.options == {"tasks": 3, "noise_sd": 0.5}


# Faults


@pytest.mark.parametrize(
    ("change", "place", "meant"),
    [
        ({"trainning": {}}, "trainning", "training"),
        ({"training": {"epoch": 3}}, "training.epoch", "epochs"),
        ({"search": {"evidense": "mean"}}, "search.evidense", "evidence"),
        ({"seeds": {"streem": 1}}, "seeds.streem", "stream"),
        ({"learner": {"strategie": "em"}}, "learner.strategie", "strategy"),
        ({"evaluation": {"evry": 1}}, "evaluation.evry", "every"),
    ],
)
def test_a_misspelt_key_is_named_with_the_nearest(change, place, meant):
    with pytest.raises(SpecError) as caught:
        spec(change)
    assert str(caught.value) == f"here: unknown key {place!r} - did you mean {meant!r}?"


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"training": {"epochs": 2.5}}, "training.epochs"),
        ({"training": {"epochs": "2"}}, "training.epochs"),
        ({"training": {"epochs": True}}, "training.epochs"),
        ({"training": {"epochs": 0}}, "training.epochs"),
        ({"training": {"batch_size": -1}}, "training.batch_size"),
        ({"training": {"learning_rate": 0.0}}, "training.learning_rate"),
        ({"training": {"learning_rate": "fast"}}, "training.learning_rate"),
        ({"training": {"keep": 0.0}}, "training.keep"),
        ({"training": {"keep": 1.5}}, "training.keep"),
        ({"training": {"keep": True}}, "training.keep"),
        ({"training": {"decay": -1e-9}}, "training.decay"),
        ({"training": 3}, "training"),
        ({"search": {"m_steps": 0}}, "search.m_steps"),
        ({"search": {"evidence": "sum"}}, "search.evidence"),
        ({"search": {"candidates": ["02"]}}, "search.candidates.0"),
        ({"search": {"candidates": "01"}}, "search.candidates"),
        ({"search": {"candidates": []}}, "search.candidates"),
        ({"learner": {"redraw_unchosen": 1}}, "learner.redraw_unchosen"),
        ({"seeds": {"data": -1}}, "seeds.data"),
        ({"seeds": {"data": 2**63}}, "seeds.data"),
        ({"profile": "papre"}, "profile"),
        ({"name": 3}, "name"),
        ({"name": " "}, "name"),
        ({"name": "a\0"}, "name"),
        ({"name": "ß" * 101}, "name"),
    ],
)
def test_a_wrong_type_or_value_is_named_with_what_came(change, place):
    with pytest.raises(SpecError) as caught:
        spec(change)
    came = change
    for part in place.split("."):
        came = came[int(part) if part.isdigit() else part]
    assert str(caught.value).startswith(f"here: {place}")
    assert re.search(rf"got (\w+ = )?{re.escape(repr(came))} - \w+", str(caught.value))


def test_nan_is_no_learning_rate():
    with pytest.raises(SpecError, match=r"training.learning_rate"):
        spec({"training": {"learning_rate": float("nan")}})


def test_infinity_is_no_learning_rate():
    with pytest.raises(SpecError, match=r"training.learning_rate"):
        spec({"training": {"learning_rate": float("inf")}})


def test_a_missing_key_is_named():
    table = {**TABLE, "training": {"batch_size": 10, "learning_rate": 1e-3}}
    with pytest.raises(SpecError, match=r"missing key 'training.epochs' - add it"):
        read_spec(table, place="here")


def test_several_faults_are_reported_together():
    with pytest.raises(SpecError) as caught:
        spec({"training": {"epoch": 3, "keep": 7}, "seed": 1, "search": {"prior": "flat"}})
    text = str(caught.value)
    assert all(part in text for part in ("training.epoch", "training.keep", "'seed'", "search.prior"))
    assert len(text.splitlines()) == 4


# Reading


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SpecError, match=r"there is none at .*no.toml - check the path"):
        read_toml(tmp_path / "no.toml")


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe", b"a = 1\na = 2"])
def test_a_file_that_is_not_toml_is_named(tmp_path, content):
    (tmp_path / "bad.toml").write_bytes(content)
    with pytest.raises(SpecError, match=r"a spec is a TOML file - .*bad\.toml is not"):
        read_toml(tmp_path / "bad.toml")


def test_a_folder_is_no_spec(tmp_path):
    with pytest.raises(SpecError, match="a spec is a TOML file"):
        read_toml(tmp_path)


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("training.epochs=20", {"training": {"epochs": 20}}),
        ("training.learning_rate = 1e-3", {"training": {"learning_rate": 1e-3}}),
        ("learner.redraw_unchosen=true", {"learner": {"redraw_unchosen": True}}),
        ("profile=release", {"profile": "release"}),
        ('profile="release"', {"profile": "release"}),
        ("search.partition={1,2},{3}", {"search": {"partition": "{1,2},{3}"}}),
        ('search.candidates=["01", "10"]', {"search": {"candidates": ["01", "10"]}}),
        ("benchmark.order=[0, 1, 0]", {"benchmark": {"order": [0, 1, 0]}}),
        ("name=a=b", {"name": "a=b"}),
        ("a.b.c=1", {"a": {"b": {"c": 1}}}),
        ("name=", {"name": ""}),
    ],
)
def test_an_assignment_is_read_as_toml_or_else_as_text(text, table):
    assert parse_assignment(text) == table


@given(st.text(alphabet=st.characters(codec="ascii", exclude_categories=("Cc",)), max_size=10))
def test_any_quoted_text_is_read_as_itself(text):
    quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    assert parse_assignment(f"learner.name={quoted}") == {"learner": {"name": text}}


@pytest.mark.parametrize("text", ["training.epochs", "=3", "training.=3", ".epochs=3", "a..b=3", ""])
def test_what_is_no_assignment_is_shown_with_how_to_write_one(text):
    with pytest.raises(SpecError, match=r"a setting is written section.key=value") as caught:
        parse_assignment(text)
    assert repr(text) in str(caught.value)


# Merging


def test_later_tables_win_key_by_key():
    tables = {"a": {"x": 1, "y": {"p": 1}}, "b": 1}, {"a": {"y": {"q": 2}, "z": 3}}, {"b": {"c": 4}}
    assert merge(*tables) == {"a": {"x": 1, "y": {"p": 1, "q": 2}, "z": 3}, "b": {"c": 4}}


NESTED = st.recursive(
    st.integers(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=6
)
TABLES = st.dictionaries(st.sampled_from("abc"), NESTED, max_size=3)


@given(TABLES, TABLES)
def test_merging_changes_none_of_its_tables_and_an_empty_one_changes_nothing(one, other):
    before = repr((one, other))
    merged = merge(one, other)
    assert repr((one, other)) == before
    assert merge(one, {}) == merge({}, one) == one
    assert merge(merged, other) == merged
