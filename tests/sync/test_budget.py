"""A simulated month: the real store, sender and data budget over a link that counts what it carries."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers.manual_clock import ManualClock
from peers.numbered_items import DEVICE
from peers.simulated_link import CountingLink, Device, simulated_device

from agent.store import holding, items, spending
from agent.store.lane_rows import clock_job
from agent.store.settings import Config as StoreConfig
from agent.store.transaction import Transaction
from agent.store.writer import open_store
from agent.sync import kinds
from agent.sync.budget import Budget
from agent.sync.settings import Budget as Settings
from agent.sync.settings import Config, keepalive_s
from agent.sync.states import Needs
from agent.values import Bytes

LONG = os.environ.get("EDGE_AGENT_LONG") == "1"
DAY = 1_440
ACKNOWLEDGED, HELD = 2, 3
LIMIT_S = 20.0


def month_rows(device: Device) -> dict[str, int]:
    with device.store.read() as connection:
        names = [name for (name,) in connection.execute("SELECT period FROM spent WHERE length(period) = 7")]
        return {name: row.total for name, row in spending.read(connection, names).items()}


def test_a_month_is_never_passed_and_ends_with_last_words() -> None:
    """More than fits, each message a fifth dearer than reckoned, and another program that sends as well."""
    with simulated_device(month="600 kB", events=1, more=1.2) as device:
        device.run(31 * DAY, 360, other=3_000)
        assert device.by_month["2026-11"] <= 600_000
        assert device.last_words[:1] == ["2026-11"]  # a ledger and the status `held` went before it closed
        assert device.budget.report.state != "closed", "a new month begins anew"
        assert device.by_month["2026-12"] > 0
        assert any(after == "closed" for _, _, after, _ in device.budget.report.moves)


def test_minutes_that_cannot_fit_are_held_and_come_late_and_hours_are_live() -> None:
    with simulated_device(month="20 MB", needs=Needs(minutes=1_200_000, hours=25_000, other=40_000)) as device:
        device.run(2 * DAY, 60)
        assert device.budget.state == "coarse"
        live = {name for name, _ in device.link.messages if name.startswith("live/summary")}
        assert live == {"live/summary/lane0/h1"}
        states = device.states()
        assert states["summary/lane0/h1"] == {ACKNOWLEDGED: 48}
        minutes = states["summary/lane0/m1"]
        assert minutes[HELD] >= 1, "the newest minutes wait"
        assert minutes[ACKNOWLEDGED] > 24 * 60, "in batches, as far as the day is behind an even spending"
        assert device.budget.accounts.day.parts.get(kinds.LIVE_MINUTES, 0) == 0


def test_events_fit_whatever_else_wants_to_go_and_hours_come_before_minutes() -> None:
    """So little that minutes never fit, and hours hardly."""
    with simulated_device(month="600 kB", lanes=3, events=1) as device:
        device.run(4 * DAY, 120)
        states = device.states()
        assert states["event/lane0"] == {ACKNOWLEDGED: 96}
        hours = sum(states[f"summary/lane{lane}/h1"].get(ACKNOWLEDGED, 0) for lane in range(3))
        minutes = sum(states[f"summary/lane{lane}/m1"].get(ACKNOWLEDGED, 0) for lane in range(3))
        assert hours / (4 * 24 * 3) > minutes / (4 * DAY * 3)


def test_held_detail_can_be_asked_for_and_is_acknowledged_then() -> None:
    with simulated_device(month="1 MB", needs=Needs(minutes=10_000_000, hours=25_000, other=0)) as device:
        device.run(120, 120)
        with device.store.read() as connection:
            rows = connection.execute("SELECT id, seq FROM item WHERE state = 3 ORDER BY seq DESC LIMIT 5").fetchall()
            ids, seqs = [one for one, _ in rows], [seq for _, seq in rows]
            assert len(ids) == 5
            asked = items.items_at(connection, device.store.epoch_text, "summary/lane0/m1", [(min(seqs), max(seqs))])
        device.sender.resend(asked)
        device.run(60, 60)
        with device.store.read() as connection:
            found = connection.execute(f"SELECT state FROM item WHERE id IN ({','.join(map(str, ids))})").fetchall()
        assert {state for (state,) in found} == {ACKNOWLEDGED}
        assert device.budget.accounts.day.parts[kinds.RESEND] > 0


# What a clock may do: so many hours pass; a leap and, hours later, back; no time at all; a crash.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("run"), st.integers(1, 30)),
        st.tuples(st.just("leap"), st.sampled_from([-365, -31, -1, 1, 31, 365, 3_650]), st.integers(1, 20)),
        st.tuples(st.just("lose"), st.integers(1, 20)),
        st.tuples(st.just("crash"), st.just(0)),
    ),
    min_size=3,
    max_size=9,
)


def follow(device: Device, steps: list[Any]) -> None:
    for step in steps:
        if step[0] == "run":
            device.run(step[1] * 120, 120)
        elif step[0] == "leap":
            device.clock.step_utc(step[1] * 86_400)
            device.run(step[2] * 60, 60)
            device.clock.step_utc(-step[1] * 86_400)
            device.run(60, 60)
        elif step[0] == "lose":
            device.clock.lose_utc()
            device.run(step[1] * 60, 60)
            device.clock.source = "ntp"
        else:
            device.crash()


@settings(max_examples=200 if LONG else 6)
@given(steps=STEPS, month=st.sampled_from(["200 kB", "1 MB"]))
def test_no_clock_and_no_crash_passes_the_cap(steps: list[Any], month: str) -> None:
    """All of it in one true month: no leap, no loss of the time, no crash gives a byte more than the cap."""
    cap = int(Bytes.parse(month))
    with simulated_device(month=month, events=2) as device:
        follow(device, steps)
        assert device.link.total <= cap
        assert all(total <= cap for total in month_rows(device).values())


@settings(max_examples=100 if LONG else 4)
@given(leaps=st.lists(st.tuples(st.integers(-400, 400), st.integers(1, 30)), min_size=1, max_size=5))
def test_no_trusted_month_is_passed_whatever_the_clock_says(leaps: list[tuple[int, int]]) -> None:
    with simulated_device(month="300 kB", events=2) as device:
        for days, hours in leaps:
            device.clock.step_utc(days * 86_400)
            device.run(hours * 120, 120)
        assert all(total <= 300_000 for total in month_rows(device).values())


def test_without_any_time_nothing_is_refilled(tmp_path: Path) -> None:
    clock = ManualClock(boot_us=1_000_000_000)
    clock.lose_utc()
    kept = StoreConfig(max_loss_s=0.2, keep_free=Bytes(0))
    with open_store(tmp_path, clock=clock, device=DEVICE, settings=kept) as store:
        link = CountingLink(1.0)
        budget = Budget(store, Settings(month=Bytes.parse("10 MB")), link, clock)
        spent = 0
        for _ in range(60):
            clock.advance(86_400)
            budget.step(at_once=True)
            while budget.allows(kinds.LIVE_MINUTES, 1_000) and spent < 20_000_000:
                budget.hand(kinds.LIVE_MINUTES, 1_000)
                link.carry(1_000)
                spent += 1_000
                budget.arrived(1_000)
        assert 0 < spent <= 10_000_000 / 31 / 8 + 1_000, "an hour's worth, once"
        assert budget.until is None
        budget.close()


def test_bytes_spent_without_a_time_count_in_the_month_that_it_was(tmp_path: Path) -> None:
    """The device was off over the turn of the month, and learns the time a while after it came back."""
    with simulated_device(month="1 MB", utc="2026-11-30T20:00:00Z", folder=tmp_path) as device:
        device.run(120, 60)
    clock = ManualClock(boot_us=5_000_000, utc="2026-12-02T00:00:00Z", boot="boot-two")
    clock.lose_utc()
    kept = StoreConfig(max_loss_s=0.2, keep_free=Bytes(0))
    with open_store(tmp_path, clock=clock, device=DEVICE, settings=kept) as store:
        link = CountingLink(1.0)
        budget = Budget(store, Settings(month=Bytes.parse("1 MB")), link, clock)
        budget.hand(kinds.EVENT, 5_000)
        link.carry(5_000)
        clock.advance(60)
        budget.step(at_once=True)
        assert budget.accounts.now.month == "2026-11"
        clock.source = "ntp"
        store.submit(clock_job(clock.reading()), ends_group=True).wait(LIMIT_S)
        clock.advance(60)
        budget.step(at_once=True)
        budget.close()
        with store.read() as connection:
            assert spending.read(connection, ["2026-12"])["2026-12"].total >= 5_000
            assert not spending.named(connection, "undated")


def test_what_was_held_goes_out_once_there_is_room(tmp_path: Path) -> None:
    with simulated_device(month="20 MB", folder=tmp_path) as device:
        device.link.up = False
        device.run(DAY, 60)

        def hold(transaction: Transaction) -> None:
            places = holding.places(transaction.connection, ["summary/lane0/m1"])
            while holding.hold(transaction, places, limit=100):
                pass

        device.store.submit(hold, ends_group=True).wait(LIMIT_S)
        device.link.up = True
        device.connect()
        device.run(60, 60)
        assert HELD not in device.states()["summary/lane0/m1"], "there is room for all of it"


@pytest.mark.parametrize(("month", "expected"), [("2 MB", 1200), ("20 MB", 428), ("1 GB", 60)])
def test_the_keepalive_follows_the_budget(month: str, expected: int) -> None:
    config = Config(url="mqtt://localhost:1883")
    assert keepalive_s(config, Settings(month=Bytes.parse(month))) == pytest.approx(expected, abs=2)
    assert keepalive_s(config, None) == 30
    assert keepalive_s(Config(url="mqtt://localhost:1883", keepalive_s=7), Settings(month=Bytes.parse(month))) == 7
