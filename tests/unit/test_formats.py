import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lasem import formats
from lasem.formats import duration, extent, memory_size, ranges


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(formats).failed == 0


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (4.5e6, "1,250 h")]
)
def test_a_duration_has_the_largest_unit_in_which_it_is_at_least_two(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 bytes"), (2**10, "1.0 KiB"), (3 * 2**40, "3.0 TiB"), (2**52, "4096.0 TiB")]
)
def test_a_size_in_memory_has_the_largest_unit_that_it_fills(size, text):
    assert memory_size(size) == text


@given(st.sets(st.integers(1, 30)))
def test_ranges_name_every_number_once(numbers):
    named = []
    for text in ranges(sorted(numbers)):
        first, _, last = text.partition("-")
        named += range(int(first), int(last or first) + 1)
    assert named == sorted(numbers)


def test_an_extent_of_equal_numbers_is_one_number():
    assert (extent((3, 3)), extent((7, 3, 5))) == ("3", "3 to 7")
