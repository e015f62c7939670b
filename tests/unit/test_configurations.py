from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lasem.configurations import LARGEST_SPACE, ConfigurationSpace, Partition, name, named, static_names
from lasem.errors import SpecError
from lasem.search import EM, InTurn, list_candidates


@st.composite
def partitions(draw, most=6):
    """Any partition of 1..d, its groups and their layers in any order."""
    depth = draw(st.integers(1, most))
    marks = draw(st.lists(st.integers(0, depth - 1), min_size=depth, max_size=depth))
    groups = [tuple(layer for layer in range(1, depth + 1) if marks[layer - 1] == mark) for mark in set(marks)]
    return tuple(draw(st.permutations(group)) for group in draw(st.permutations(groups)))


# Partitions


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("{1,2,3},{4,5,6}", ((1, 2, 3), (4, 5, 6))),
        ("{1,3},{2,4},{5},{6}", ((1, 3), (2, 4), (5,), (6,))),
        ("{2,4},{5},{1,3}", ((1, 3), (2, 4), (5,))),
        ("{1-5},{6-9},{10-13},{14,15},{16,17}", ((1, 2, 3, 4, 5), (6, 7, 8, 9), (10, 11, 12, 13), (14, 15), (16, 17))),
        ("  {1-2,4} , { 3 } ", ((1, 2, 4), (3,))),
    ],
)
def test_the_usual_notation_is_read_and_ordered_by_lowest_layer(text, groups):
    assert Partition.parse(text).groups == groups


@given(partitions())
def test_a_partition_is_ordered_by_lowest_layer_and_survives_its_own_notation(groups):
    partition = Partition(tuple(map(tuple, groups)))
    assert Partition.parse(str(partition)) == partition
    lowest = [min(group) for group in partition.groups]
    assert lowest == sorted(lowest)
    assert partition.num_layers == sum(map(len, groups))
    assert partition.num_groups == len(groups)


@given(partitions(), st.data())
def test_layer_digits_give_every_layer_the_bit_of_its_group(groups, data):
    partition = Partition(tuple(map(tuple, groups)))
    bits = data.draw(st.lists(st.integers(0, 1), min_size=len(groups), max_size=len(groups)))
    spelled = partition.layer_digits(bits)
    assert len(spelled) == partition.num_layers
    for group, bit in zip(partition.groups, bits, strict=True):
        assert [spelled[layer - 1] for layer in group] == [bit] * len(group)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{1,2},{4}", "missing: \\[3\\]"),
        ("{1,2},{2,3}", "more than once: \\[2\\]"),
        ("{1,1}", "more than once: \\[1\\]"),
        ("{1-3},{3,5}", "missing: \\[4\\], more than once: \\[3\\]"),
        ("{2},{3}", "missing: \\[1\\]"),
    ],
)
def test_a_layer_missing_or_listed_twice_is_named_with_the_remedy(text, words):
    with pytest.raises(SpecError, match=words) as caught:
        Partition.parse(text)
    assert "put each layer into exactly one group" in str(caught.value)


