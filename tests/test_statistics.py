"""Log bins against the `ddsketch` package, and what merging promises."""

import pytest
from ddsketch import DDSketch
from ddsketch.mapping import LogarithmicMapping
from hypothesis import given
from hypothesis import strategies as st

from agent.statistics import ACCURACY, LEAST_BIN, Bins, add, bin_of, merge, quantile, value_of

MILLISECONDS = st.floats(1e-5, 1e7)


def bins_of(values: list[float]) -> Bins:
    bins: Bins = {}
    for value in values:
        add(bins, value)
    return bins


@given(MILLISECONDS)
def test_a_value_falls_in_the_bin_that_ddsketch_gives_it(value: float) -> None:
    assert bin_of(value) == LogarithmicMapping(ACCURACY).key(value)


@given(st.lists(MILLISECONDS, min_size=1, max_size=200), st.sampled_from([0.0, 0.5, 0.95, 1.0]))
def test_quantiles_are_those_of_ddsketch(values: list[float], share: float) -> None:
    theirs = DDSketch(ACCURACY)
    for value in values:
        theirs.add(value)
    assert quantile(bins_of(values), share) == pytest.approx(theirs.get_quantile_value(share))


@given(st.lists(MILLISECONDS, min_size=1, max_size=100), st.sampled_from([0.0, 0.5, 0.95, 1.0]))
def test_a_quantile_is_within_the_accuracy_of_the_value_at_its_rank(values: list[float], share: float) -> None:
    true = sorted(values)[int(share * (len(values) - 1))]
    assert quantile(bins_of(values), share) == pytest.approx(true, rel=ACCURACY * 1.0001)


@given(st.lists(MILLISECONDS, max_size=50), st.lists(MILLISECONDS, max_size=50))
def test_merging_is_the_same_as_adding_all_to_one(one: list[float], other: list[float]) -> None:
    merged = bins_of(one)
    merge(merged, sorted(bins_of(other).items()))
    back = bins_of(other)
    merge(back, bins_of(one))
    assert merged == back == bins_of(one + other)


def test_nothing_and_zero() -> None:
    assert quantile({}, 0.5) is None
    assert bin_of(0.0) == bin_of(1e-9) == LEAST_BIN
    assert value_of(bin_of(0.0)) == pytest.approx(1e-6, rel=ACCURACY * 1.0001)
