"""Log bins against the `ddsketch` package, and what merging promises."""

import sqlite3
from contextlib import closing
from random import Random

import pytest
from ddsketch import DDSketch
from ddsketch.mapping import LogarithmicMapping
from hypothesis import given
from hypothesis import strategies as st

from agent.statistics import ACCURACY, LEAST_BIN, Bins, add, bin_of, merge, quantile, value_of
from agent.summaries.content import Sums, merge_sums

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


FLEET = st.lists(st.lists(MILLISECONDS, max_size=40), min_size=1, max_size=12)


@given(FLEET, st.randoms(use_true_random=False), st.sampled_from([0.0, 0.5, 0.95, 1.0]))
def test_days_of_a_fleet_merge_in_any_order_to_one_sketch_of_all(
    parts: list[list[float]], order: Random, share: float
) -> None:
    """Minutes to hours to days to a fleet, in any order and any tree: the same integers as of all values at once, and ddsketch's quantile."""
    everything = bins_of([value for part in parts for value in part])
    sketches = [bins_of(part) for part in parts]
    while len(sketches) > 1:
        one = sketches.pop(order.randrange(len(sketches)))
        merge(sketches[order.randrange(len(sketches))], sorted(one.items()))
    assert sketches[0] == everything
    theirs = DDSketch(ACCURACY)
    for part in parts:
        other = DDSketch(ACCURACY)
        for value in part:
            other.add(value)
        theirs.merge(other)
    if everything:
        assert quantile(everything, share) == pytest.approx(theirs.get_quantile_value(share))


@given(FLEET)
def test_sql_merges_them_too(parts: list[list[float]]) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE sketch (bin INTEGER, n INTEGER)")
        for part in parts:
            connection.executemany("INSERT INTO sketch VALUES (?, ?)", bins_of(part).items())
        found = dict(connection.execute("SELECT bin, sum(n) FROM sketch GROUP BY bin"))
    assert found == bins_of([value for part in parts for value in part])


SUMS = st.lists(st.lists(st.integers(-1_000, 1_000), max_size=20), min_size=1, max_size=8)


@given(SUMS, st.randoms(use_true_random=False))
def test_sums_of_readings_merge_in_any_order(parts: list[list[int]], order: Random) -> None:
    """Whole numbers, so that no rounding depends on the order."""
    values = [value for part in parts for value in part]
    sums: list[Sums] = [
        (len(part), sum(part), sum(value * value for value in part), min(part), max(part)) for part in parts if part
    ]
    order.shuffle(sums)
    merged: Sums | None = None
    for one in sums:
        merged = merge_sums(merged, one)
    if values:
        assert merged == (len(values), sum(values), sum(value * value for value in values), min(values), max(values))


def test_nothing_and_zero() -> None:
    assert quantile({}, 0.5) is None
    assert bin_of(0.0) == bin_of(1e-9) == LEAST_BIN
    assert value_of(bin_of(0.0)) == pytest.approx(1e-6, rel=ACCURACY * 1.0001)
