"""Options are strict, frozen, and say what is wrong in words."""

from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from lasem.errors import SpecError, require
from lasem.learners import EWCOptions, ProgNNOptions
from lasem.options import Fraction, Positive, merge, must, options, parse_assignment, read_toml, validate
from lasem.search import DARTS

Bits = Annotated[str, must(lambda bits: {*bits} <= {"0", "1"}, "one bit per group", "write for example '011'")]


@options
class Moment:
    share: Fraction | None = None
    after: int | None = None

    def __post_init__(self):
        require(self.share is None or self.after is None, "only one must be given", share=self.share, after=self.after)


@options(kw_only=True)
class Example:
    epochs: Positive
    rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.1
    ties: Literal["first", "last"] = "first"
    online: bool = False
    title: str = "x"
    betas: tuple[float, float] = (0.5, 0.9)
    moment: Moment | None = None
    candidates: tuple[Bits, ...] | None = None


def test_a_table_becomes_options():
    table = {"epochs": 3, "rate": 1, "betas": [0.1, 0.2], "moment": {"share": 0.5}, "candidates": ["01"]}
    made = validate(Example, table, section="training")
    assert made == Example(epochs=3, rate=1.0, betas=(0.1, 0.2), moment=Moment(share=0.5), candidates=("01",))
    assert isinstance(made.betas, tuple)
    assert isinstance(made.moment, Moment)


@pytest.mark.parametrize(
    "make",
    [
        lambda: DARTS(radius=0.1),
        lambda: DARTS(optimizer="rmsprop-tf", learning_rate=9.0),
        lambda: DARTS(optimizer="rmsprop-tf", weight_decay=0.0),
        lambda: EWCOptions(decay=0.5),
        lambda: ProgNNOptions(form="joint", reduction=4),
    ],
)
def test_an_option_that_nothing_reads_is_refused(make):
    with pytest.raises(SpecError, match=r"must be left out unless \w+ is [\w-]+, because nothing reads it"):
        make()


def test_options_are_frozen_and_can_be_keys():
    made = Example(epochs=1)
    with pytest.raises(AttributeError):
        made.epochs = 2  # pyright: ignore[reportAttributeAccessIssue]
    assert {made: 1}[Example(epochs=1)] == 1


def test_python_may_give_a_list_for_a_tuple():
    made = Example(epochs=1, betas=[0.1, 0.2])  # pyright: ignore[reportArgumentType]
    assert made.betas == (0.1, 0.2)


FAULTS = [
    ({"epochs": 0}, "epochs must be at least 1 (got 0 in [training]); set it to 1 or more"),
    ({"epochs": 1.0}, "epochs must be a whole number (got 1.0 in [training]); write a whole number"),
    ({"epochs": "1"}, "epochs must be a whole number (got '1' in [training]); leave out the quotes"),
    ({"epochs": True}, "epochs must be a whole number (got True in [training]); write a whole number"),
    ({"rate": float("nan")}, "rate must be a finite number (got nan in [training]); write a finite number"),
    ({"rate": "fast"}, "rate must be a number (got 'fast' in [training]); write a number"),
    ({"ties": "fist"}, "ties must be 'first' or 'last' (got 'fist' in [training]); did you mean 'first'?"),
    (
        {"online": "true"},
        "online must be true or false (got 'true' in [training]); write true or false, without quotes",
    ),
    (
        {"title": 3},
        "title must be text (got 3 in [training]); put it in quotes, in a shell inside others: 'key=\"value\"'",
    ),
    ({"betas": [0.1, "b"]}, "betas[1] must be a number (got 'b' in [training]); write a number"),
    ({"betas": 1}, "betas must be a list (got 1 in [training]); put it in brackets"),
    ({"moment": {"share": 2}}, "share must be below 1 (got 2 in [training.moment]); set it to less than 1"),
    ({"moment": {"when": 2}}, "when is not an option of [training.moment]"),
    ({"epoch": 2}, "epoch is not an option of [training]; did you mean 'epochs'?"),
    ({"candidates": ["2"]}, "candidates[0] must be one bit per group (got '2' in [training]); write for example '011'"),
    ({"moment": {"share": 0.5, "after": 1}}, "[training.moment]: only one must be given"),
]


@pytest.mark.parametrize(("change", "words"), FAULTS, ids=lambda value: None if isinstance(value, dict) else value[:30])
def test_a_fault_says_the_rule_the_value_and_the_place(change, words):
    with pytest.raises(SpecError) as caught:
        validate(Example, {"epochs": 1} | change, section="training")
    assert words in str(caught.value)


def test_all_faults_come_together():
    with pytest.raises(SpecError) as caught:
        validate(Example, {"rate": -1, "online": 1}, section="training")
    assert [line.split()[0] for line in str(caught.value).splitlines()] == ["epochs", "rate", "online"]


def test_python_gets_the_same_words():
    with pytest.raises(SpecError, match=r"^epochs must be at least 1 \(got 0 in Example\); set it to 1 or more$"):
        Example(epochs=0)
    with pytest.raises(SpecError, match=r"share must be below 1 \(got 2\.0 in Moment\)"):
        Moment(share=2.0)


def test_dates_and_endless_nesting_are_no_options():
    import datetime

    with pytest.raises(SpecError, match="must be made of text, numbers"):
        validate(Example, {"epochs": datetime.date(2020, 1, 1)}, section="training")


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("training.epochs={a = 1}", {"training": {"epochs": {"a": 1}}}),
        ("a={b = {c = 1}, d = 'e=f'}", {"a": {"b": {"c": 1}, "d": "e=f"}}),
        ("a = x=y", {"a": "x=y"}),
        ("a.b=[1, 2]", {"a": {"b": [1, 2]}}),
        ("a=1\nb=2", {"a": "1\nb=2"}),
    ],
)
def test_an_assignment_is_cut_at_the_first_equals_sign_only(text, table):
    assert parse_assignment(text) == table


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SpecError, match=r"there is none at .*no.toml\); check the path"):
        read_toml(tmp_path / "no.toml")


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe", b"a = 1\na = 2"])
def test_a_file_that_is_not_toml_is_named(tmp_path, content):
    (tmp_path / "bad.toml").write_bytes(content)
    with pytest.raises(SpecError, match=r"a spec must be a TOML file \(got .*bad\.toml: "):
        read_toml(tmp_path / "bad.toml")


def test_a_folder_is_no_spec(tmp_path):
    with pytest.raises(SpecError, match="a spec must be a TOML file"):
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
    with pytest.raises(SpecError, match=r"a setting must be written section.key=value") as caught:
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


@pytest.mark.parametrize("levels", [65, 600, 5000])
def test_a_file_of_too_many_levels_is_refused_whatever_it_is_made_of(tmp_path, levels):
    path = tmp_path / "deep.toml"
    for text in (f"[{'.'.join(['a'] * levels)}]\n", f"a = {'[' * levels}{']' * levels}\n"):
        path.write_text(text)
        with pytest.raises(SpecError, match=r"a spec must be a TOML file \(got .*deep\.toml"):
            read_toml(path)
    assert read_toml_of(path, f"[{'.'.join(['a'] * 9)}]\n")
    nested = f"{'[' * levels}1{']' * levels}"
    assert parse_assignment(f"a.b={nested}") == {"a": {"b": nested}}  # refused later, as any text is there


def read_toml_of(path, text):
    path.write_text(text)
    return read_toml(path)
