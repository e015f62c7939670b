import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lasem.seeds import derive_seed, numpy_generator

PARTS = st.lists(st.one_of(st.text(max_size=8), st.integers(0, 2**31)), max_size=4)


@given(st.integers(0, 2**63 - 1), PARTS)
def test_equal_places_give_equal_seeds_that_fit_63_bits(seed, place):
    derived = derive_seed(seed, *place)
    assert derived == derive_seed(seed, *place)
    assert 0 <= derived < 2**63


def test_a_derived_seed_is_the_same_in_another_process():
    code = "from lasem.seeds import derive_seed; print(derive_seed(7, 'shuffle', 3, 1))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(answer) == derive_seed(7, "shuffle", 3, 1)


def test_neighboring_seeds_tasks_and_epochs_all_differ():
    seeds = [derive_seed(s, "shuffle", t, e) for s in range(8) for t in range(8) for e in range(32)]
    assert len(set(seeds)) == len(seeds)


def test_a_place_differs_from_its_prefixes_its_order_and_its_other_splits():
    places = [(), (0,), (0, 0), (0, 0, 0), ("a",), ("a", 0), ("a", "b"), ("b", "a"), ("ab",), (1, 2), (2, 1), (12,)]
    assert len({derive_seed(0, *place) for place in places}) == len(places)


def test_bits_of_neighboring_seeds_are_even_and_uncorrelated():
    seeds = np.array([derive_seed(s, "own", 0, 0) for s in range(500)], dtype=np.uint64)
    bits = (seeds[:, None] >> np.arange(63, dtype=np.uint64)) & np.uint64(1)
    flips = bits[1:] ^ bits[:-1]
    four_deviations = 4 * 0.5 / np.sqrt(bits.size)
    assert abs(bits.mean() - 0.5) < four_deviations
    assert abs(flips.mean() - 0.5) < four_deviations


def test_generators_of_one_place_draw_alike_and_of_two_differ():
    one, again, other = (numpy_generator(0, "images", task).normal(size=4) for task in (1, 1, 2))
    assert (one == again).all()
    assert (one != other).all()