@pytest.mark.parametrize("text", ["", "1,2", "{1},2", "{1}{2}", "{a}", "{1},{}", "{1},,{2}", "[1],[2]"])
def test_what_is_no_partition_is_shown_with_how_to_write_one(text):
    with pytest.raises(SpecError, match="a partition must be written like") as caught:
        Partition.parse(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("part", ["1-", "-2", "1-2-3"])
def test_a_broken_range_is_named(part):
    with pytest.raises(SpecError, match="layers of a group must be numbers like 1,2 or 3-5") as caught:
        Partition.parse(f"{{{part}}}")
    assert repr(part) in str(caught.value)


def test_layer_zero_is_refused():
    with pytest.raises(SpecError, match="there is no layer 0"):
        Partition(((0, 1), (2,)))


@pytest.mark.parametrize("text", ["{3-1}", "{1,2},{4-3}"])
def test_a_range_that_runs_backward_is_refused(text):
    with pytest.raises(SpecError):
        Partition.parse(text)


@pytest.mark.parametrize("text", ["{ }", "{,}", "{1},{ }"])
def test_an_empty_group_is_refused(text):
    with pytest.raises(SpecError):
        Partition.parse(text)


def test_single_puts_every_layer_into_its_own_group():
    assert Partition.single(3) == Partition.parse("{1},{2},{3}")


# Spaces


@pytest.mark.parametrize("text", ["{1}", "{1},{2},{3}", "{1,3},{2,4},{5}"])
def test_the_index_in_the_full_space_is_the_digits_read_in_binary(text):
    space = ConfigurationSpace.full(Partition.parse(text))
    assert len(space) == 2**space.partition.num_groups
    assert [int(bits, base=2) for bits in space.names()] == list(range(len(space)))


def test_the_first_group_is_the_most_significant_bit():
    space = ConfigurationSpace.full(Partition.parse("{1,3},{2}"))
    assert space.names() == ["00", "01", "10", "11"]
    assert space.layer_digits == ((0, 0, 0), (0, 1, 0), (1, 0, 1), (1, 1, 1))


def test_an_explicit_list_keeps_its_order_and_length():
    space = ConfigurationSpace(Partition.single(3), ((1, 0, 1), (0, 0, 0)))
    assert len(space) == 2
    assert space.names() == ["101", "000"]
    assert space.layer_digits == ((1, 0, 1), (0, 0, 0))


def test_uses_says_per_layer_which_branches_any_candidate_takes():
    space = ConfigurationSpace(Partition.single(3), ((1, 0, 1), (1, 1, 0)))
    assert space.uses == ((False, True), (True, True), (True, True))
    assert ConfigurationSpace.only((0, 1)).uses == ((True, False), (False, True))
    assert ConfigurationSpace.full(Partition.single(2)).uses == ((True, True), (True, True))


@pytest.mark.parametrize("bits", [(1,), (1, 0, 1), (0, 2), (-1, 0)])
def test_a_candidate_of_other_length_or_with_other_digits_is_refused(bits):
    with pytest.raises(SpecError, match="a candidate must have one digit per group, 2 here") as caught:
        ConfigurationSpace(Partition.single(2), (bits,))
    assert "write for example '11'" in str(caught.value)


def test_a_candidate_listed_twice_is_named():
    with pytest.raises(SpecError, match=r"\(got \['01'\]\); remove the repetition"):
        ConfigurationSpace(Partition.single(2), ((0, 1), (1, 1), (0, 1)))


def test_a_candidate_listed_twice_in_a_long_list_is_named():
    full = ConfigurationSpace.full(Partition.single(10)).candidates
    with pytest.raises(SpecError, match="'0000000001'"):
        ConfigurationSpace(Partition.single(10), (*full, full[1]))


def test_a_space_without_candidates_is_refused():
    with pytest.raises(SpecError, match=r"at least one, each listed once \(got none"):
        ConfigurationSpace(Partition.single(2), ())


def test_the_largest_space_is_allowed_and_the_next_names_how_many_groups_fit():
    assert len(ConfigurationSpace.full(Partition.single(16))) == LARGEST_SPACE
    with pytest.raises(SpecError, match="at most 16 groups, or list candidates"):
        ConfigurationSpace.full(Partition.single(17))


# Ties


def order(space, ties):
    """Candidates' names, the preferred one first."""
    ranks = space.preference(ties)
    assert sorted(ranks) == list(range(len(space)))
    return [text for _, text in sorted(zip(ranks, space.names(), strict=True))]


def test_ties_worked_by_hand_for_three_layers():
    space = ConfigurationSpace.full(Partition.single(3))
    assert order(space, "most-shared") == ["111", "110", "101", "011", "100", "010", "001", "000"]
    assert order(space, "enumeration") == ["111", "011", "101", "001", "110", "010", "100", "000"]


def test_most_shared_counts_layers_not_groups():
    assert order(ConfigurationSpace.full(Partition.parse("{1},{2,3}")), "most-shared") == ["11", "01", "10", "00"]
    assert order(ConfigurationSpace.full(Partition.parse("{1,3},{2}")), "most-shared") == ["11", "10", "01", "00"]


def test_equal_numbers_of_layers_go_to_the_larger_string_of_layers():
    space = ConfigurationSpace.full(Partition.parse("{1,4},{2,3}"))
    assert order(space, "most-shared") == ["11", "10", "01", "00"]


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_the_release_enumerates_with_the_first_bit_fastest_and_all_shared_first(groups):
    counted = [tuple(reversed(bits)) for bits in product((1, 0), repeat=groups)]
    space = ConfigurationSpace.full(Partition.single(groups))
    assert order(space, "enumeration") == list(map(name, counted))


@pytest.mark.parametrize("ties", ["most-shared", "enumeration"])
def test_the_preference_does_not_depend_on_how_candidates_are_listed(ties):
    listed = ((0, 0), (1, 1), (0, 1), (1, 0))
    full = ConfigurationSpace.full(Partition.single(2))
    assert order(ConfigurationSpace(full.partition, listed), ties) == order(full, ties)


# Names


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ("all", "1111"),
        ("none", "0000"),
        ("top-1", "0001"),
        ("top-3", "0111"),
        ("top-4", "1111"),
        ("bottom-1", "1000"),
        ("bottom-2", "1100"),
        ("alternating", "0101"),
        ("0110", "0110"),
    ],
)
def test_named_static_configurations_of_four_layers(text, bits):
    assert name(named(text, 4)) == bits


@pytest.mark.parametrize("text", ["top-0", "top-5", "bottom-5", "top", "011", "01101", "0120", "most", "", "top--1"])
def test_an_impossible_name_lists_the_possible_ones(text):
    with pytest.raises(SpecError, match=r"all, none, alternating, top-1..4, bottom-1..4 or 4 digits") as caught:
        named(text, 4)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("layers", [1, 2, 3, 4, 6, 9])
def test_static_names_are_possible_and_name_different_configurations(layers):
    names = static_names(layers)
    assert len({named(text, layers) for text in names}) == len(names)
    assert set(names) >= {"all", "none"}


@pytest.mark.parametrize(("groups", "branches"), [(1, 2), (4, 2), (1, 3), (3, 3)])
def test_ordered_candidates_are_frozen_then_shared_then_own(groups, branches):
    every = ConfigurationSpace.full(Partition.single(groups), branches=branches).candidates
    ordered = [digits for digits in every if all(one >= other for one, other in pairwise(digits))]
    assert sorted(list_candidates("ordered", groups=groups, branches=branches)) == ordered
    assert len(ordered) == {2: groups + 1, 3: (groups + 1) * (groups + 2) // 2}[branches]


@pytest.mark.parametrize("strategy", [EM, InTurn])
def test_strategies_take_ordered_candidates_of_their_groups(strategy):
    space = strategy(candidates="ordered", partition=Partition.parse("{1,2},{3}")).space(3, branches=3)
    assert space.names() == ["22", "21", "20", "11", "10", "00"]
    with pytest.raises(SpecError, match=r"candidates must be 'ordered' or a list .got 'order'"):
        strategy(candidates="order")
