"""A device's own moment in the grain: the same each time, within a fifth of it, and never a reason to wait for a clock."""

import json

import pytest

from agent.messages.times import parse
from agent.sync.offset import MOST_S, SPREAD, Offset

END_US = parse("2026-11-24T03:01:00Z")
BODY = json.dumps({"w": ["2026-11-24T03:00:00Z", 60]}).encode()
M1 = "summary/yard/m1"


def test_devices_are_spread_over_a_fifth_of_the_grain_and_five_minutes() -> None:
    minutes = [Offset(f"farm/gate-{place}", SPREAD).seconds(60) for place in range(400)]
    assert 0 <= min(minutes) < 1
    assert 11 < max(minutes) < 12
    assert max(Offset(f"farm/gate-{place}", SPREAD).seconds(86_400) for place in range(400)) <= MOST_S
    assert Offset("farm/gate-1", SPREAD).seconds(60) == Offset("farm/gate-1", SPREAD).seconds(60)


def test_a_window_waits_for_the_moment_and_no_longer() -> None:
    one = Offset("farm/gate-3", SPREAD)
    whole_us = round(one.seconds(60) * 1e6)
    assert whole_us > 0
    assert one.wait_us(BODY, M1, END_US) == whole_us
    assert one.wait_us(BODY, M1, END_US + whole_us - 1) == 1
    assert one.wait_us(BODY, M1, END_US + whole_us) == 0
    assert one.wait_us(BODY, M1, END_US + 10**9) == 0


@pytest.mark.parametrize("back_s", [1, 60, 86_400, 365 * 86_400])
def test_a_clock_that_was_set_back_holds_nothing_up(back_s: int) -> None:
    """A window that ends in the future: were it waited for, all that comes behind it in its stream would wait, too."""
    one = Offset("farm/gate-3", SPREAD)
    assert one.wait_us(BODY, M1, END_US - back_s * 1_000_000) == 0


def test_what_is_no_window_never_waits() -> None:
    one = Offset("farm/gate-3", SPREAD)
    assert one.wait_us(BODY, "event/yard", END_US) == 0
    assert one.wait_us(b'{"w":null}', M1, END_US) == 0
    assert one.wait_us(b"{", M1, END_US) == 0
    assert one.wait_us(BODY, M1, None) == 0
    assert Offset("farm/gate-3", 0.0).wait_us(BODY, M1, END_US) == 0
