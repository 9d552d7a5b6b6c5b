"""Trusted time never falls, and deletion by age believes no leap that has not held for a day of running."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from peers.store_by_hand import StoreByHand

from agent.store import trusted

S = 1_000_000
HOUR = 3600
YEAR = 365 * 86_400
T0 = 1_800_000_000


class Device:
    """A device that is read every ten minutes; `ahead_s` is by how much its wall clock is wrong."""

    def __init__(self) -> None:
        self.store = StoreByHand({}, list)
        self.boots = 0
        self.true_s = T0
        self.ahead_s = 0

    @property
    def boot(self) -> int:
        return self.store.transaction.boot

    def read(self) -> None:
        self.store.learn((self.true_s + self.ahead_s) * S)
        self.store.commit()

    def run(self, seconds: int) -> None:
        while seconds > 0:
            step = min(600, seconds)
            self.store.now_us += step * S
            self.true_s += step
            seconds -= step
            self.read()

    def restart(self, off_s: int) -> None:
        self.boots += 1
        self.true_s += off_s
        self.store.now_us = 5 * S
        self.store.start(f"boot-{self.boots}")

    def utc_s(self) -> float | None:
        found = trusted.utc_us(self.store.connection, self.boot, self.store.now_us)
        return None if found is None else found / S

    def settled_s(self) -> float | None:
        found = trusted.settled_utc_us(self.store.connection, self.boot, self.store.now_us)
        return None if found is None else found / S


def test_without_a_reading_nothing_is_known() -> None:
    device = Device()
    assert device.utc_s() is None
    assert device.settled_s() is None
    device.read()
    assert device.utc_s() == device.settled_s() == T0


def test_it_goes_on_by_boot_time_and_stands_still_over_a_boot() -> None:
    device = Device()
    device.run(HOUR)
    device.store.now_us += 90 * S
    assert device.utc_s() == T0 + HOUR + 90
    device.restart(off_s=8 * HOUR)
    assert device.utc_s() == T0 + HOUR
    device.store.now_us += 30 * S
    assert device.utc_s() == T0 + HOUR
    device.read()
    assert device.utc_s() == device.true_s


@pytest.mark.parametrize("leap_s", [YEAR, -YEAR])
def test_a_leap_of_an_hour_and_the_way_back_settle_nothing(leap_s: int) -> None:
    device = Device()
    device.run(HOUR)
    device.ahead_s = leap_s
    device.run(23 * HOUR)
    assert device.settled_s() <= device.true_s
    device.ahead_s = 0
    device.run(23 * HOUR)
    assert device.settled_s() <= device.true_s
    assert device.utc_s() >= device.true_s
    device.run(2 * HOUR)
    assert device.settled_s() == device.true_s  # and it comes back to the truth


def test_a_leap_that_holds_for_a_day_is_believed() -> None:
    device = Device()
    device.run(HOUR)
    device.ahead_s = YEAR
    device.run(25 * HOUR)
    assert device.settled_s() == device.true_s + YEAR


def test_a_device_that_is_off_every_night_follows_a_day_behind() -> None:
    device = Device()
    device.run(12 * HOUR)
    for _ in range(10):
        device.restart(off_s=12 * HOUR)
        device.run(12 * HOUR)
    assert device.true_s - 3 * 86_400 <= device.settled_s() <= device.true_s


def test_readings_that_say_nothing_new_are_not_written() -> None:
    device = Device()
    device.read()
    before = device.store.connection.total_changes
    for _ in range(50):
        device.store.now_us += 10 * S
        device.true_s += 10
        device.read()
    assert device.store.connection.total_changes == before


STEP = st.one_of(
    st.tuples(st.just("run"), st.integers(1, 30 * HOUR)),
    st.tuples(st.just("ahead"), st.sampled_from([0, 0, YEAR, -YEAR, 2 * HOUR, -2 * HOUR, 5])),
    st.tuples(st.just("restart"), st.integers(0, 100 * HOUR)),
)


@given(st.lists(STEP, max_size=25))
def test_it_never_falls_and_settles_on_nothing_that_did_not_hold_for_a_day(steps: list[tuple[str, int]]) -> None:
    device = Device()
    device.read()
    best = device.utc_s()
    wrong_s = 0  # for how long of running the clock has been ahead without a break
    for what, value in steps:
        match what:
            case "run":
                device.run(value)
                wrong_s = wrong_s + value if device.ahead_s > 0 else 0
            case "ahead":
                device.ahead_s = value
            case _:
                device.restart(value)
        assert device.utc_s() >= best - 600  # what a restart forgets
        best = device.utc_s()
        if wrong_s > 23 * HOUR:
            return
        assert device.settled_s() <= device.true_s + 900
