"""How often birth is published: each costs a kilobyte of somebody's data plan."""

from pathlib import Path

import msgspec
from peers.manual_clock import ManualClock
from peers.numbered_items import birth as numbered_birth
from peers.running_sync import opened_store

from agent.messages.birth import Birth
from agent.sync.births import Births


def test_what_changes_all_the_time_is_said_ever_more_rarely(tmp_path: Path) -> None:
    with opened_store(tmp_path) as store:
        one = numbered_birth(store)
    clock, count = ManualClock(boot_us=5_000_000), 0

    def flapping() -> Birth:  # a lane that is started again and again: its model is open, is not, is …
        nonlocal count
        count += 1
        return msgspec.structs.replace(one, agent=str(count % 2))

    births = Births(flapping, clock, longest_s=900.0)
    said: list[int] = []
    for second in range(3 * 3600):
        if births.take() is not None:
            said.append(second)
        clock.advance(1.0)
    assert said[:4] == [0, 5, 15, 35]
    assert len(said) < 20


def test_an_unchanged_one_is_said_once_and_a_change_after_a_quiet_time_soon(tmp_path: Path) -> None:
    with opened_store(tmp_path) as store:
        one = numbered_birth(store)
    clock, text = ManualClock(boot_us=5_000_000), ""

    def now() -> Birth:
        return msgspec.structs.replace(one, agent=text)

    births = Births(now, clock, longest_s=900.0)
    for change in ("2", "3", "4", "5"):
        text = change
        while births.take() is None:
            clock.advance(1.0)
    for _ in range(1000):
        assert births.take() is None
        clock.advance(1.0)
    text = "6"
    for _ in range(6):
        if births.take() is not None:
            break
        clock.advance(1.0)
    else:
        raise AssertionError("a change after a quiet time was held back")


def test_one_that_cannot_be_made_holds_nothing_up() -> None:
    def broken() -> Birth:
        raise ValueError("no such board")

    assert Births(broken, ManualClock(boot_us=5_000_000), longest_s=900.0).take() is None
